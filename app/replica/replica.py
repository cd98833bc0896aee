"""The searchable catalogue of one process."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from itertools import compress
from typing import Protocol

import numpy as np

from app.replica import availability, limits
from app.replica.answer import Answer
from app.replica.availability import Availability
from app.replica.columns import BY_ID, IDS, Columns, Render
from app.replica.sphere import Rows
from app.replica.states import microseconds
from app.replica.table import Allocate
from app.replica.traits import Place
from app.stations.model import EvseObservation, StoredStation
from app.stations.query import Box, StationQuery

try:
    from app.replica.compiled import CompiledSearch
except ImportError:  # installed without a compiler
    HAS_KERNEL = False
else:
    HAS_KERNEL = True

_MIN_UNINDEXED = 1_000
"""Rows that may be appended, or go, before the index is worth building anew."""


class Search(Protocol):
    """Finds stations in the columns that it was made for."""

    size: int
    """Rows in the index, which are the first ones; later ones are looked at one by one."""

    def nearest(self, query: StationQuery, longitude: float, latitude: float) -> Answer:
        """The page that the query asks for, by distance in whole millimetres, ties by id."""

    def listed(self, query: StationQuery, present: int) -> Answer:
        """The page that the query asks for, by id. `present`: stations that there are."""

    def restated(self, rows: Rows) -> None:
        """What is observed of these rows has changed."""

    def forgotten(self, rows: Rows) -> None:
        """These rows are not present any more."""


class SearchClass(Protocol):
    """Makes a Search."""

    def indexed(self, columns: Columns, rows: Rows, now_us: int, allocate: Allocate) -> Columns:
        """A copy of these rows, as of now, in an order that the search can work with."""

    def __call__(self, columns: Columns) -> Search:
        """For columns that `indexed` has made, or empty ones."""


class Replica:
    """Stations in columns: those up to the last rebuild in an exact index, the few later ones looked at one by one.

    Not to be used from several threads at once, except for `Rebuild.work`.
    """

    def __init__(self, render: Render, compiled: bool = HAS_KERNEL, columns: Columns | None = None) -> None:
        """`compiled`: search by the compiled kernel, which is faster and gives the same answers. `columns`: those of
        a snapshot that the same kind of replica has made; none: without a station."""
        self._class = _search_class(compiled)
        self._columns = Columns(render) if columns is None else columns
        self._search = self._class(self._columns)
        self._rows = _RowNumbers(self._columns)
        self._rebuild: Rebuild | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, stations: Sequence[StoredStation], now: datetime | None = None) -> None:
        """Add stations, or replace those with the same ids; each at most once in one call. `now`: their states are
        as of then."""
        ids = [station.id for station in stations]
        self._forget(ids)
        first = len(self._columns)
        self._columns.append(stations, microseconds(now or datetime.now(UTC)))
        self._rows.put(ids, first)

    def remove(self, ids: Iterable[int]) -> None:
        """Drop stations; ids that are not there are ignored."""
        self._forget(list(ids))

    def observe(self, states: Sequence[EvseObservation], now: datetime, whole: Collection[int] = ()) -> None:
        """Take these for what was observed last of their EVSEs; of the stations `whole`, for all that was observed.
        Those of stations that are not there are ignored."""
        ids = {*whole, *(state.station_id for state in states)}
        all_anew = self._rows.find(whole)
        self._restated(
            _there(self._rows.find(ids)),
            lambda rows: self._columns.observe(rows, states, microseconds(now), _there(all_anew)),
        )

    def age(self, now: datetime) -> list[int]:
        """Let no status hold longer than it may; return the stations that this concerns."""
        stations = self._columns.stations
        rows = np.flatnonzero(stations["present"] & (stations["expires_us"] <= microseconds(now)))
        self._restated(rows, lambda rows: self._columns.sum_up(rows, microseconds(now)))
        ids: list[int] = stations["id"][rows].tolist()
        return ids

    def _restated(self, rows: Rows, write: Callable[[Rows], None]) -> None:
        if len(rows):
            write(rows)
            self._search.restated(rows)
            if self._rebuild:
                self._rebuild.restated.update(self._columns.stations["id"][rows].tolist())

    def version_of(self, station_id: int) -> int | None:
        """A number that changes with anything that is known of the station; `None` when it is not there."""
        row = self._rows.get(station_id)
        return None if row is None else int(self._columns.stations["version"][row])

    def places(self, ids: Iterable[int]) -> dict[int, Place]:
        """Of those of the stations that are there."""
        rows = ((station_id, self._rows.get(station_id)) for station_id in ids)
        return {station_id: self._columns.place(row) for station_id, row in rows if row is not None}

    def availability_of(self, ids: Sequence[int]) -> tuple[Availability, dict[int, Availability]]:
        """Of those of the stations that are there, together and each by itself."""
        asked = list(dict.fromkeys(ids))
        rows = self._rows.find(asked)
        found = [station_id for station_id, row in zip(asked, rows.tolist(), strict=True) if row >= 0]
        rows = rows[rows >= 0]
        apart = dict(zip(found, availability.each(self._columns, rows), strict=True))
        return availability.summed_up(self._columns, rows), apart

    def availability_in(self, box: Box, most: int) -> Availability | int:
        """Of the stations inside the box together; of more than `most`, only how many they are."""
        rows = self._columns.rows_in(box, 0)
        return len(rows) if len(rows) > most else availability.summed_up(self._columns, rows)

    def ids_in(self, box: Box | None, types: int) -> list[int]:
        """Stations inside the box (None: anywhere) that have one of these types of connector (0: any or none), by
        id."""
        return sorted(self._columns.stations["id"][self._columns.rows_in(box, types)].tolist())

    def stale_since(self, moment: datetime) -> list[int]:
        """Stations with a live status that ceased to hold at that moment or later."""
        stations = self._columns.stations
        ids: list[int] = stations["id"][stations["present"] & (stations["stale_us"] >= microseconds(moment))].tolist()
        return ids

    def count_by_source(self) -> dict[str, int]:
        """Number of stations of each source."""
        return self._columns.count_by("source")

    def search(self, query: StationQuery) -> Answer:
        """Nearest first from the query's position, ties by id; without a position, by id. Raises TooDearError."""
        if limits.MAX_SKIP < query.skip < len(self):
            raise limits.too_deep()
        if query.latitude is None or query.longitude is None:
            return self._search.listed(query, len(self))
        return self._search.nearest(query, query.longitude, query.latitude)

    def _forget(self, ids: Sequence[int]) -> None:
        rows = self._rows.pop(ids)
        self._columns.stations["present"][rows] = False
        self._search.forgotten(rows)
        if self._rebuild:
            self._rebuild.rewritten.update(ids)

    @property
    def is_rebuild_due(self) -> bool:
        """Whether the rows appended since the last one, or gone, are many enough to slow searches down."""
        unindexed = len(self._columns) - self._search.size
        gone = len(self._columns) - len(self)
        return max(unindexed, gone) > max(_MIN_UNINDEXED, self._search.size // 64)

    def begin_rebuild(self) -> "Rebuild":
        """What must be done to index all rows anew: `work` or `take`, in whatever thread, then `end_rebuild`."""
        self._rebuild = Rebuild(self._columns, self._class)
        return self._rebuild

    def end_rebuild(self, rebuild: "Rebuild") -> None:
        """Put the new columns in the place of the old, with what has changed meanwhile."""
        old, new, rows = self._columns, rebuild.columns, rebuild.rows
        gone = rows.pop(rebuild.rewritten)
        new.stations["present"][gone] = False
        restated = list(rebuild.restated - rebuild.rewritten)
        mine, theirs = rows.find(restated), self._rows.find(restated)
        is_here = (mine >= 0) & (theirs >= 0)  # a feed tells of stations too that are gone
        mine, theirs = mine[is_here], theirs[is_here]
        new.copy_states(mine, old, theirs)
        size = len(new)
        written = [station_id for station_id in rebuild.rewritten if self._rows.get(station_id) is not None]
        self._columns, self._search, self._rebuild = new, self._class(new), None
        new.extend_from(old, self._rows.find(written))
        rows.put(written, size)
        self._rows = rows
        self._search.forgotten(gone)
        self._search.restated(mine)

    def rebuild(self, now: datetime | None = None) -> None:
        """All of it at once."""
        rebuild = self.begin_rebuild()
        rebuild.work(now or datetime.now(UTC))
        self.end_rebuild(rebuild)


class Rebuild:
    """Columns made anew while the old ones are still in use."""

    def __init__(self, old: Columns, search: SearchClass) -> None:
        self._old, self._search = old, search
        self._present = old.stations["present"].nonzero()[0]
        self.columns: Columns
        self.rows: _RowNumbers
        self.rewritten: set[int] = set()
        """Stations that have come, changed or gone since."""
        self.restated: set[int] = set()
        """Stations of which something else has been observed since."""

    def work(self, now: datetime, allocate: Allocate = np.empty) -> Columns:
        """Index the old ones."""
        columns = self._search.indexed(self._old, self._present, microseconds(now), allocate)
        self.take(columns)
        return columns

    def take(self, columns: Columns) -> None:
        """Use these, in which only what is `rewritten` and `restated` differs from the old ones."""
        self.columns, self.rows = columns, _RowNumbers(columns)


class _RowNumbers:
    """Where each station is: those that were there at first found in an ordered array, the others in a dictionary."""

    def __init__(self, columns: Columns) -> None:
        self._ids, self._by_id = columns.stations[IDS], columns.stations[BY_ID]
        self._later: dict[int, int] = {}
        """-1: gone."""
        self._count = len(self._ids)

    def __len__(self) -> int:
        return self._count

    def find(self, ids: Collection[int]) -> Rows:
        """Row of each, -1 for one that is not there."""
        wanted = np.fromiter(ids, np.int64, len(ids))
        rows = np.full(len(ids), -1, np.intp)
        if len(self._ids):
            at = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
            rows = np.where(self._ids[at] == wanted, self._by_id[at], rows)
        if self._later:
            at_first = zip(ids, rows.tolist(), strict=True)
            rows = np.array([self._later.get(station_id, row) for station_id, row in at_first], np.intp)
        return rows

    def get(self, station_id: int) -> int | None:
        row = self._later.get(station_id)
        if row is None:
            row = int(self.find([station_id])[0]) if station_id < 1 << 63 else -1
        return None if row < 0 else row

    def put(self, ids: Sequence[int], first: int) -> None:
        """They have these rows, one after the other; none of them is there."""
        self._later.update((station_id, first + n) for n, station_id in enumerate(ids))
        self._count += len(ids)

    def pop(self, ids: Collection[int]) -> Rows:
        """The rows of those that are there, which are then gone."""
        rows = self.find(ids)
        there = rows >= 0
        self._later.update(dict.fromkeys(compress(ids, there.tolist()), -1))
        self._count -= int(there.sum())
        return rows[there]


def _there(rows: Rows) -> Rows:
    return rows[rows >= 0]


def _search_class(compiled: bool) -> SearchClass:
    if compiled:
        return CompiledSearch
    from app.replica.arrays import ArraySearch  # noqa: PLC0415 - scipy takes 0.4 s to import

    return ArraySearch
