"""Playing recorded states again: which files, when, and what becomes of times."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.db import Database
from app.errors import SourceFormatError
from app.ingest.replay import Clock, Feed, Recording, recordings, replay
from app.ingest.run import ImportOptions, run_import
from app.sources.registry import find_source
from app.stations.tables import EvseStatusRow
from tests.conftest import DATA

BEGAN = datetime(2026, 8, 18, tzinfo=UTC)
HEADER = "id_pdc_itinerance,etat_pdc,occupation_pdc,horodatage\n"
POINT = "FRNRDE00011"


def write(folder: Path, name: str, *rows: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(HEADER + "".join(f"{row}\n" for row in rows))


def test_files_come_in_the_order_of_their_times_a_snapshot_first(tmp_path: Path) -> None:
    for name in (
        "dynamic-changes-2026-08-18/2026-08-18_010002.csv",
        "dynamic-changes-2026-08-18/2026-08-18_000000.csv.gz",
        "dynamic-snapshot-2026-08-18.csv.gz",
    ):
        write(tmp_path, name)
    plan = recordings(tmp_path)
    assert [each.path.name for each in plan] == [
        "dynamic-snapshot-2026-08-18.csv.gz", "2026-08-18_000000.csv.gz", "2026-08-18_010002.csv",
    ]  # fmt: skip
    assert [each.told_at - BEGAN for each in plan] == [timedelta(0), timedelta(0), timedelta(hours=1, seconds=2)]


def test_a_folder_without_changes_or_with_strange_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match="has no dynamic-changes"):
        recordings(tmp_path)
    write(tmp_path, "dynamic-changes-2026-08-18/today.csv")
    with pytest.raises(SourceFormatError, match="no time in its name"):
        recordings(tmp_path)


moments = st.timedeltas(timedelta(days=-900), timedelta(days=1)).map(lambda since: BEGAN + since)


@given(st.lists(moments, min_size=2), st.sampled_from([0.5, 1.0, 60.0, 1e4]))
def test_a_clock_keeps_the_order_and_the_age_at_the_beginning(recorded: list[datetime], speed: float) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    clock = Clock(BEGAN, now, speed)
    moved = [clock.moved(each) for each in sorted(recorded)]
    assert moved == sorted(moved)
    for before, after in zip(sorted(recorded), moved, strict=True):
        if before <= BEGAN:
            assert now - after == BEGAN - before
        else:
            assert (after - now) * speed - (before - BEGAN) < timedelta(milliseconds=10)


def test_as_fast_as_possible_it_ends_now() -> None:
    plan = [Recording(Path(), BEGAN), Recording(Path(), BEGAN + timedelta(hours=24))]
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert Clock.ending_at(now, plan).moved(plan[-1].told_at) == now


async def test_what_is_played_is_told_as_of_now_and_adds_up(database: Database, tmp_path: Path) -> None:
    await run_import(database, find_source("irve"), str(DATA / "irve" / "stations.csv"), ImportOptions(tmp_path))
    changes = "dynamic-changes-2026-08-18/2026-08-18"
    write(tmp_path, f"{changes}_000000.csv", f"{POINT},en_service,libre,2026-08-17 23:59:00")
    write(
        tmp_path,
        f"{changes}_001000.csv",
        f"{POINT},en_service,occupe,2026-08-18 00:09:00",
        "FRXXXE1,en_service,libre,2026-08-18 00:09:00",
        f"{POINT},en_service,peut-etre,2026-08-18 00:09:30",
    )
    plan = recordings(tmp_path)
    now = datetime.now(UTC)
    feed = Feed(database, find_source("irve-live"), ImportOptions(tmp_path))
    first, second = [told async for told in replay(plan, Clock.ending_at(now, plan), feed)]
    assert (first.read, dict(first.became), first.balanced) == (1, {"applied": 1}, True)
    assert (second.read, second.balanced) == (3, True)
    assert second.became == {"applied": 1, "unknown": 1, "rejected": 1}
    assert str(second).startswith("3 read = 1 applied + 0 unchanged")
    async with database.open_session(read_only=True) as session:
        (row,) = (await session.scalars(select(EvseStatusRow))).all()
    assert (row.status, row.observed_at) == ("CHARGING", now - timedelta(minutes=1))
