"""Nearest search on NumPy arrays and scipy's k-d tree: for installations without a compiler."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from app.replica import limits
from app.replica.answer import Answer, page_version
from app.replica.columns import Columns
from app.replica.sphere import CHORD_MARGIN, Rows, Vectors, chord_of, distances_mm, unit_vector
from app.replica.table import Allocate
from app.stations.query import StationQuery

_FIRST_NEIGHBOURS, _SPARE_NEIGHBOURS = 64, 16
_MOST_TEXTS = 50_000
"""That are kept: some 40 MB."""
_DOT_MARGIN = 1e-12
_WIDE_CHORD = 0.5
"""Earth radii, about 3,200 km: most of a catalogue is nearer than that, and looking at all of it takes less time."""


class ArraySearch:
    """Candidates near the origin come from the index; what is asked of them is then checked column by column."""

    def __init__(self, columns: Columns) -> None:
        """Index the rows that there are; later ones are looked at one by one."""
        self._columns = columns
        self._index = SphereIndex(columns.stations["at"].copy())
        self.size = self._index.size
        self._texts: dict[int, bytes] = {}
        """By the stations' versions."""

    @staticmethod
    def indexed(columns: Columns, rows: Rows, now_us: int, allocate: Allocate) -> Columns:
        """These rows; their order does not matter."""
        arranged = columns.arranged(rows, allocate)
        arranged.sum_up(arranged.all_rows(), now_us)
        return arranged

    def restated(self, rows: Rows) -> None:
        """States are looked at as they are."""

    def forgotten(self, rows: Rows) -> None:
        """So is who is present."""

    def listed(self, query: StationQuery, present: int) -> Answer:
        rows = self._columns.matching(query, self._columns.all_rows())
        end = query.skip + query.limit
        page = rows[np.argsort(self._columns.stations["id"][rows])][query.skip : end]
        versions = self._versions(page)
        items = [text + b"}" for text in self._written(page, versions)]
        return _page(items, versions, total=len(rows), more=end < len(rows))

    def nearest(self, query: StationQuery, longitude: float, latitude: float) -> Answer:
        origin = np.array(unit_vector(longitude, latitude))
        if query.radius_km is None:
            return self._anywhere(query, origin)
        return self._within_radius(query, origin, query.radius_km)

    def _within_radius(self, query: StationQuery, origin: Vectors, radius_km: float) -> Answer:
        rows = self._columns.matching(query, self._within(origin, chord_of(radius_km)))
        distance_mm = distances_mm(self._columns.stations["at"][rows], origin)
        inside = distance_mm <= round(radius_km * 1e6)
        total = int(inside.sum())
        is_counted = total <= limits.MAX_COUNTED
        return self._ranked(query, rows[inside], distance_mm[inside], total if is_counted else None)

    def _anywhere(self, query: StationQuery, origin: Vectors) -> Answer:
        """Look at ever more of the nearest until enough of them match."""
        wanted = query.skip + query.limit + 1  # one more tells whether there is a next page
        k = wanted + _SPARE_NEIGHBOURS
        if query.is_filtered:
            k = max(k, _FIRST_NEIGHBOURS)
        while True:
            whole = 2 * k >= self._index.size
            near = self._columns.all_rows() if whole else self._nearer(origin, k)
            rows = self._columns.matching(query, near)
            if whole or len(rows) >= wanted:
                break
            k *= 8
        rows = self._closest(rows, origin, wanted)
        return self._ranked(query, rows, distances_mm(self._columns.stations["at"][rows], origin), total=None)

    def _closest(self, rows: Rows, origin: Vectors, k: int) -> Rows:
        """The k nearest of the rows and all that are as near as the last of them, by a quick, rough measure; or some
        more, where that takes less time."""
        if len(rows) <= k + _FIRST_NEIGHBOURS:
            return rows
        nearness: NDArray[np.float64] = self._columns.stations["at"][rows] @ origin
        threshold = float(np.partition(nearness, -k)[-k]) - _DOT_MARGIN
        return rows[nearness >= threshold]

    def _ranked(self, query: StationQuery, rows: Rows, distance_mm: NDArray[np.int64], total: int | None) -> Answer:
        end = query.skip + query.limit
        order = np.lexsort((self._columns.stations["id"][rows], distance_mm))[query.skip : end]
        page = rows[order]
        versions = self._versions(page)
        items = [
            b'%b,"distance_km":%.6f}' % (text, mm / 1e6)
            for text, mm in zip(self._written(page, versions), distance_mm[order].tolist(), strict=True)
        ]
        return _page(items, versions, total, more=end < len(rows))

    def _versions(self, rows: Rows) -> list[int]:
        versions: list[int] = self._columns.stations["version"][rows].tolist()
        return versions

    def _written(self, rows: Rows, versions: list[int]) -> list[bytes]:
        """What is written of popular stations is kept until they change, and then have other versions."""
        known = self._texts
        if len(known) > _MOST_TEXTS:
            known.clear()
        try:
            return [known[version] for version in versions]
        except KeyError:
            missing = [n for n, version in enumerate(versions) if version not in known]
            known.update(zip([versions[n] for n in missing], self._columns.written(rows[missing]), strict=True))
            return [known[version] for version in versions]

    def _nearer(self, origin: Vectors, k: int) -> Rows:
        """All rows that are nearer than the k-th nearest of the indexed."""
        rows, chord = self._index.nearer(origin, k)
        later = self._columns.stations["at"][self._index.size :]
        if not len(later):
            return rows
        return np.concatenate([rows, np.flatnonzero(np.linalg.norm(later - origin, axis=1) < chord) + self.size])

    def _within(self, origin: Vectors, chord: float) -> Rows:
        """Rows not farther than `chord`, of the indexed and of the later ones; all rows where that is quicker."""
        if chord > _WIDE_CHORD:
            return self._columns.all_rows()
        later = self._columns.stations["at"][self._index.size :]
        near = np.flatnonzero(np.linalg.norm(later - origin, axis=1) <= chord) + self._index.size
        return np.concatenate([self._index.within(origin, chord), near])


def _page(items: list[bytes], versions: list[int], total: int | None, more: bool) -> Answer:
    return Answer(b"[%b]" % b",".join(items), total, more, page_version(versions, total, more))


class SphereIndex:
    """Answers which of a fixed set of points are near a place."""

    def __init__(self, points: Vectors) -> None:
        self._tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        self.size = len(points)

    def nearer(self, origin: Vectors, k: int) -> tuple[Rows, float]:
        """All points that are nearer than the k-th nearest, 1 <= k <= size, and the chord to that one."""
        found = self._tree.query(origin, k=k)
        chords, rows = np.asarray(found[0]), np.asarray(found[1], np.intp)
        chord = float(chords[-1]) - CHORD_MARGIN  # those as near as that one are not all among them
        return rows[chords < chord], chord

    def within(self, origin: Vectors, chord: float) -> Rows:
        """All points not farther than `chord`, in no particular order."""
        return np.asarray(self._tree.query_ball_point(origin, chord), dtype=np.intp)
