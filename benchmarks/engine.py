"""The search alone: no HTTP, no database, one query after the other in one thread."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import cycle, islice, repeat
from random import Random
from typing import Any

import numpy as np

from app.api.v1 import render
from app.db import Database
from app.replica import Follower, Replica
from app.stations.catalogue import Catalogue
from app.stations.model import StoredStation
from app.stations.query import StationQuery
from benchmarks.catalogue import Map, Place
from benchmarks.figures import print_table

MOST_CALLS = 5_000
MOST_SECONDS = 1.0
"""One kind of call is timed until it reaches either."""
_UNINDEXED = 1_000
"""Stations that change before a process makes its index anew."""
_BUILDING: Place = (13.369549, 52.525084)
_IN_BUILDING = 5_000


def near(place: Place, **asked: Any) -> StationQuery:
    """The nearest 20, unless asked otherwise."""
    longitude, latitude = place
    return StationQuery(longitude=longitude, latitude=latitude, **({"limit": 20} | asked))


def _box_around(place: Place) -> StationQuery:
    longitude, latitude = place
    return StationQuery(bbox=f"{longitude - 0.1},{latitude - 0.1},{longitude + 0.1},{latitude + 0.1}", limit=20)


QUERIES: dict[str, Callable[[Place], StationQuery]] = {
    "nearest 20": near,
    "nearest 100": partial(near, limit=100),
    "nearest 20 free CCS2 of 150 kW": partial(near, connector=["ccs2"], min_power_kw=150, status="available"),
    "nearest 20 of an operator": partial(near, operator="Operator 20"),
    "nearest 20 of a rare operator": partial(near, operator="Operator 199"),
    "connector that none has": partial(near, connector=["mcs"]),
    "power that none has": partial(near, min_power_kw=350),
    "type and power that none has": partial(near, connector=["type2"], min_power_kw=50),
    "within 10 km": partial(near, radius_km=10),
    "within 50 km": partial(near, radius_km=50),
    "within 20,000 km": partial(near, radius_km=20_000),
    "nearest 1,000": partial(near, limit=1_000),
    "text that none has": partial(near, q="nothing like it", radius_km=100),
    "box of 0.2 degrees": _box_around,
    "skip 99,999": partial(near, skip=99_999),
    "skip 1,000,000": partial(near, skip=1_000_000),
    "nearest 20 to the pole": lambda _: near((0.0, 90.0)),
    "list of 100, by id": lambda _: StationQuery(limit=100),
}


def places() -> Iterator[Place]:
    """Where drivers ask: where stations are, but not on them."""
    somewhere = Map(Random(2))  # noqa: S311 - not for secrets
    while True:
        yield somewhere.place()


async def load(database: Database) -> tuple[Replica, list[StoredStation]]:
    """The catalogue as a serving process has it, and its first thousand stations."""
    catalogue = Catalogue(database)
    follower = Follower(catalogue, render.summary)
    await follower.catch_up()
    return follower.replica, await catalogue.get_many(range(1, 1_001), datetime.now(UTC))


def measure(replica: Replica, some: list[StoredStation]) -> Iterator[tuple[str, list[float]]]:
    """Yield what was done and how many microseconds it took each time. Changes the replica."""
    for name, query in QUERIES.items():
        yield name, _microseconds(partial(replica.search, query(place)) for place in places())
    changed = zip(cycle(some), places())
    moved = (replace(station, longitude=at[0], latitude=at[1]) for station, at in islice(changed, _UNINDEXED))
    yield "one change", _microseconds(partial(replica.put, [station]) for station in moved)
    yield "nearest 20 after these changes", _microseconds(partial(replica.search, near(place)) for place in places())
    longitude, latitude = _BUILDING
    neighbours = (replace(some[0], id=10**9 + n, longitude=longitude, latitude=latitude) for n in range(_IN_BUILDING))
    replica.put(list(neighbours))
    in_building = repeat(partial(replica.search, near(_BUILDING)))
    yield f"nearest 20 of {_IN_BUILDING:,} in one building", _microseconds(in_building)


def _microseconds(calls: Iterable[Callable[[], object]]) -> list[float]:
    took = []
    end = time.perf_counter() + MOST_SECONDS
    for call in islice(calls, MOST_CALLS):
        before = time.perf_counter()
        call()
        after = time.perf_counter()
        took.append((after - before) * 1e6)
        if after > end:
            break
    return took


def print_engine(replica: Replica, some: list[StoredStation]) -> None:
    print(f"Search engine alone, {len(replica):,} stations: microseconds a call\n")
    rows = [
        [name, f"{len(took):,}", *(f"{np.quantile(took, share):,.0f}" for share in (0.5, 0.99, 1))]
        for name, took in measure(replica, some)
    ]
    print_table(["call", "calls", "median", "99 % under", "slowest"], rows)
