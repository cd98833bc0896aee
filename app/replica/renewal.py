"""Making the index of a replica anew while it is searched; what one process has made, the others of its machine take.

Without snapshots each process makes its own.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from app.replica.columns import Render
from app.replica.replica import Rebuild, Replica
from app.replica.snapshot import FileId, Snapshot, Snapshots
from app.stations.changes import Changes, FeedPosition

logger = logging.getLogger(__name__)

_EVERY = timedelta(hours=1)
"""So that a process that starts has little to catch up on."""


class FeedReader(Protocol):
    """What must be known of the change feed; each call may raise DatabaseUnavailableError."""

    async def written_at(self, position: FeedPosition) -> datetime | None:
        """When the change at that position was written; `None`: it is not in the feed."""

    async def changes_after(self, position: FeedPosition) -> Changes | None:
        """What has changed since; `None`: too much has, read all stations."""


class Renewal:
    """Knows which snapshot the process's replica stands on."""

    def __init__(
        self, reader: FeedReader, render: Render, snapshots: Snapshots | None, now: Callable[[], datetime]
    ) -> None:
        self._reader = reader
        self._render = render
        self._snapshots = snapshots
        self._now = now
        self._file: FileId | None = None
        self._position: FeedPosition | None = None
        self._since = now()

    @property
    def is_behind(self) -> bool:
        """Whether another process has made a newer snapshot."""
        return self._snapshots is not None and self._snapshots.file() not in {None, self._file}

    def is_due(self, replica: Replica, position: FeedPosition, now: datetime) -> bool:
        """Whether the index should be made anew, or a newer one is there."""
        is_old = self._snapshots is not None and position != self._position and now > self._since + _EVERY
        return replica.is_rebuild_due or is_old or self.is_behind

    def turn(self) -> AbstractContextManager[bool]:
        """Whether this process may make the next index: False while another one of the machine does."""
        return nullcontext(True) if self._snapshots is None else self._snapshots.turn()

    async def newest(self, beyond: FeedPosition | None) -> tuple[Replica, FeedPosition] | None:
        """The catalogue as the newest snapshot has it, and how far that goes; `None`: there is none of it, or none
        that goes beyond that position."""
        snapshot = await self._open()
        if snapshot is None or (beyond is not None and snapshot.position <= beyond):
            return None
        if await self._reader.written_at(snapshot.position) != snapshot.at:
            return None
        self._stands_on(snapshot)
        return await asyncio.to_thread(Replica, self._render, columns=snapshot.columns), snapshot.position

    async def index(self, replica: Replica, position: FeedPosition, now: datetime) -> None:
        """Index the whole replica, which has every change up to the position. Only in one's `turn`."""
        rebuild = replica.begin_rebuild()
        snapshot = await self._written(rebuild, position, now)
        if snapshot is None:
            await asyncio.to_thread(rebuild.work, now)
        else:
            await asyncio.to_thread(rebuild.take, snapshot.columns)
        replica.end_rebuild(rebuild)
        self._stands_on(snapshot)

    async def _written(self, rebuild: Rebuild, position: FeedPosition, now: datetime) -> Snapshot | None:
        """`None`: it is not to be had."""
        if self._snapshots is None or (at := await self._reader.written_at(position)) is None:
            return None
        try:
            return await asyncio.to_thread(self._snapshots.write, partial(rebuild.work, now), position, at)
        except OSError as error:
            logger.warning("snapshot_not_written", extra={"reason": str(error)})
            return None

    async def join(self, replica: Replica, position: FeedPosition) -> None:
        """Let the replica, which has every change up to the position and no other, stand on the newest snapshot. Its
        states must not have become too old unnoticed, and nothing may change it meanwhile. Left for another time
        where the snapshot is ahead."""
        snapshot = await self._open()
        if snapshot is None or snapshot.position > position:
            return
        self._stands_on(snapshot)
        rewritten, restated, after = set[int](), set[int](), snapshot.position
        while after < position:
            changes = await self._reader.changes_after(after)
            if changes is None or (after == snapshot.position and changes.since != snapshot.at):
                return
            rewritten |= changes.rewritten
            restated |= changes.stations.keys()
            after = changes.position
        rebuild = replica.begin_rebuild()
        rebuild.rewritten, rebuild.restated = rewritten, restated
        await asyncio.to_thread(rebuild.take, snapshot.columns)
        replica.end_rebuild(rebuild)

    async def _open(self) -> Snapshot | None:
        return None if self._snapshots is None else await asyncio.to_thread(self._snapshots.newest)

    def _stands_on(self, snapshot: Snapshot | None) -> None:
        self._since = self._now()
        if snapshot is not None:
            self._file, self._position = snapshot.file, snapshot.position
