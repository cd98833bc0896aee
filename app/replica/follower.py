"""Keeps a replica equal to the database: loads it, then follows the change feed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Protocol

from app.errors import DatabaseUnavailableError, NotReadyError, VoltWayError
from app.replica.columns import Render
from app.replica.replica import Replica
from app.replica.traits import Place
from app.stations.changes import Changes, FeedPosition
from app.stations.model import EvseObservation, StoredStation

logger = logging.getLogger(__name__)

Wait = Callable[[float], Awaitable[None]]
_CHUNK = 1_000
"""Stations read anew at a time."""


class Listener(Protocol):
    """Hears what becomes of the replica."""

    def loaded(self, position: FeedPosition) -> None:
        """Everything was read anew: anything may be other than it was."""

    def watched(self, places: Mapping[int, Place]) -> set[int]:
        """Those of the stations, with where they are, that it must be shown when they change."""

    def refreshed(
        self,
        before: Mapping[int, Place],
        after: Mapping[int, Place],
        stations: Mapping[int, StoredStation],
        changes: Mapping[int, FeedPosition],
    ) -> None:
        """Stations have changed: where they were if that may be another place, where they are, and those of them
        that are `watched` unless they are gone. `changes` names each with its last change."""

    def reached(self, position: FeedPosition) -> None:
        """All changes up to there have been told."""


class CatalogueReader(Protocol):
    """What the follower asks of the database; each call may raise DatabaseUnavailableError."""

    async def position(self) -> FeedPosition:
        """The feed's present end."""

    def all_stations(self, now: datetime) -> AsyncIterator[list[StoredStation]]:
        """Every station, in pages."""

    async def changes_after(self, position: FeedPosition) -> Changes | None:
        """What has changed since; `None`: too much has, read all stations."""

    async def get_many(self, ids: Collection[int], now: datetime) -> list[StoredStation]:
        """Those of the stations that exist."""

    async def observed_of(self, ids: Collection[int]) -> list[EvseObservation]:
        """What was observed last of each of their EVSEs."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Follower:
    """Owns the process's replica."""

    def __init__(
        self,
        reader: CatalogueReader,
        render: Render,
        now: Callable[[], datetime] = _utc_now,
        listener: Listener | None = None,
    ) -> None:
        self._reader = reader
        self._listener = listener
        self._render = render
        self._now = now
        self._replica: Replica | None = None
        self._position: FeedPosition | None = None
        self.caught_up_at: datetime | None = None
        """When the replica was last known to equal the database; `None`: never yet."""
        self.is_failing = False
        """Whether the last attempt to catch up has failed."""
        self._rebuilding: asyncio.Task[None] | None = None
        self._turns = asyncio.Lock()
        self._begun = 0
        """How many times it has begun to catch up."""
        self._ended = 0
        """Which of them was the last to succeed."""

    @property
    def replica(self) -> Replica:
        """Raises NotReadyError until it has been loaded for the first time."""
        if self._replica is None:
            raise NotReadyError("The catalogue is still being loaded. Try again in a moment.")
        return self._replica

    @property
    def age_s(self) -> float | None:
        """Seconds since the replica was last known to equal the database."""
        return None if self.caught_up_at is None else (self._now() - self.caught_up_at).total_seconds()

    async def run(self, every_s: float, wait: Wait = asyncio.sleep) -> None:
        """Catch up again and again until cancelled; while the database is away, the replica stays as it was.

        `wait`: returns after `every_s`, or sooner when there may be something new.
        """
        while True:
            try:
                await self.catch_up()
                if self.is_failing:
                    logger.info("replica_follows_again")
                self.is_failing = False
            except DatabaseUnavailableError as error:
                if not self.is_failing:
                    logger.warning("database_away", extra={"error": str(error)})
                self.is_failing = True
            except Exception:
                if not self.is_failing:
                    logger.exception("replica_follow_failed")
                self.is_failing = True
            await wait(every_s)

    async def catch_up(self) -> None:
        """Bring the replica to the state that the database has now, or had later. Raises DatabaseUnavailableError.

        May be called while another call is under way; those that wait for their turn share the next one.
        """
        begun_before = self._begun
        async with self._turns:
            if self._ended > begun_before:
                return
            self._begun += 1
            now = self._now()
            if not await self._follow(now):
                await self._load(now)
            if self._position is not None and (aged := self.replica.age(now)):
                await self._tell({}, {}, dict.fromkeys(aged, self._position), now)
            self._rebuild_if_due()
            self.caught_up_at = now
            self._ended = self._begun

    async def show_written(self) -> None:
        """Let the next search find what was written here. It is stored, so a failure is none of the writing's."""
        try:
            await self.catch_up()
        except VoltWayError as error:
            logger.warning("write_not_shown_yet", extra={"error": str(error)})

    async def _follow(self, now: datetime) -> bool:
        """Apply the changes since the last time; False when all must be loaded anew."""
        while self._position is not None:
            changes = await self._reader.changes_after(self._position)
            if changes is None:
                return False
            await self._refresh(changes, now)
            self._position = changes.position
            if self._listener:
                self._listener.reached(changes.position)
            if not changes.more:
                return True
        return False

    async def _load(self, now: datetime) -> None:
        """Read everything into a new replica, then put it in place of the old one."""
        position = await self._reader.position()  # first: what changes during the reading is then applied again
        replica = Replica(self._render)
        async for page in self._reader.all_stations(now):
            replica.put(page, now)
        await _rebuild(replica)
        self._replica, self._position = replica, position
        if self._listener:
            self._listener.loaded(position)
        logger.info("catalogue_loaded", extra={"stations": len(replica)})

    async def _refresh(self, changes: Changes, now: datetime) -> None:
        waiting = iter(changes.stations.items())
        while chunk := dict(islice(waiting, _CHUNK)):
            rewritten = chunk.keys() & changes.rewritten
            before = self.replica.places(rewritten)
            found = await self._reader.get_many(rewritten, now) if rewritten else []
            observed = chunk.keys() - rewritten
            states = await self._reader.observed_of(observed) if observed else []
            self.replica.put(found, now)
            self.replica.remove(rewritten - {station.id for station in found})
            self.replica.observe(observed, states, now)
            await self._tell(before, {station.id: station for station in found}, chunk, now)

    async def _tell(
        self,
        before: Mapping[int, Place],
        stations: dict[int, StoredStation],
        changes: Mapping[int, FeedPosition],
        now: datetime,
    ) -> None:
        """`stations`: those of them that have been read."""
        if self._listener is None:
            return
        asked = set(stations)
        while unread := self._listener.watched(after := self.replica.places(changes)) - asked:
            asked |= unread  # whoever begins to watch during the reading is not forgotten
            stations |= {station.id: station for station in await self._reader.get_many(unread, now)}
        self._listener.refreshed(before, after, stations, changes)

    def _rebuild_if_due(self) -> None:
        if self.replica.is_rebuild_due and (self._rebuilding is None or self._rebuilding.done()):
            self._rebuilding = asyncio.create_task(self._rebuild(self.replica))

    async def _rebuild(self, replica: Replica) -> None:
        try:
            await _rebuild(replica)
        except Exception:
            logger.exception("replica_rebuild_failed")


async def _rebuild(replica: Replica) -> None:
    """In another thread, so that searches go on meanwhile."""
    rebuild = replica.begin_rebuild()
    await asyncio.to_thread(rebuild.work)
    replica.end_rebuild(rebuild)
