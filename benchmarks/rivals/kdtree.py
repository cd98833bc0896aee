"""SciPy's cKDTree of unit vectors; filters on NumPy columns of more and more of the nearest, until enough pass."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from app.replica.sphere import EARTH_RADIUS_KM, unit_vector, unit_vectors
from app.stations.model import StoredStation
from app.stations.query import StationQuery
from app.stations.status import in_station_words
from app.stations.vocabulary import CONNECTOR_TYPES, StationStatus
from benchmarks.rivals.rival import Rival

_TYPE_CODE = {kind.value: code for code, kind in enumerate(CONNECTOR_TYPES)}
_STATUS_CODE = {status: code for code, status in enumerate(StationStatus)}
_GROWTH = 4
_ROUNDING = 1e-9
"""Added to a chord, so that no station at the edge is lost."""


@contextmanager
def kdtree(stations: Sequence[StoredStation]) -> Iterator[Rival]:
    """In this process."""
    yield Rival("cKDTree", _Tree(stations).search, tolerance_m=0.1)


class _Tree:
    def __init__(self, stations: Sequence[StoredStation]) -> None:
        self._ids = np.array([station.id for station in stations])
        positions = np.array([(station.longitude, station.latitude) for station in stations])
        self._tree = cKDTree(unit_vectors(*positions.T))
        self._operator_codes: dict[str | None, int] = {}
        codes = self._operator_codes
        self._operators = np.array([codes.setdefault(station.operator, len(codes)) for station in stations])
        entries = [_entries(station) for station in stations]
        self._counts = np.array([len(of_station) for of_station in entries])
        self._starts = np.cumsum(self._counts) - self._counts
        self._types, self._powers, self._statuses = np.array([e for of_station in entries for e in of_station]).T

    def search(self, query: StationQuery) -> list[int]:
        assert query.longitude is not None
        assert query.latitude is not None
        at = unit_vector(query.longitude, query.latitude)
        count, most = query.limit, len(self._ids)
        while True:
            found = self._tree.query(at, min(count, most), distance_upper_bound=_chord(query.radius_km))
            chords, rows = np.atleast_1d(found[0]), np.atleast_1d(found[1])
            rows = rows[np.isfinite(chords)]
            passing = rows[self._passes(query, rows)]
            if len(passing) >= query.limit or len(rows) < min(count, most) or count >= most:
                return [int(number) for number in self._ids[passing[: query.limit]]]
            count *= _GROWTH

    def _passes(self, query: StationQuery, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        passes = np.ones(len(rows), np.bool_)
        if query.operator is not None:
            passes &= self._operators[rows] == self._operator_codes.get(query.operator, -1)
        if len(rows) and (query.connector or query.min_power_kw is not None or query.status is not None):
            passes &= self._any_connector(query, rows)
        return passes

    def _any_connector(self, query: StationQuery, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether one connector meets all that is asked of it and of its EVSE."""
        counts = self._counts[rows]
        firsts = np.cumsum(counts) - counts
        entries = np.arange(counts.sum()) + np.repeat(self._starts[rows] - firsts, counts)
        good = np.ones(len(entries), np.bool_)
        if query.connector:
            good &= np.isin(self._types[entries], [_TYPE_CODE[kind.value] for kind in query.connector])
        if query.min_power_kw is not None:
            good &= self._powers[entries] >= query.min_power_kw
        if query.status is not None:
            good &= self._statuses[entries] == _STATUS_CODE[query.status]
        return np.logical_or.reduceat(good, firsts)


def _entries(station: StoredStation) -> list[tuple[int, float, int]]:
    """Type, power in kW and status of its EVSE, of each connector."""
    return [
        (_TYPE_CODE[connector["type"]], connector.get("power_kw", 0), _STATUS_CODE[in_station_words(evse.status)])
        for evse in station.evses
        for connector in evse.connectors
    ]


def _chord(radius_km: float | None) -> float:
    """Through a globe of radius 1."""
    if radius_km is None:
        return np.inf
    return float(2 * np.sin(min(radius_km / EARTH_RADIUS_KM / 2, np.pi / 2)) + _ROUNDING)
