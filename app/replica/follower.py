"""Keeps a replica equal to the database: loads it, then follows the change feed."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol

from app.errors import DatabaseUnavailableError, NotReadyError, VoltWayError
from app.replica.columns import Render
from app.replica.renewal import FeedReader, Renewal
from app.replica.replica import Replica
from app.replica.snapshot import Snapshots
from app.replica.traits import Place
from app.stations.changes import Changes, EvsesOf, FeedPosition
from app.stations.model import EvseObservation, StoredStation

logger = logging.getLogger(__name__)

Wait = Callable[[float], Awaitable[None]]
_STATIONS_AT_ONCE, _STATES_AT_ONCE = 100, 1_000
"""Read anew while searches wait."""
_AGE_EVERY = timedelta(seconds=1)
_LOOK_AGAIN_S, _AFTER_FAILURE_S = 0.2, 10.0
_PATIENCE_S = 60.0
"""How long a process waits for what another one reads."""


class Listener(Protocol):
    """Hears what becomes of the replica."""

    @property
    def has_readers(self) -> bool:
        """Whether it has anybody to tell."""

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


class CatalogueReader(FeedReader, Protocol):
    """What the follower asks of the database; each call may raise DatabaseUnavailableError."""

    async def position(self) -> FeedPosition:
        """The feed's present end."""

    def all_stations(self, now: datetime) -> AsyncIterator[list[StoredStation]]:
        """Every station, in pages."""

    async def get_many(self, ids: Collection[int], now: datetime) -> list[StoredStation]:
        """Those of the stations that exist."""

    async def observed_of(self, asked: EvsesOf) -> list[EvseObservation]:
        """What was observed last of each of these EVSEs; where one is named, also if nothing was."""


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
        snapshots: Snapshots | None = None,
    ) -> None:
        """`snapshots`: shared with the other processes of the machine; none: all is read at the start."""
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
        self._aged_at: datetime | None = None
        self._renewal = Renewal(reader, render, snapshots, now)
        self._renewing: asyncio.Task[None] | None = None
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
                await self._begin_anew(now)
            await self._age(now)
            self._renew_if_due(now)
            self.caught_up_at = now
            self._ended = self._begun

    async def settled(self) -> None:
        """Wait until no index is being made."""
        if self._renewing:
            await asyncio.wait([self._renewing])

    async def close(self) -> None:
        """Begin nothing more."""
        if self._renewing:
            self._renewing.cancel()
        await self.settled()

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

    async def _begin_anew(self, now: datetime) -> None:
        """From the newest snapshot, if the feed leads on from there; else from all stations, which one process of the
        machine at a time reads for all of them."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            if (found := await self._renewal.newest(self._position)) and await self._leads_on(*found, now):
                return
            with self._renewal.turn() as is_ours:
                if is_ours or time.monotonic() > deadline:
                    await self._load(now)
                    return
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _leads_on(self, replica: Replica, position: FeedPosition, now: datetime) -> bool:
        self._begin_with(replica, position)
        return await self._follow(now)

    async def _load(self, now: datetime) -> None:
        """Read everything into a new replica, then put it in place of the old one."""
        position = await self._reader.position()  # first: what changes during the reading is then applied again
        replica = Replica(self._render)
        async for page in self._reader.all_stations(now):
            await asyncio.to_thread(replica.put, page, now)
        await self._renewal.index(replica, position, now)
        self._begin_with(replica, position)

    def _begin_with(self, replica: Replica, position: FeedPosition) -> None:
        self._replica, self._position, self._aged_at = replica, position, None
        if self._listener:
            self._listener.loaded(position)
        logger.info("catalogue_loaded", extra={"stations": len(replica)})

    async def _age(self, now: datetime) -> None:
        """Not at every turn: looking for states that are too old takes a while in a large catalogue."""
        if self._position is None or (self._aged_at and now < self._aged_at + _AGE_EVERY):
            return
        self._aged_at = now
        if aged := self.replica.age(now):
            await self._tell({}, {}, dict.fromkeys(aged, self._position), now)

    async def _refresh(self, changes: Changes, now: datetime) -> None:
        waiting = iter(changes.stations.items())
        size = _STATIONS_AT_ONCE if changes.rewritten else _STATES_AT_ONCE
        while chunk := dict(islice(waiting, size)):
            rewritten = chunk.keys() & changes.rewritten
            before = self.replica.places(rewritten)
            found = await self._reader.get_many(rewritten, now) if rewritten else []
            restated = {each: changes.restated[each] for each in chunk.keys() - rewritten}
            states = await self._reader.observed_of(restated) if restated else []
            self.replica.put(found, now)
            self.replica.remove(rewritten - {station.id for station in found})
            self.replica.observe(states, now, [each for each, uids in restated.items() if None in uids])
            await self._tell(before, {station.id: station for station in found}, chunk, now)

    async def _tell(
        self,
        before: Mapping[int, Place],
        stations: dict[int, StoredStation],
        changes: Mapping[int, FeedPosition],
        now: datetime,
    ) -> None:
        """`stations`: those of them that have been read."""
        if self._listener is None or not self._listener.has_readers:
            return
        asked = set(stations)
        while unread := self._listener.watched(after := self.replica.places(changes)) - asked:
            asked |= unread  # whoever begins to watch during the reading is not forgotten
            stations |= {station.id: station for station in await self._reader.get_many(unread, now)}
        self._listener.refreshed(before, after, stations, changes)

    def _renew_if_due(self, now: datetime) -> None:
        is_free = self._renewing is None or self._renewing.done()
        if is_free and self._position and self._renewal.is_due(self.replica, self._position, now):
            self._renewing = asyncio.create_task(self._renew(now))

    async def _renew(self, now: datetime) -> None:
        try:
            if self._renewal.is_behind:
                await self._join()
                return
            with self._renewal.turn() as is_ours:
                if is_ours and self._position:
                    await self._renewal.index(self.replica, self._position, now)
        except DatabaseUnavailableError as error:
            logger.info("replica_renewal_put_off", extra={"error": str(error)})
            await asyncio.sleep(_AFTER_FAILURE_S)
        except Exception:
            logger.exception("replica_renewal_failed")
            await asyncio.sleep(_AFTER_FAILURE_S)

    async def _join(self) -> None:
        await self.catch_up()  # it may be ahead of us
        async with self._turns:
            self._aged_at = None
            await self._age(self._now())
            if self._position:
                await self._renewal.join(self.replica, self._position)
