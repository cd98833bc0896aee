"""The searchable catalogue of one process."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np

from app.replica import availability
from app.replica.answer import Answer
from app.replica.availability import Availability
from app.replica.columns import Columns, Place, Render
from app.stations.model import StoredStation
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
    """Finds the nearest rows of the columns that it was made for."""

    size: int
    """Rows in the index, which are the first ones; later ones are looked at one by one."""

    def nearest(self, query: StationQuery, longitude: float, latitude: float) -> Answer:
        """The page that the query asks for, by distance in whole millimetres, ties by id."""


class Replica:
    """Stations in columns: those up to the last rebuild in an exact index, the few later ones looked at one by one.

    Not to be used from several threads at once.
    """

    def __init__(self, render: Render, compiled: bool = HAS_KERNEL) -> None:
        """`compiled`: search by the compiled kernel, which is faster and gives the same answers."""
        self._columns = Columns(render)
        self._row_of: dict[int, int] = {}
        self._index = _search_class(compiled)
        self._search: Search = self._index(self._columns)

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, stations: Sequence[StoredStation]) -> None:
        """Add stations, or replace those with the same ids; each at most once in one call."""
        self._forget(station.id for station in stations)
        first = len(self._columns)
        self._columns.append(stations)
        self._row_of.update((station.id, first + n) for n, station in enumerate(stations))
        self._rebuild_if_due()

    def remove(self, ids: Iterable[int]) -> None:
        """Drop stations; ids that are not there are ignored."""
        self._forget(ids)
        self._rebuild_if_due()

    def version_of(self, station_id: int) -> int | None:
        """A number that changes with anything that is known of the station; `None` when it is not there."""
        row = self._row_of.get(station_id)
        return None if row is None else int(self._columns.versions.used[row])

    def places(self, ids: Iterable[int]) -> dict[int, Place]:
        """Of those of the stations that are there."""
        rows = ((station_id, self._row_of.get(station_id)) for station_id in ids)
        return {station_id: self._columns.place(row) for station_id, row in rows if row is not None}

    def availability_of(self, ids: Sequence[int]) -> tuple[Availability, dict[int, Availability]]:
        """Of those of the stations that are there, together and each by itself."""
        found = [station_id for station_id in dict.fromkeys(ids) if station_id in self._row_of]
        rows = np.array([self._row_of[station_id] for station_id in found], np.intp)
        apart = dict(zip(found, availability.each(self._columns, rows), strict=True))
        return availability.summed_up(self._columns, rows), apart

    def availability_in(self, box: Box, most: int) -> Availability | int:
        """Of the stations inside the box together; of more than `most`, only how many they are."""
        rows = self._columns.rows_in(box, 0)
        return len(rows) if len(rows) > most else availability.summed_up(self._columns, rows)

    def ids_in(self, box: Box | None, types: int) -> list[int]:
        """Stations inside the box (None: anywhere) that have one of these types of connector (0: any or none), by
        id."""
        columns = self._columns
        return sorted(columns.ids.used[columns.rows_in(box, types)].tolist())

    def stale_since(self, moment: datetime) -> list[int]:
        """Stations with a live status that ceased to hold at that moment or later."""
        columns = self._columns
        rows = columns.present.used & (columns.stale_since.used >= moment.timestamp())
        return [int(station_id) for station_id in columns.ids.used[rows]]

    def count_by_source(self) -> dict[str, int]:
        """Number of stations of each source."""
        return self._columns.count_by("source")

    def expired(self, now: datetime) -> list[int]:
        """Ids of stations with a live status that has ceased to hold: they must be read anew."""
        columns = self._columns
        due = columns.present.used & (columns.expires_at.used <= now.timestamp())
        return [int(station_id) for station_id in columns.ids.used[due]]

    def search(self, query: StationQuery) -> Answer:
        """Nearest first from the query's position, ties by id; without a position, by id."""
        if query.latitude is None or query.longitude is None:
            return self._listed(query)
        return self._search.nearest(query, query.longitude, query.latitude)

    def _listed(self, query: StationQuery) -> Answer:
        columns = self._columns
        rows = columns.matching(query, columns.all_rows())
        end = query.skip + query.limit
        page = rows[np.argsort(columns.ids.used[rows])][query.skip : end]
        body = b"[%b]" % b",".join([columns.fragments[row] + b"}" for row in page.tolist()])
        return columns.answer(body, page, total=len(rows), more=end < len(rows))

    def _forget(self, ids: Iterable[int]) -> None:
        for station_id in ids:
            row = self._row_of.pop(station_id, None)
            if row is not None:
                self._columns.present.used[row] = False

    def _rebuild_if_due(self) -> None:
        """Index again when the rows appended since, or gone, are many enough to slow searches down."""
        unindexed = len(self._columns) - self._search.size
        gone = len(self._columns) - len(self._row_of)
        if max(unindexed, gone) > max(_MIN_UNINDEXED, self._search.size // 8):
            self._columns.compact()
            self._row_of = {int(station_id): row for row, station_id in enumerate(self._columns.ids.used)}
            self._search = self._index(self._columns)


def _search_class(compiled: bool) -> Callable[[Columns], Search]:
    if compiled:
        return CompiledSearch
    from app.replica.arrays import ArraySearch  # noqa: PLC0415 - scipy takes 0.4 s to import

    return ArraySearch
