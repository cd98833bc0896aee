"""A file goes in, stations and a report come out; on both databases."""

import asyncio
import csv
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.db import Database
from app.errors import BusyError, FetchError, SourceFormatError
from app.ingest import run
from app.ingest.report import Report
from app.ingest.run import ImportOptions, run_import
from app.sources.records import BadField, Outcome, Position, SkipRecord, convert_records
from app.sources.registry import Source, find_source
from app.stations import Station, StationCreate
from app.stations.tables import Change, ImportRun
from app.stations.tables import Source as SourceRow
from tests.make import FACTS


def _number(text: str) -> Any:
    """As adapters do; text that is no number is for `StationCreate` to refuse."""
    try:
        return float(text)
    except ValueError:
        return text


def _convert(line: str, notes: list[str]) -> StationCreate:
    """`id,title,longitude,latitude`; a title of `skip`, `gone`, `bad` or `odd` does what it says."""
    external_id, title, longitude, latitude = line.split(",")
    if title in {"skip", "gone"}:
        raise SkipRecord(f"it says {title}", gone=title == "gone")
    if title == "bad":
        raise BadField("title", title, "title_bad", "It is bad.", "Make it good.")
    if title == "odd":
        notes.append("title odd")
    return StationCreate(
        source="test",
        external_id=external_id,
        title=title,
        longitude=_number(longitude),
        latitude=_number(latitude),
        country="DE",
    )


def _parse(file: BinaryIO) -> Iterator[Outcome]:
    lines = (raw.decode().rstrip("\n") for raw in file)
    rows = ((Position(n, n), line) for n, line in enumerate(lines, start=1) if not _is_end(line))
    return convert_records(rows, _convert, lambda line: line.split(",")[0])


def _is_end(line: str) -> bool:
    if line == "END":
        raise SourceFormatError("The file seems to be cut off.")
    return False


SOURCE = Source(FACTS, _parse)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BATCH", 3)


@pytest.fixture
def load(database: Database, tmp_path: Path) -> Any:
    """Import lines; options as keywords."""

    async def load(*lines: str, **options: Any) -> Report:
        file = tmp_path / "input.txt"
        file.write_text("".join(line + "\n" for line in lines))
        report = await run_import(database, SOURCE, str(file), ImportOptions(tmp_path, **options))
        assert report.balanced
        return report

    return load


async def _titles(database: Database) -> dict[str, str]:
    async with database.open_session(read_only=True) as session:
        rows = await session.execute(select(Station.external_id, Station.title).where(Station.deleted_at.is_(None)))
        return {row.external_id: row.title for row in rows}


async def _changes(database: Database) -> int:
    async with database.open_session(read_only=True) as session:
        return int(await session.scalar(select(func.count()).select_from(Change)) or 0)


LINES = [f"{n},title {n},13.{n},52.5" for n in range(1, 8)]


async def test_the_same_file_again_changes_nothing(load: Any, database: Database) -> None:
    first = await load(*LINES)
    assert (first.read, first.records.new, first.stations.new) == (7, 7, 7)
    before = await _changes(database)
    async with database.open_session() as session:
        updated = (await session.execute(select(Station.id, Station.last_updated))).all()
    again = await load(*LINES)
    assert (again.records.new, again.records.updated, again.records.unchanged) == (0, 0, 7)
    assert await _changes(database) == before
    async with database.open_session() as session:
        assert (await session.execute(select(Station.id, Station.last_updated))).all() == updated


async def test_a_changed_record_moves_exactly_itself(load: Any, database: Database) -> None:
    await load(*LINES)
    before = await _changes(database)
    report = await load(*LINES[:3], "4,renamed,13.4,52.5", *LINES[4:])
    assert (report.records.updated, report.records.unchanged) == (1, 6)
    assert await _changes(database) == before + 1
    assert (await _titles(database))["4"] == "renamed"


async def test_every_record_is_accounted_for(load: Any, database: Database, tmp_path: Path) -> None:
    report = await load(
        "1,fine,13.4,52.5",
        "2,skip,13.4,52.5",
        "3,bad,13.4,52.5",
        "4,odd,13.4,52.5",
        "5,nowhere,0,0",
        "6,swapped,52.5,13.4",
        "7,north,13.4,95",
        "1,again,13.4,52.5",
        "8,,13.4,52.5",
    )
    assert (report.read, report.records.new, report.skipped.total(), report.rejected.total()) == (9, 2, 1, 6)
    assert report.rejected == {
        "title_bad": 1,
        "coordinates_zero": 1,
        "coordinates_swapped": 1,
        "value_not_allowed": 2,
        "repeated_id": 1,
    }
    assert report.notes == {"title odd": 1}
    assert await _titles(database) == {"1": "fine", "4": "odd"}
    assert report.rejections_file is not None
    rejected = {row["line"]: row for row in csv.DictReader(Path(report.rejections_file).read_text().splitlines())}
    assert set(rejected) == {"3", "5", "6", "7", "8", "9"}
    assert rejected["3"] == {
        "line": "3",
        "record": "3",
        "external_id": "3",
        "field": "title",
        "value": "bad",
        "reason": "title_bad",
        "why": "It is bad.",
        "fix": "Make it good.",
    }
    assert rejected["7"]["field"] == "latitude"
    assert "90" in rejected["7"]["why"]


async def test_a_run_without_rejections_leaves_no_file(load: Any, tmp_path: Path) -> None:
    assert (await load(*LINES)).rejections_file is None
    assert not (tmp_path / "rejections").exists()


async def test_a_dry_run_reports_the_same_and_stores_nothing(load: Any, database: Database) -> None:
    await load(*LINES[:4])
    dry = await load(*LINES[2:], dry_run=True, full=True)
    assert (dry.records.new, dry.records.unchanged, dry.removed) == (3, 2, 2)
    assert len(await _titles(database)) == 4
    real = await load(*LINES[2:], full=True)
    assert (real.records, real.stations, real.removed) == (dry.records, dry.stations, dry.removed)
    async with database.open_session() as session:
        assert await session.scalar(select(func.count()).select_from(ImportRun)) == 2


async def test_full_removes_what_has_vanished_but_not_what_was_refused(load: Any, database: Database) -> None:
    await load(*LINES)
    report = await load("1,title 1,13.1,52.5", "2,bad,13.2,52.5", "3,nowhere,0,0", full=True, accept_shrunken=True)
    assert report.removed == 4
    assert set(await _titles(database)) == {"1", "2", "3"}


async def test_without_full_nothing_is_removed_unless_the_source_says_so(load: Any, database: Database) -> None:
    await load(*LINES)
    report = await load("1,title 1,13.1,52.5", "2,gone,13.2,52.5", "3,skip,13.3,52.5")
    assert report.removed == 1
    assert set(await _titles(database)) == {"1", "3", "4", "5", "6", "7"}


async def test_a_refused_record_does_not_stand_in_the_way_of_a_good_one(load: Any, database: Database) -> None:
    report = await load("1,bad,13.1,52.5", "1,fine,13.1,52.5", "2,nowhere,0,0", "2,here,13.2,52.5")
    assert (report.records.new, report.rejected.total()) == (2, 2)
    assert await _titles(database) == {"1": "fine", "2": "here"}


async def test_one_bad_row_of_a_grouped_station_leaves_the_others(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "irve.csv"
    columns = "id_station_itinerance,nom_station,id_pdc_itinerance,puissance_nominale,prise_type_2,coordonneesXY"
    rows = [
        'P1,Gare,E1,22,true,"[2.35,48.85]"',
        'P1,Gare,E2,22,true,"[x,48.85]"',
        'P1,Gare,E3,22,true,"[2.35,48.85]"',
    ]
    file.write_text("\n".join([columns, *rows]) + "\n")
    report = await run_import(database, find_source("irve"), str(file), ImportOptions(tmp_path))
    assert (report.read, report.records.new, report.stations.new) == (3, 2, 1)
    assert report.rejected == {"not_a_number": 1}


async def test_full_removes_nothing_when_a_refused_record_could_be_any_station(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "stations.csv"
    header = "Fuel Type Code,ID,Station Name,Latitude,Longitude,Country"
    rows = [f"ELEC,{n},Name {n},47.6,-122.3,US" for n in range(1, 6)]
    file.write_text("\n".join([header, *rows]) + "\n")
    await run_import(database, find_source("afdc"), str(file), ImportOptions(tmp_path, full=True))
    file.write_text("\n".join([header, *rows[:3], rows[3] + ",EXTRA"]) + "\n")
    options = ImportOptions(tmp_path, full=True, accept_shrunken=True)
    with pytest.raises(SourceFormatError, match="Nothing was removed"):
        await run_import(database, find_source("afdc"), str(file), options)
    assert len(await _titles(database)) == 5


async def test_of_two_imports_of_one_source_at_once_one_is_refused(database: Database, tmp_path: Path) -> None:
    lines = [f"{n},title {n},13.4,52.5" for n in range(200)]
    forwards, backwards = tmp_path / "forwards", tmp_path / "backwards"
    forwards.write_text("\n".join(lines) + "\n")
    backwards.write_text("\n".join(reversed(lines)) + "\n")
    done, refused = sorted(
        await asyncio.gather(
            *(run_import(database, SOURCE, str(file), ImportOptions(tmp_path)) for file in (forwards, backwards)),
            return_exceptions=True,
        ),
        key=lambda outcome: isinstance(outcome, Exception),
    )
    assert isinstance(refused, BusyError)
    assert isinstance(done, Report)
    assert done.records.new == 200
    again = await run_import(database, SOURCE, str(backwards), ImportOptions(tmp_path))
    assert again.records.unchanged == 200
    assert await _changes(database) == 201  # and one for the source, which is new


async def test_full_with_nothing_usable_is_refused(load: Any, database: Database) -> None:
    await load(*LINES)
    with pytest.raises(SourceFormatError, match="--full"):
        await load("1,bad,13.1,52.5", full=True, accept_shrunken=True)
    assert len(await _titles(database)) == 7


async def test_a_file_cut_off_keeps_what_came_before_and_the_run_says_why(load: Any, database: Database) -> None:
    with pytest.raises(SourceFormatError):
        await load(*LINES[:4], "END", full=True)
    assert set(await _titles(database)) == {"1", "2", "3", "4"}
    async with database.open_session() as session:
        (entry,) = (await session.execute(select(ImportRun))).scalars()
    assert entry.error == "The file seems to be cut off."
    assert entry.finished_at is not None
    again = await load(*LINES)
    assert again.records.new + again.records.unchanged == 7


async def test_a_missing_file_is_an_error_that_names_it(database: Database, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"none\.csv"):
        await run_import(database, SOURCE, str(tmp_path / "none.csv"), ImportOptions(tmp_path))


async def test_a_run_and_its_source_are_stored(load: Any, database: Database) -> None:
    report = await load(*LINES)
    async with database.open_session() as session:
        (entry,) = (await session.execute(select(ImportRun))).scalars()
        (source,) = (await session.execute(select(SourceRow))).scalars()
    assert entry.report == report.as_document()
    assert entry.error is None
    assert (source.name, source.licence, source.attribution) == ("test", "CC0-1.0", "Nobody")


def test_the_report_says_what_happened_in_words() -> None:
    report = Report("irve", "charge points", read=10, removed=2)
    report.records.new, report.stations.new = 6, 3
    report.skipped["fuel CNG"] = 1
    report.rejected["coordinates_zero"] = 3
    lines = list(report.lines())
    assert lines[0] == "irve: 10 charge points read = 6 new + 0 updated + 0 unchanged + 1 skipped + 3 rejected"
    assert lines[1] == "stations: 3 new, 0 updated, 0 unchanged, 2 removed"
    assert "rejected: 3 × coordinates_zero" in lines


words = st.sampled_from(["fine", "better", "skip", "gone", "bad", "odd", ""])
numbers = st.sampled_from(["13.4", "52.5", "0", "95", "nan", "x", ""])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    runs=st.lists(
        st.lists(st.tuples(st.sampled_from("abcd"), words, numbers, numbers).map(",".join), max_size=8), max_size=4
    )
)
async def test_whatever_comes_in_no_record_is_lost(runs: list[list[str]], sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    file = tmp_path / "lines.txt"
    for lines in runs:
        file.write_text("".join(line + "\n" for line in lines))
        report = await run_import(database, SOURCE, str(file), ImportOptions(tmp_path))
        assert report.read == len(lines)
        assert report.balanced
        again = await run_import(database, SOURCE, str(file), ImportOptions(tmp_path))
        assert (again.records.new, again.records.updated, again.removed) == (0, 0, 0)
    await database.close()


_SLOW_IMPORT = """
import sys
from app.cli import main
from app.ingest import run

run.BATCH = 50
batches = run._batches

def pausing(outcomes):
    for batch in batches(outcomes):
        print("batch", flush=True)
        sys.stdin.readline()
        yield batch

run._batches = pausing
sys.argv = ["voltway", "import", "afdc", sys.argv[1]]
main()
"""


@pytest.mark.parametrize("batches", [1, 3, 7])
def test_a_killed_import_can_be_run_again(batches: int, tmp_path: Path, sqlite_url: str) -> None:
    """kill -9 between two units of work: each record is in its old or its new state, then all are new."""
    header = "Fuel Type Code,ID,Station Name,Street Address,City,State,ZIP,Status Code,Latitude,Longitude,Country"
    tail = "EV Level1 EVSE Num,EV Level2 EVSE Num,EV DC Fast Count,EV Connector Types,Access Code"
    rows = [f"ELEC,{n},Name {n},Street {n},Seattle,WA,98101,E,47.6,-122.3,US,,2,,J1772,public" for n in range(1, 401)]
    file = tmp_path / "stations.csv"
    file.write_text("\n".join([f"{header},{tail}", *rows]) + "\n")
    environment = os.environ | {"DATABASE_URL": sqlite_url, "DATA_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_IMPORT, str(file)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(batches):
        assert process.stdout.readline() == "batch\n"
        process.stdin.write("\n")
        process.stdin.flush()
    assert process.stdout.readline() == "batch\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        (stored,) = connection.execute("SELECT count(*) FROM stations").fetchone()
    connection.close()
    assert stored == batches * 50
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "import", "afdc", str(file)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"400 stations read = {400 - stored} new + 0 updated + {stored} unchanged" in done.stdout
