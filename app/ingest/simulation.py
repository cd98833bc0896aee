"""The demo network lives: a simulation, so that a new installation shows how live status changes. Nothing in it is
real; see `app.sources.demo`."""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.db.alone import alone
from app.errors import VoltWayError
from app.sources.demo import FACTS
from app.stations import live
from app.stations.live import Observation
from app.stations.repository import Selection, selected_stations
from app.stations.vocabulary import EvseStatus

logger = logging.getLogger(__name__)

EVERY_S = 1.0
_LOOK_AGAIN_S = 10.0
_MINUTES: dict[EvseStatus, tuple[float, float]] = {
    EvseStatus.AVAILABLE: (20, 240),
    EvseStatus.CHARGING: (10, 90),
    EvseStatus.RESERVED: (2, 15),
    EvseStatus.BLOCKED: (5, 40),
    EvseStatus.OUTOFORDER: (120, 600),
}
"""How long an EVSE stays so; one in any other state never changes."""
_NEXT: dict[EvseStatus, dict[EvseStatus, int]] = {
    EvseStatus.AVAILABLE: {EvseStatus.CHARGING: 96, EvseStatus.RESERVED: 3, EvseStatus.OUTOFORDER: 1},
    EvseStatus.CHARGING: {EvseStatus.AVAILABLE: 90, EvseStatus.BLOCKED: 10},
    EvseStatus.RESERVED: {EvseStatus.CHARGING: 80, EvseStatus.AVAILABLE: 20},
    EvseStatus.BLOCKED: {EvseStatus.AVAILABLE: 1},
    EvseStatus.OUTOFORDER: {EvseStatus.AVAILABLE: 1},
}
"""What may follow, and how often."""

Place = tuple[int, str]
"""Station id and EVSE uid."""


class Simulation:
    """What becomes of EVSEs; the same from the same beginning."""

    def __init__(self, evses: Iterable[tuple[Place, EvseStatus]], now: datetime, seed: int = 0) -> None:
        """`now`: each is somewhere in the middle of its present state."""
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._due = [
            (now + self._random.random() * self._stay(status), place, status)
            for place, status in evses
            if status in _NEXT
        ]
        heapq.heapify(self._due)

    def changes(self, now: datetime) -> list[Observation]:
        """What has changed up to then since the last call, in order."""
        changed = []
        while self._due and self._due[0][0] <= now:
            at, place, before = heapq.heappop(self._due)
            status = self._random.choices(list(_NEXT[before]), list(_NEXT[before].values()))[0]
            changed.append(Observation(*place, status, at))
            heapq.heappush(self._due, (at + self._stay(status), place, status))
        return changed

    def _stay(self, status: EvseStatus) -> timedelta:
        return timedelta(minutes=self._random.uniform(*_MINUTES[status]))


async def keep_moving(database: Database, wait: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """Let the demo network's states change until cancelled; in one process among all that try."""
    while True:
        try:
            async with alone(database.url, "demo-simulation", "Another process moves the demo network."):
                await _move(database, wait)
        except (VoltWayError, SQLAlchemyError, OSError) as error:
            logger.debug("demo_stands_still", extra={"reason": str(error)})
        await wait(_LOOK_AGAIN_S)


async def _move(database: Database, wait: Callable[[float], Awaitable[None]]) -> None:
    now = datetime.now(UTC)
    async with database.open_session(read_only=True) as session:
        pages = selected_stations(session, Selection(source=FACTS.name), now)
        states = [((s.id, e.uid), e.status) async for page in pages for s in page for e in s.evses]
    simulation = Simulation(states, now)
    while states:
        await wait(EVERY_S)
        now = datetime.now(UTC)
        if changed := simulation.changes(now):
            async with database.open_session() as session:
                there = await session.run_sync(
                    live.existing_evses, {(each.station_id, each.evse_uid) for each in changed}
                )
                changed = [each for each in changed if (each.station_id, each.evse_uid) in there]
                await live.observe(session, FACTS.name, changed, now)
