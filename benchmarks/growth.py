"""How searches take longer as the catalogue grows: the engine alone, the same queries of each size in turn.

`python -m benchmarks.growth [--stations N ...] [--queries N]`: five million stations take about 8 GB.
"""

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice

import numpy as np

from app.errors import TooDearError
from app.replica import Replica
from app.stations.query import StationQuery
from benchmarks.catalogue import Place, stored
from benchmarks.engine import QUERIES, places
from benchmarks.figures import print_table
from benchmarks.rivals.comparison import replica_of


def microseconds(
    replicas: Sequence[Replica], query: Callable[[Place], StationQuery], calls: int
) -> list[list[float]]:
    """Of each replica, for the same places; no longer than some seconds in all."""
    taken: list[list[float]] = [[] for _ in replicas]
    end = time.perf_counter() + 3.0 * len(replicas)
    for place in islice(places(), calls):
        asked = query(place)
        for replica, of_replica in zip(replicas, taken, strict=True):
            began = time.perf_counter()
            with suppress(TooDearError):  # refusing it is an answer, too
                replica.search(asked)
            of_replica.append((time.perf_counter() - began) * 1e6)
        if time.perf_counter() > end:
            break
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=3_000)
    asked = parser.parse_args()
    replicas = [replica_of(stored(count)) for count in asked.stations]
    gc.collect()
    gc.freeze()
    rows = []
    for name, query in QUERIES.items():
        taken = microseconds(replicas, query, asked.queries)
        cells = [f"{np.median(each):,.0f} / {np.quantile(each, 0.99):,.0f} / {max(each):,.0f}" for each in taken]
        rows.append([name, *cells, f"{np.median(taken[-1]) / np.median(taken[0]):.2f}"])
    print("The engine alone, microseconds a search: median / 99 % under / slowest\n")
    print_table(["search", *(f"{count:,} stations" for count in asked.stations), "last ÷ first"], rows)


if __name__ == "__main__":
    main()
