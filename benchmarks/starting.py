"""How long a server takes from its start to its first answer, and how much memory, against one without stations.

`python -m benchmarks.starting [--stations N] [--rounds N]`
"""

import argparse
import asyncio
import http.client
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from statistics import median

from benchmarks import databases
from benchmarks.figures import print_table, spread
from benchmarks.filling import fill_at
from benchmarks.http import load, searches
from benchmarks.servers import SERVE, Server, server

WORKERS = (1, 4)
_LOAD_S = 1.0
_STEADY, _LOOKS = 0.01, 4
"""Share by which memory changes during so many looks at most, when all workers have what they need."""
_MOST_LOOKS = 60
_QUERY = "/api/v1/stations?latitude=50&longitude=10&limit=1"


@dataclass(frozen=True)
class Started:
    """One start."""

    seconds: float
    """From the start of the process to the first good answer."""
    pss_mib: float
    """Of all processes together, when asked for a while."""


def start(database_url: str, workers: int, *, empty: bool) -> Started:
    """Of the server of a catalogue, which is empty or not."""
    began = time.perf_counter()
    with server(database_url, *SERVE, "--workers", str(workers)) as serving:
        while not _is_good(serving, empty=empty):
            time.sleep(0.005)
        took_s = time.perf_counter() - began
        return Started(took_s, _steady_mib(serving))


def _is_good(serving: Server, *, empty: bool) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)) as connection:
        connection.request("GET", _QUERY)
        answer = connection.getresponse()
        return answer.status == 200 and (answer.read() == b"[]") == empty


def _steady_mib(serving: Server) -> float:
    """Memory once it does not grow any more under load."""
    looks: list[float] = []
    while len(looks) < _MOST_LOOKS:
        load(serving, searches()["nearest 20"], _LOAD_S)
        looks.append(serving.pss_mib())
        last = looks[-_LOOKS:]
        if len(last) == _LOOKS and max(last) - min(last) < _STEADY * last[-1]:
            return last[-1]
    raise RuntimeError(f"memory does not come to rest: {looks[-1]:,.0f} MiB")


def rows(full: str, empty: str, rounds: int) -> Iterator[list[str]]:
    """Of the databases with these URLs. One start of each is not counted, as it may leave something for the next."""
    mib: dict[int, float] = {}
    for workers in WORKERS:
        start(full, workers, empty=False)
        taken = [(start(full, workers, empty=False), start(empty, workers, empty=True)) for _ in range(rounds)]
        mib[workers] = median(stations.pss_mib for stations, _ in taken)
        yield [
            f"{workers}",
            spread([stations.seconds for stations, _ in taken]),
            spread([none.seconds for _, none in taken]),
            spread([stations.seconds / none.seconds for stations, none in taken]),
            spread([stations.pss_mib for stations, _ in taken], 0),
            spread([none.pss_mib for _, none in taken], 0),
            f"{mib[workers] / mib[WORKERS[0]]:.2f}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with databases.sqlite() as of_stations, databases.sqlite() as of_none:
        full = of_stations()
        asyncio.run(fill_at(full, asked.stations))
        measured = list(rows(full, of_none(), asked.rounds))
    print(f"Start and memory, {asked.stations:,} stations, {asked.rounds} starts of each\n")
    times = ["first answer, s", "without stations, s", "÷ without stations"]
    print_table(["workers", *times, "memory, MiB", "without stations, MiB", "÷ one worker"], measured)


if __name__ == "__main__":
    main()
