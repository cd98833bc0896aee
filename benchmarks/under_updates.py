"""Searches while states change and while the index is made anew, against the same searches without that.

`python -m benchmarks.under_updates [--stations N] [--rounds N] [--rate N]`
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import databases
from benchmarks.figures import print_table, spread
from benchmarks.filling import fill_at
from benchmarks.http import SERVE, Measured, against_constant, searches
from benchmarks.servers import Server, server

_ROOT = Path(__file__).parents[1]
_SECONDS = 2.0
REWRITTEN = 3_000
"""Stations a second: the index is made anew again and again."""


@dataclass
class Rate:
    """What was reached."""

    per_second: float = 0.0


@contextmanager
def updates(database_url: str, kind: str, rate: float, stations: int) -> Iterator[Rate]:
    """Let another process change the catalogue until the block ends."""
    command = [sys.executable, "-m", "benchmarks.updates", database_url, kind, str(rate), str(stations)]
    reached = Rate()
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        yield reached
        told, _ = writer.communicate()
        made, seconds = told.splitlines()[-1].split()
        reached.per_second = float(made) / float(seconds)


def _row(
    name: str, reached: Rate | None, constant: list[Measured], search: list[Measured], quiet_us: float
) -> list[str]:
    return [
        name,
        "" if reached is None else f"{reached.per_second:,.0f}",
        spread([each.server_us for each in search], 0),
        spread([each.server_us / quiet_us for each in search]),
        spread([each.load.p99_ms for each in search], 1),
        spread([each.load.p99_ms / least.load.p99_ms for each, least in zip(search, constant, strict=True)]),
    ]


def rows(database_url: str, serving: Server, stations: int, rounds: int, rate: float) -> Iterator[list[str]]:
    """Without changes, and with those of each kind."""
    paths = searches()["nearest 20"]
    kinds = {"none": None, "states": rate, "stations, and the index made anew": REWRITTEN}
    quiet_us = 0.0
    for name, per_second in kinds.items():
        kind = name.partition(",")[0]
        changing = nullcontext() if per_second is None else updates(database_url, kind, per_second, stations)
        with changing as reached:
            constant, search = against_constant(serving, paths, rounds, _SECONDS)
        quiet_us = quiet_us or median(each.server_us for each in search)
        yield _row(name, reached, constant, search, quiet_us)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=10_000, help="states a second")
    asked = parser.parse_args()
    for name, kind in databases.both().items():
        with kind as fresh:
            url = fresh()
            asyncio.run(fill_at(url, asked.stations))
            with server(url, *SERVE) as serving:
                measured = list(rows(url, serving, asked.stations, asked.rounds, asked.rate))
        print(f"{name}: nearest 20 of {asked.stations:,} stations, {asked.rounds} rounds of {_SECONDS:g} s\n")
        heads = ["changes", "a second", "server, µs a search", "÷ without", "p99 ms", "p99 ÷ constant's"]
        print_table(heads, measured)


if __name__ == "__main__":
    main()
