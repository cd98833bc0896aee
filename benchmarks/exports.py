"""What an export costs in time, against the plainest writer of its format, and in memory, at ten times the stations.

`python -m benchmarks.exports [--stations N] [--rounds N]`
"""

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from app.db import Database
from app.exports.request import ExportFormat
from benchmarks import databases
from benchmarks.figures import print_table, spread
from benchmarks.filling import fill

ROOT = Path(__file__).parents[1]
TEMPLATE = 5_000
"""Stations that are made up; the others are their copies under other ids."""
LIVE_SHARE = 10
"""One of so many stations has live status."""
AIM = 0.3


@dataclass(frozen=True, slots=True)
class Run:
    """One file written by a process of its own."""

    rows: int
    seconds: float
    peak_mib: float
    bytes: int


@contextmanager
def catalogue_of(count: int) -> Iterator[Path]:
    """An SQLite database with so many stations (rounded up to whole templates), the same every time."""
    with databases.sqlite() as fresh:
        file = Path(fresh().removeprefix("sqlite:///"))
        asyncio.run(_fill(file, min(count, TEMPLATE)))
        with closing(sqlite3.connect(file)) as connection:
            _copy(connection, count)
        yield file


async def _fill(file: Path, count: int) -> None:
    database = Database(f"sqlite:///{file}")
    await fill(database, count)
    await database.close()


def _copy(connection: sqlite3.Connection, count: int) -> None:
    """Without the triggers that note each change, which are for the readers of a served catalogue."""
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(f"DELETE FROM evse_status WHERE station_id % {LIVE_SHARE}")
    for copy in range(1, -(-count // TEMPLATE)):
        _insert(connection, "stations", {"id": f"id + {copy * TEMPLATE}", "external_id": f"external_id || '-{copy}'"})
        _insert(connection, "evse_status", {"station_id": f"station_id + {copy * TEMPLATE}"})
    connection.commit()


def _insert(connection: sqlite3.Connection, table: str, changed: dict[str, str]) -> None:
    key = "id" if table == "stations" else "station_id"
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changed.get(name, name) for name in columns)
    connection.execute(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {key} <= {TEMPLATE}")


def run(file: Path, format_: ExportFormat, how: str) -> Run:
    """`how`: `plain` or `voltway`."""
    with tempfile.TemporaryDirectory(prefix="voltway-benchmark-") as folder:
        command = [sys.executable, "-m", "benchmarks.export_file", str(file), format_, how, str(Path(folder, "file"))]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Run(**json.loads(done.stdout))


def measure(file: Path, format_: ExportFormat, rounds: int) -> tuple[list[Run], list[Run]]:
    """The plain writer and VoltWay in turn."""
    pairs = [(run(file, format_, "plain"), run(file, format_, "voltway")) for _ in range(rounds)]
    return [plain for plain, _ in pairs], [ours for _, ours in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=1_000_000, help="of the large catalogue (default: 1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of a tenth of it (default: 3)")
    given = parser.parse_args()
    with catalogue_of(given.stations // 10) as small:
        tenth = {format_: measure(small, format_, given.rounds) for format_ in ExportFormat}
    with catalogue_of(given.stations) as large:
        whole = {format_: measure(large, format_, 1) for format_ in ExportFormat}
    rows = []
    for format_ in ExportFormat:
        plain, ours = tenth[format_]
        (plain_whole,), (ours_whole,) = whole[format_]
        ratios = [each.seconds / own.seconds for each, own in zip(plain, ours, strict=True)]
        rows.append(
            [
                format_.value,
                f"{ours_whole.rows / ours_whole.seconds:,.0f}",
                spread(ratios),
                f"{plain_whole.seconds / ours_whole.seconds:.2f}",
                f"{median(each.peak_mib for each in ours):,.0f}",
                f"{ours_whole.peak_mib:,.0f}",
                f"{ours_whole.bytes / 1e6:,.0f}",
            ]
        )
    print(f"rows/s ÷ those of the plainest writer; aim: at least {AIM:g}\n")
    header = ["format", "rows/s", f"ratio at {given.stations // 10:,}", f"at {given.stations:,}"]
    print_table([*header, f"MiB at {given.stations // 10:,}", f"at {given.stations:,}", "file, MB"], rows)


if __name__ == "__main__":
    main()
