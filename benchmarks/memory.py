"""How much memory an import takes, and how much more for a file of ten times the size."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.databases import Fresh
from benchmarks.floor import Row, read_rows

ROOT = Path(__file__).parents[1]
COPIES = 10
_NAMING = ("id_station_itinerance", "id_station_local", "nom_station", "id_pdc_itinerance", "id_pdc_local")
"""Columns of the IRVE schema that tell stations and charge points apart."""


class Peak(NamedTuple):
    """Of one import in a process of its own."""

    stations: int
    peak_mib: float


def import_alone(fresh: Fresh, source: str, path: Path) -> Peak:
    command = [sys.executable, "-m", "benchmarks.import_file", fresh(), source, str(path.absolute())]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Peak(**json.loads(done.stdout))


def write_copies(original: Path, to: Path) -> None:
    """Write an IRVE file with every row of the original ten times, each time of another station.

    The copies of a row follow each other, so the rows of a station stand ten times as far apart."""
    with to.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(_copies(read_rows(original, ",")))


def _copies(rows: Iterator[Row]) -> Iterator[Row]:
    names = next(rows)
    yield names
    places = [names.index(name) for name in _NAMING]
    for row in rows:
        for number in range(COPIES):
            copy = row.copy()
            for place in places:
                copy[place] = _renamed(copy[place], number)
            yield copy


def _renamed(cell: str, number: int) -> str:
    """`Non concerné` and the empty cell, which both say that there is no such id, stay as they are."""
    return f"{cell}-{number}" if cell and not cell.casefold().startswith("non concern") else cell
