"""Telling readers what becomes of the stations that they watch, each at its own pace and with bounded memory.

A reader has a list of stations to be told of, each once, with its newest state. One who is so slow that the list
outgrows its bound loses it and is told that it has.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import TooManyReadersError
from app.live.watch import Watch
from app.replica import Place
from app.stations.changes import FEED_START, FeedPosition
from app.stations.model import StoredStation
from app.utils import metrics

MAX_PENDING = 1_000
"""Stations that a reader may be behind."""
SLICE_BYTES = 64 << 10
"""Of what a reader takes at a time, except for a single longer one."""

Frame = Callable[[str, int, StoredStation | None], bytes]
"""Makes what a reader is told of a station, with the place in the feed to go on from: how the station is, or, for
None, that it is not among the watched any more."""


class Told(NamedTuple):
    """What a reader takes at a time."""

    frames: list[bytes]
    position: FeedPosition
    """A reader who has taken this knows everything up to there."""
    lost: bool
    """It was too slow, or everything was read anew: what it knew may not hold. `frames` is then empty."""


class Reader:
    """One who watches; made by `Hub.reading`."""

    def __init__(self, watch: Watch, position: FeedPosition) -> None:
        self.watch = watch
        self.since = self._position = position
        """It is told of all changes after that."""
        self._pending: dict[int, tuple[FeedPosition, bytes]] = {}
        self._lost = False
        self._news = asyncio.Event()
        self.ended = False
        """Whether nothing will come any more."""

    async def take(self, longest_s: float) -> Told:
        """Wait for news, but no longer than that; in the order of the changes."""
        try:
            async with asyncio.timeout(longest_s):
                await self._news.wait()
        except TimeoutError:
            return Told([], self._position, lost=False)
        if self._lost:
            self._lost = False
            self._news.clear()
            return Told([], self._position, lost=True)
        return Told(*self._slice(), lost=False)

    def _slice(self) -> tuple[list[bytes], FeedPosition]:
        frames: list[bytes] = []
        size, at = 0, self._position
        while self._pending and (not frames or size < SLICE_BYTES):
            station_id = next(iter(self._pending))
            at, frame = self._pending.pop(station_id)
            frames.append(frame)
            size += len(frame)
        if self._pending:
            return frames, at
        if not self.ended:
            self._news.clear()
        return frames, self._position

    def put(self, station_id: int, position: FeedPosition, frame: bytes) -> None:
        """Replaces what was to be told of the station."""
        self._pending.pop(station_id, None)
        self._pending[station_id] = position, frame
        if len(self._pending) > MAX_PENDING:
            self.lose()
        self._news.set()

    def reach(self, position: FeedPosition) -> None:
        self._position = position

    def lose(self) -> None:
        self._pending.clear()
        self._lost = True
        self._news.set()

    def end(self) -> None:
        self.ended = True
        self._news.set()


class Hub:
    """Hears from the follower (`app.replica.Listener`) and tells the readers of this process."""

    def __init__(self, frame: Frame, max_readers: int) -> None:
        self._frame = frame
        self._max_readers = max_readers
        self._readers: set[Reader] = set()
        self._of_station: dict[int, set[Reader]] = defaultdict(set)
        """Those who watch stations by id."""
        self._areas: _Areas | None = None
        self._position = FEED_START

    @property
    def position(self) -> FeedPosition:
        """How far the replica has come."""
        return self._position

    @contextmanager
    def reading(self, watch: Watch) -> Iterator[Reader]:
        """A reader who is told of all that changes from now on. Raises TooManyReadersError."""
        if len(self._readers) >= self._max_readers:
            raise TooManyReadersError(f"{self._max_readers:,} streams are open; try again later.")
        reader = Reader(watch, self._position)
        self._add(reader)
        metrics.streams.inc()
        try:
            yield reader
        finally:
            metrics.streams.dec()
            self._remove(reader)

    def end(self) -> None:
        """Let every reader come to its end; for the process is about to."""
        self._max_readers = 0
        for reader in self._readers:
            reader.end()

    def loaded(self, position: FeedPosition) -> None:
        """See `app.replica.Listener`, as for the others."""
        self.reached(position)
        for reader in self._readers:
            reader.lose()

    def reached(self, position: FeedPosition) -> None:
        self._position = position
        for reader in self._readers:
            reader.reach(position)

    @property
    def has_readers(self) -> bool:
        return bool(self._readers)

    def watched(self, places: Mapping[int, Place]) -> set[int]:
        return {station_id for station_id, place in places.items() if self._watching(station_id, place)}

    def refreshed(
        self,
        before: Mapping[int, Place],
        after: Mapping[int, Place],
        stations: Mapping[int, StoredStation],
        changes: Mapping[int, FeedPosition],
    ) -> None:
        if not self._readers:
            return
        for station_id, position in changes.items():
            was, now = before.get(station_id), after.get(station_id)
            seeing = self._watching(station_id, now)
            if seeing and station_id in stations:  # else it has gone meanwhile, which a later change tells
                frame = self._frame(str(position), station_id, stations[station_id])
                for reader in seeing:
                    reader.put(station_id, position, frame)
            if was is not None and was != now and (left := self._watching(station_id, was) - seeing):
                frame = self._frame(str(position), station_id, None)
                for reader in left:
                    reader.put(station_id, position, frame)

    def _watching(self, station_id: int, place: Place | None) -> set[Reader]:
        if place is None:
            return set()
        named = {r for r in self._of_station.get(station_id, ()) if r.watch.sees(station_id, place)}
        if self._areas is None:
            self._areas = _Areas([reader for reader in self._readers if reader.watch.ids is None])
        return named | self._areas.seeing(place)

    def _add(self, reader: Reader) -> None:
        self._readers.add(reader)
        if reader.watch.ids is None:
            self._areas = None
        for station_id in reader.watch.ids or ():
            self._of_station[station_id].add(reader)

    def _remove(self, reader: Reader) -> None:
        self._readers.remove(reader)
        if reader.watch.ids is None:
            self._areas = None
        for station_id in reader.watch.ids or ():
            self._of_station[station_id].remove(reader)
            if not self._of_station[station_id]:
                del self._of_station[station_id]


class _Areas:
    """Finds those of many readers who watch a place, all at once."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        parts = [(reader, box) for reader in readers for box in reader.watch.boxes]
        self._readers = [reader for reader, _ in parts]
        boxes: NDArray[np.float64] = np.array([box for _, box in parts], np.float64).reshape(-1, 4)
        self._west, self._south, self._east, self._north = boxes.T.copy()
        self._types = np.array([reader.watch.types for reader in self._readers], np.uint64)

    def seeing(self, place: Place) -> set[Reader]:
        inside = (self._west <= place.longitude) & (place.longitude <= self._east)
        inside &= (self._south <= place.latitude) & (place.latitude <= self._north)
        inside &= (self._types == 0) | (self._types & np.uint64(place.types) != 0)
        return {self._readers[n] for n in np.flatnonzero(inside).tolist()}
