"""The searchable catalogue of one process."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from app.replica.columns import Columns, Render
from app.replica.sphere import Rows, SphereIndex, Vectors, chord_of, distances_mm, unit_vectors
from app.stations.model import StoredStation
from app.stations.query import StationQuery

_MIN_UNINDEXED = 1_000
"""Rows that may be appended, or go, before the index is worth building anew."""
_FIRST_NEIGHBOURS = 64
_DOT_MARGIN = 1e-12
_WIDE_CHORD = 0.5
"""Earth radii, about 3,200 km: most of a catalogue is nearer than that, and looking at all of it takes less time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of a search."""

    items: list[bytes]
    """JSON objects, in order."""
    total: int | None
    """How many stations match in all; `None` for nearest anywhere, which does not look at all of them."""
    more: bool
    """Whether there is a next page."""
    version: bytes
    """To the same query, equal versions mean equal answers, in whatever process."""


class Replica:
    """Stations in columns: those up to the last rebuild in an exact index, the few later ones looked at one by one.

    Not to be used from several threads at once.
    """

    def __init__(self, render: Render) -> None:
        self._columns = Columns(render)
        self._row_of: dict[int, int] = {}
        self._index = SphereIndex(self._columns.points.used)

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
        origin = unit_vectors(np.array(query.longitude), np.array(query.latitude))
        if query.radius_km is None:
            return self._nearest_anywhere(query, origin)
        return self._nearest_within(query, origin, query.radius_km)

    def _listed(self, query: StationQuery) -> Answer:
        rows = self._columns.matching(query, self._all_rows())
        end = query.skip + query.limit
        page = rows[np.argsort(self._columns.ids.used[rows])][query.skip : end]
        items = [self._columns.fragments[row] + b"}" for row in page.tolist()]
        return self._answer(items, page, total=len(rows), more=end < len(rows))

    def _nearest_within(self, query: StationQuery, origin: Vectors, radius_km: float) -> Answer:
        rows = self._columns.matching(query, self._within(origin, chord_of(radius_km)))
        distance_mm = distances_mm(self._columns.points.used[rows], origin)
        inside = distance_mm <= round(radius_km * 1e6)
        return self._ranked(query, rows[inside], distance_mm[inside], total=int(inside.sum()))

    def _nearest_anywhere(self, query: StationQuery, origin: Vectors) -> Answer:
        """Look at ever more of the nearest until enough of them match."""
        wanted = query.skip + query.limit + 1  # one more tells whether there is a next page
        k = max(_FIRST_NEIGHBOURS, wanted)
        while True:
            whole = 2 * k >= self._index.size
            near = self._all_rows() if whole else self._within(origin, self._index.chord_to(origin, k))
            rows = self._columns.matching(query, near)
            if whole or len(rows) >= wanted:
                break
            k *= 8
        rows = self._closest(rows, origin, wanted)
        return self._ranked(query, rows, distances_mm(self._columns.points.used[rows], origin), total=None)

    def _closest(self, rows: Rows, origin: Vectors, k: int) -> Rows:
        """The k nearest of the rows and all that are as near as the last of them, by a quick, rough measure."""
        if len(rows) <= k:
            return rows
        nearness: NDArray[np.float64] = self._columns.points.used[rows] @ origin
        threshold = float(np.partition(nearness, -k)[-k]) - _DOT_MARGIN
        return rows[nearness >= threshold]

    def _ranked(self, query: StationQuery, rows: Rows, distance_mm: NDArray[np.int64], total: int | None) -> Answer:
        end = query.skip + query.limit
        order = np.lexsort((self._columns.ids.used[rows], distance_mm))[query.skip : end]
        items = [
            b'%b,"distance_km":%r}' % (self._columns.fragments[row], mm / 1e6)
            for row, mm in zip(rows[order].tolist(), distance_mm[order].tolist(), strict=True)
        ]
        return self._answer(items, rows[order], total, more=end < len(rows))

    def _answer(self, items: list[bytes], rows: Rows, total: int | None, more: bool) -> Answer:
        version = self._columns.versions.used[rows].tobytes() + repr((total, more)).encode()
        return Answer(items, total, more, version)

    def _within(self, origin: Vectors, chord: float) -> Rows:
        """Rows not farther than `chord`, of the indexed and of the later ones; all rows where that is quicker."""
        if chord > _WIDE_CHORD:
            return self._all_rows()
        later = self._columns.points.used[self._index.size :]
        near = np.flatnonzero(np.linalg.norm(later - origin, axis=1) <= chord) + self._index.size
        return np.concatenate([self._index.within(origin, chord), near])

    def _all_rows(self) -> Rows:
        return np.arange(len(self._columns))

    def _forget(self, ids: Iterable[int]) -> None:
        for station_id in ids:
            row = self._row_of.pop(station_id, None)
            if row is not None:
                self._columns.present.used[row] = False

    def _rebuild_if_due(self) -> None:
        """Index again when the rows appended since, or gone, are many enough to slow searches down."""
        unindexed = len(self._columns) - self._index.size
        gone = len(self._columns) - len(self._row_of)
        if max(unindexed, gone) > max(_MIN_UNINDEXED, self._index.size // 8):
            self._columns.compact()
            self._row_of = {int(station_id): row for row, station_id in enumerate(self._columns.ids.used)}
            self._index = SphereIndex(self._columns.points.used.copy())
