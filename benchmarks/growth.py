"""How searches take longer as the catalogue grows: the engine alone, the same queries of each size in turn.

`python -m benchmarks.growth [--stations N ...] [--queries N]`: five million stations take about 8 GB.
"""

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

import numpy as np

from app.replica import Replica
from app.stations.query import StationQuery
from benchmarks.catalogue import Place, stored
from benchmarks.engine import near, places
from benchmarks.figures import print_table
from benchmarks.rivals.comparison import replica_of

_RARE_KW = 350
"""More than any station of the catalogue gives."""
QUERIES: dict[str, Callable[[Place], StationQuery]] = {
    "nearest 20": near,
    "nearest 100": partial(near, limit=100),
    "nearest 20 free CCS2 of 150 kW": partial(near, connector=["ccs2"], min_power_kw=150, status="available"),
    "nearest 20 of an operator": partial(near, operator="Operator 20"),
    "nearest 20 of a rare operator": partial(near, operator="Operator 199"),
    "a connector that none has": partial(near, connector=["mcs"]),
    "a power that none has": partial(near, min_power_kw=_RARE_KW),
    "type and power that none has": partial(near, connector=["type2"], min_power_kw=50),
    "within 10 km": partial(near, radius_km=10),
    "within 50 km": partial(near, radius_km=50),
    "within 20,000 km": partial(near, radius_km=20_000),
    "nearest 1,000": partial(near, limit=1_000),
    "nearest, skip 100,000": partial(near, skip=100_000 - 1),
    "nearest 20 to the pole": lambda _: near((0.0, 90.0)),
    "list of 100, by id": lambda _: StationQuery(limit=100),
}


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
