"""What an import costs in time and memory, against the least that it could cost.

`python -m benchmarks.imports [--rounds N]`
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import databases
from benchmarks.databases import Fresh
from benchmarks.figures import print_table, spread
from benchmarks.floor import read_rows, write_rows
from benchmarks.import_file import import_file
from benchmarks.memory import COPIES, import_alone, write_copies
from tests.services import postgresql_programs

DATA = Path(os.environ.get("VOLTWAY_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
TIME_AIM = 5.0
"""The most that an import should take, in times of the floor."""
MEMORY_AIM = 1.2
"""The most that ten times the stations should take, in times of the memory for one."""


class Input(NamedTuple):
    """A real file."""

    source: str
    path: Path
    delimiter: str = ","


INPUTS = (
    Input("ocm", DATA / "ocm/austin-2026-verbose.json"),
    Input("ocm", DATA / "ocm/london-2021-compact.json"),
    Input("afdc", DATA / "afdc/new-york-2025-04.csv"),
    Input("afdc", DATA / "afdc/washington-2025-11.csv"),
    Input("bnetza", DATA / "bnetza/berlin-2025.csv", ";"),
    Input("irve", DATA / "irve/static-2026.csv.gz"),
)


@dataclass(slots=True)
class Timings:
    """Of one file, one figure a round."""

    floor_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    """Import into an empty database."""
    again_s: list[float] = field(default_factory=list)
    """Import once more, when nothing has changed."""

    def ratios(self, imports_s: Sequence[float]) -> list[float]:
        """Each import in times of the floor that was measured just before it."""
        return [import_s / floor_s for import_s, floor_s in zip(imports_s, self.floor_s, strict=True)]


def measure(file: Input, fresh: Fresh, rounds: int) -> Timings:
    """Floor and imports take turns, so that a slow moment of the machine hits all of them."""
    timings = Timings()
    for _ in range(rounds):
        url = fresh()
        with _timed(timings.floor_s):
            write_rows(url, read_rows(file.path, file.delimiter))
        url = fresh()
        with _timed(timings.first_s):
            import_file(url, file.source, file.path)
        with _timed(timings.again_s):
            import_file(url, file.source, file.path)
    return timings


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    into.append(time.perf_counter() - start)


def print_times(database: str, fresh: Fresh, rounds: int) -> None:
    rows = []
    for file in INPUTS:
        timings = measure(file, fresh, rounds)
        rows.append(
            [
                file.path.name,
                f"{median(timings.floor_s) * 1_000:,.0f}",
                f"{median(timings.first_s) * 1_000:,.0f}",
                spread(timings.ratios(timings.first_s), 1),
                spread(timings.ratios(timings.again_s), 1),
            ]
        )
    print(f"{database}: {rounds} rounds, ratios as median (smallest to greatest); aim: at most {TIME_AIM:g}\n")
    print_table(["file", "floor, ms", "import, ms", "import ÷ floor", "import again ÷ floor"], rows)


def print_memory() -> None:
    source, original, _ = INPUTS[-1]
    with databases.sqlite() as fresh, tempfile.TemporaryDirectory(prefix="voltway-benchmark-") as folder:
        copies = Path(folder, "copies.csv")
        write_copies(original, copies)
        once, tenfold = (import_alone(fresh, source, path) for path in (original, copies))
    rows = [[f"{peak.stations:,}", f"{peak.peak_mib:,.1f}"] for peak in (once, tenfold)]
    ratio = tenfold.peak_mib / once.peak_mib
    print(f"{original.name} once and {COPIES} times: {ratio:.2f} times the memory; aim: at most {MEMORY_AIM:g}\n")
    print_table(["stations", "peak memory, MiB"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each file (default: 5)")
    rounds = parser.parse_args().rounds
    if not DATA.is_dir():
        parser.error(f"no real data at {DATA}: set VOLTWAY_TEST_DATA to a folder that holds it")
    print_memory()
    gc.freeze()  # as `voltway import` does
    with databases.sqlite() as fresh:
        print_times("SQLite", fresh, rounds)
    programs = postgresql_programs()
    if programs is None:
        print("PostgreSQL: not measured, its programs are not installed")
        return
    with databases.postgresql(programs) as fresh:
        print_times("PostgreSQL", fresh, rounds)


if __name__ == "__main__":
    main()
