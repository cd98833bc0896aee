"""The search engine against PostGIS, Redis and SciPy.

`python -m benchmarks.rivals [--stations N] [--rounds N] [--seconds N]`
"""

import argparse
import gc
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain, cycle

import numpy as np

from app.stations.model import StoredStation
from benchmarks.catalogue import stored
from benchmarks.figures import print_table, spread
from benchmarks.queries import is_plain, mix
from benchmarks.rivals.comparison import Places, Round, Search, check, measure, our_search
from benchmarks.rivals.kdtree import kdtree
from benchmarks.rivals.postgis import postgis
from benchmarks.rivals.redis import redis_geosearch
from benchmarks.rivals.rival import Rival
from tests import services

_CHECKED = 200
_QUERIES = 5_000

Opened = Callable[[Sequence[StoredStation]], AbstractContextManager[Rival]]


def _rivals() -> Iterator[Opened]:
    """Those that are installed."""
    if programs := services.postgresql_programs():
        yield partial(postgis, programs=programs)
    if shutil.which("redis-server"):
        yield redis_geosearch
    yield kdtree


def _rows(search: Search, places: Places, rival: Rival, rounds: int, seconds: float) -> Iterator[list[str]]:
    """For the nearest anywhere, for those within a radius, and for queries with filters."""
    queries = mix(_QUERIES)
    plain = [query for query in queries if is_plain(query)]
    for what, asked in {
        "nearest": [query for query in plain if query.radius_km is None],
        "within a radius": [query for query in plain if query.radius_km is not None],
        "with filters": [query for query in queries if not is_plain(query)],
    }.items():
        if check(places, search, rival, asked[:_CHECKED]):
            waiting = cycle(asked)
            yield [rival.name, what, *_figures([measure(search, rival, waiting, seconds) for _ in range(rounds)])]


def _figures(taken: list[Round]) -> list[str]:
    ours = list(chain.from_iterable(each.ours for each in taken))
    theirs = list(chain.from_iterable(each.theirs for each in taken))
    times = [f"{np.quantile(of, share):,.0f}" for of in (ours, theirs) for share in (0.5, 0.99)]
    return [f"{len(ours):,}", *times, *(spread([each.ratio(share) for each in taken], 1) for share in (0.5, 0.99))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round (default: 2)")
    asked = parser.parse_args()
    stations = list(stored(asked.stations))
    search, places = our_search(stations), Places(stations)
    gc.freeze()
    rows: list[list[str]] = []
    for opened in _rivals():
        with opened(stations) as rival:
            rows += _rows(search, places, rival, asked.rounds, asked.seconds)
    print(
        f"{asked.stations:,} stations, one query after the other, microseconds; "
        f"{asked.rounds} rounds of {asked.seconds:g} s each; the answers agree\n"
    )
    header = ["engine", "queries", "number", "ours p50", "p99", "its p50", "p99", "its p50 ÷ ours", "its p99 ÷ ours"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
