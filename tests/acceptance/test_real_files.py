"""The registries' own files through the installed command: every record accounted for, twice."""

import json
import math
import re
import sqlite3
from pathlib import Path

import pytest

from tests.acceptance.conftest import voltway

FILES = [
    ("ocm", "ocm/austin-2026-verbose.json", 684, 0, 684),
    ("ocm", "ocm/london-2021-compact.json", 100, 0, 100),
    ("afdc", "afdc/new-york-2025-04.csv", 4_857, 121, 4_736),
    ("afdc", "afdc/washington-2025-11.csv", 2_963, 0, 2_963),
    ("bnetza", "bnetza/berlin-2025.csv", 4_528, 0, 4_528),
    ("bnetza", "bnetza/excerpt-2026-09-with-preamble.csv", 11, 0, 11),
    ("irve", "irve/static-2026.csv.gz", 29_109, 0, 5_571),
]
QUERIES = [(52.52, 13.405), (40.75, -73.98), (48.86, 2.35), (47.61, -122.33), (30.27, -97.74)]


def _numbers(line: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"(?<![\w])[\d,]*\d", line)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    assert voltway(folder, "migrate").returncode == 0
    return folder


@pytest.fixture(scope="module")
def reports(folder: Path, real_data: Path) -> dict[str, list[list[str]]]:
    """The lines printed by the first and the second import of each file."""
    return {
        file: [voltway(folder, "import", source, str(real_data / file)).stdout.splitlines() for _ in range(2)]
        for source, file, *_ in FILES
    }


@pytest.mark.parametrize(("source", "file", "records", "skipped", "stations"), FILES)
def test_import_twice(
    reports: dict[str, list[list[str]]], source: str, file: str, records: int, skipped: int, stations: int
) -> None:
    first, again = reports[file]
    assert first[0].startswith(f"{source}: ")
    assert _numbers(first[0]) == [records, records - skipped, 0, 0, skipped, 0]
    assert _numbers(first[1]) == [stations, 0, 0, 0]
    assert _numbers(again[0]) == [records, 0, 0, records - skipped, skipped, 0]
    assert _numbers(again[1]) == [0, 0, stations, 0]


@pytest.mark.parametrize(("latitude", "longitude"), QUERIES)
@pytest.mark.usefixtures("reports")
def test_nearest_in_the_real_catalogue_equals_brute_force(folder: Path, latitude: float, longitude: float) -> None:
    """Haversine over what the database holds, against `voltway near`."""
    connection = sqlite3.connect(folder / "voltway.db")
    rows = connection.execute("SELECT id, latitude, longitude, evses FROM stations").fetchall()
    connection.close()
    assert len(rows) == sum(file[-1] for file in FILES)

    def distance_km(lat: float, lon: float) -> float:
        north, east = math.radians(lat - latitude), math.radians(lon - longitude)
        h = math.sin(north / 2) ** 2
        h += math.cos(math.radians(lat)) * math.cos(math.radians(latitude)) * math.sin(east / 2) ** 2
        return 2 * 6371.0088 * math.asin(math.sqrt(h))

    def is_fast(evses: str) -> bool:
        connectors = [c for evse in json.loads(evses) for c in evse["connectors"]]
        return any(c["type"] in {"ccs1", "ccs2", "type2"} and c.get("power_kw", 0) >= 22 for c in connectors)

    expected = sorted((distance_km(lat, lon), station) for station, lat, lon, evses in rows if is_fast(evses))[:20]
    filters = ["--connector", "ccs1", "--connector", "ccs2", "--connector", "type2", "--min-power", "22"]
    done = voltway(folder, "near", str(latitude), str(longitude), *filters, "--limit", "20", "--json")
    found = json.loads(done.stdout)
    assert [each["distance_km"] for each in found] == pytest.approx([km for km, _ in expected], abs=2e-6)
    assert sorted(each["id"] for each in found) == sorted(station for _, station in expected) or expected[-1][
        0
    ] == pytest.approx(found[-1]["distance_km"], abs=2e-6)
