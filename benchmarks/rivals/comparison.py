"""Asking two engines the same, in turn: whether they agree, and how long each takes."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest

import numpy as np
import orjson
from numpy.typing import NDArray

from app.api.v1 import render
from app.replica import Replica
from app.replica.sphere import distances_mm, unit_vectors
from app.stations.model import StoredStation
from app.stations.query import StationQuery
from benchmarks.rivals.rival import Rival

_BATCH = 10_000

Search = Callable[[StationQuery], bytes]
"""A JSON array of stations."""


class DisagreementError(Exception):
    """Two engines give different answers."""


@dataclass
class Round:
    """Microseconds of each call, of the same queries in the same order."""

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def ratio(self, share: float) -> float:
        """Theirs ÷ ours, at that quantile of each."""
        return float(np.quantile(self.theirs, share) / np.quantile(self.ours, share))


def our_search(stations: Sequence[StoredStation]) -> Search:
    """Of a replica as a serving process has it."""
    replica = replica_of(stations)
    return lambda query: replica.search(query).body


def replica_of(stations: Iterable[StoredStation]) -> Replica:
    """Of so many as there are; they are taken a batch at a time."""
    replica, waiting = Replica(render.summary), iter(stations)
    while batch := list(islice(waiting, _BATCH)):
        replica.put(batch)
    replica.rebuild()
    return replica


class Places:
    """Where the stations are, to judge answers by."""

    def __init__(self, stations: Sequence[StoredStation]) -> None:
        """Ids go from 1 without a gap."""
        self._vectors = unit_vectors(
            np.array([station.longitude for station in stations]),
            np.array([station.latitude for station in stations]),
        )

    def check(self, query: StationQuery, ours: Sequence[int], rival: Rival, theirs: Sequence[int]) -> None:
        """Both answers have stations at the same distances, so that they differ in nothing but ties.

        Raises DisagreementError."""
        pairs = zip_longest(self._sorted_m(query, ours), self._sorted_m(query, theirs), fillvalue=_edge_m(query))
        if any(abs(our_m - their_m) > rival.tolerance_m for our_m, their_m in pairs):
            raise DisagreementError(f"{query!r}: we say {ours}, {rival.name} says {theirs}")

    def _sorted_m(self, query: StationQuery, ids: Sequence[int]) -> list[float]:
        origin = unit_vectors(np.array([query.longitude], np.float64), np.array([query.latitude], np.float64))[0]
        found: NDArray[np.int64] = distances_mm(self._vectors[np.array(ids, np.intp) - 1], origin)
        return sorted((found / 1_000).tolist())


def _edge_m(query: StationQuery) -> float:
    """Where a station may be that only one of them has."""
    return np.inf if query.radius_km is None else query.radius_km * 1_000


def check(places: Places, search: Search, rival: Rival, queries: Sequence[StationQuery]) -> int:
    """Return how many of the queries the rival can answer. Raises DisagreementError."""
    possible = [query for query in queries if rival.can(query)]
    for query in possible:
        ours = [station["id"] for station in orjson.loads(search(query))]
        places.check(query, ours, rival, rival.ask(query))
    return len(possible)


def measure(search: Search, rival: Rival, queries: Iterator[StationQuery], seconds: float) -> Round:
    """Ask both, whoever was second being the first the next time, until that time is over."""
    taken = Round()
    order = [(search, taken.ours), (rival.ask, taken.theirs)]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        query = next(queries)
        if rival.can(query):
            for ask, times in order:
                start = time.perf_counter()
                ask(query)
                times.append((time.perf_counter() - start) * 1e6)
            order.reverse()
    return taken
