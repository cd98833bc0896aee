"""A real day of a nation's live status: whatever the order, and however many read it, it ends as it was."""

import csv
import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

from app.db import Database
from app.ingest.run import ImportOptions, run_import
from app.sources.registry import find_source
from app.stations import Station
from app.stations.tables import EvseStatusRow

pytestmark = pytest.mark.once

_STATES = {"libre": "AVAILABLE", "occupe": "CHARGING", "reserve": "RESERVED", "inconnu": "UNKNOWN"}
LESS = ("AVAILABLE", "UNKNOWN", "RESERVED", "CHARGING", "OUTOFORDER")
"""Of one moment, the later here counts."""

Seen = tuple[datetime, int]


def folded(files: list[Path], known: set[str]) -> tuple[dict[str, Seen], int, int]:
    """The newest state of each known charge point by its id without signs, told again and more plainly than by the
    service; how many rows there were, and how many of no known point."""
    newest: dict[str, Seen] = {}
    rows = strange = 0
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows += 1
                point = key_of(row["id_pdc_itinerance"])
                if point not in known:
                    strange += 1
                    continue
                status = _STATES[row["occupation_pdc"]]
                if row["etat_pdc"] == "inconnu" and status == "AVAILABLE":
                    status = "UNKNOWN"
                if row["etat_pdc"] == "hors_service":
                    status = "OUTOFORDER"
                at = datetime.fromisoformat(row["horodatage"])
                seen = (at if at.tzinfo else at.replace(tzinfo=UTC), LESS.index(status))
                newest[point] = max(newest.get(point, seen), seen)
    return newest, rows, strange


def key_of(evse_id: str) -> str:
    """An id without signs."""
    return evse_id.upper().replace("*", "").replace("-", "").replace(" ", "")


async def test_a_nations_day_ends_as_an_independent_fold_says(
    database: Database, tmp_path: Path, real_data: Path
) -> None:
    irve = real_data / "irve"
    await run_import(database, find_source("irve"), str(irve / "static-2026.csv.gz"), ImportOptions(tmp_path))
    points = await _points(database)
    changes = sorted((irve / "dynamic-changes-2026-08-18").glob("*.csv.gz"))
    files = [irve / "dynamic-snapshot-2026-08-18.csv.gz", *changes]
    expected, rows, strange = folded(files, set(points.values()))
    Random(5).shuffle(files)  # noqa: S311 - an order, no secret

    counts: Counter[str] = Counter()
    for path in files:
        report = await run_import(database, find_source("irve-live"), str(path), ImportOptions(tmp_path))
        assert report.balanced
        counts.update(report.statuses)
        counts["rejected"] += report.rejected.total()

    assert (counts.total(), counts["unknown"], counts["rejected"]) == (rows, strange, 0)
    assert len(expected) > 10_000
    async with database.open_session(read_only=True) as session:
        stored = (await session.execute(select(EvseStatusRow))).scalars().all()
    ends = {points[row.station_id, row.evse_uid]: (row.observed_at, LESS.index(row.status)) for row in stored}
    assert ends == expected


async def _points(database: Database) -> dict[tuple[int, str], str]:
    """Public id without signs, by station id and EVSE uid."""
    async with database.open_session(read_only=True) as session:
        stations = (await session.execute(select(Station.id, Station.evses))).all()
    return {
        (station_id, evse["uid"]): key_of(evse["evse_id"])
        for station_id, evses in stations
        for evse in evses
        if "evse_id" in evse
    }
