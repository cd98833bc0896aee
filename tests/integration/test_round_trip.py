"""An export imported into an empty database, and exported again, is the same but for ids and times."""

import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.db import Database
from app.errors import SourceFormatError
from app.exports import export_large_dataset
from app.ingest.report import Report
from app.ingest.run import ImportOptions, run_import
from app.sources import bnetza
from app.sources.records import SourceFacts
from app.sources.registry import find_source
from app.stations import live, repository, runs
from app.stations.live import Observation
from app.stations.model import Connector, Evse, StationCreate
from app.stations.tables import Source
from app.stations.vocabulary import Access, ConnectorFormat, ConnectorType, EvseStatus, PowerType
from tests.make import FACTS, NOW, station

NEW = ("id", "created_at", "last_updated")
LIVE = ("status", "observed_at", "expires_at")


@pytest.fixture
async def origin(migrated_sqlite_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The database that the export is from."""
    shutil.copy(migrated_sqlite_file, tmp_path / "origin.db")
    origin = Database(f"sqlite:///{tmp_path / 'origin.db'}")
    yield origin
    await origin.close()


async def store(database: Database, *stations: StationCreate, facts: SourceFacts | None = FACTS) -> None:
    async with database.open_session() as session:
        if facts:
            await runs.register_source(session, facts.as_row())
        for each in stations:
            await repository.store(session, each.source, [each], NOW)


async def exported(database: Database, folder: Path, format_: str, patch: pytest.MonkeyPatch) -> Path:
    patch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    patch.setenv("DATA_DIR", str(folder))
    return folder / "exports" / str((await export_large_dataset(format=format_))["file"])


async def imported(database: Database, file: Path, **options: Any) -> Report:
    return await run_import(database, find_source("voltway"), str(file), ImportOptions(file.parent, **options))


def content(file: Path) -> list[dict[str, Any]]:
    """The stations of an export without what an import makes anew."""
    text = file.read_text()
    read = (
        json.loads(text)["features"]
        if file.suffix == ".geojson"
        else [json.loads(line) for line in text.splitlines()]
    )
    return [_without_new(each) for each in read]


def in_order(file: Path) -> list[dict[str, Any]]:
    return sorted(content(file), key=lambda each: (each["source"], each["external_id"]))


def _without_new(read: dict[str, Any]) -> dict[str, Any]:
    members = {name: value for name, value in (read | read.pop("properties", {})).items() if name not in NEW}
    del members["status"]
    members["evses"] = [{name: evse[name] for name in evse if name not in LIVE} for evse in members["evses"]]
    return members


def words(longest: int = 30) -> st.SearchStrategy[str]:
    """Also what a spreadsheet would run, quotation marks, line breaks, and letters beyond the first plane."""
    any_text = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=longest)
    odd = st.sampled_from(["=cmd|'/C calc'!A0", "'=1", '"', "a\nb", "null", "🔌", "\u2028x", "-1+1", "@x"])
    return (any_text | odd).filter(lambda text: bool(text.strip()))


CONNECTORS = st.builds(
    Connector,
    type=st.sampled_from(ConnectorType),
    power_kw=st.none() | st.floats(0.001, 5000),
    format=st.none() | st.sampled_from(ConnectorFormat),
    current=st.none() | st.sampled_from(PowerType),
    voltage_v=st.none() | st.integers(1, 10_000),
    amperage_a=st.none() | st.integers(1, 10_000),
)
EVSES = st.builds(
    Evse,
    uid=words(),
    evse_id=st.none() | words(),
    status=st.none() | st.sampled_from([EvseStatus.INOPERATIVE, EvseStatus.PLANNED, EvseStatus.REMOVED]),
    connectors=st.lists(CONNECTORS, max_size=3).map(tuple),
)
STATIONS = st.builds(
    StationCreate,
    source=st.sampled_from(["test", "local", "Über uns"]),
    external_id=words(),
    title=words(),
    operator=st.none() | words(),
    address=st.none() | words(),
    city=st.none() | words(),
    postal_code=st.none() | words(20),
    country=st.none() | st.sampled_from(["DE", "US", "XX"]),
    longitude=st.floats(-180, 180) | st.just(0.0),
    latitude=st.floats(-90, 90) | st.just(0.0),
    evses=st.lists(EVSES, max_size=4, unique_by=lambda evse: evse.uid.strip()).map(tuple),
    access=st.none() | st.sampled_from(Access),
    opening_hours=st.none() | words(),
    price=st.none() | words(),
)


@pytest.mark.parametrize("format_", ["ndjson", "geojson"])
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(stations=st.lists(STATIONS, min_size=1, max_size=5, unique_by=lambda each: (each.source, each.external_id)))
async def test_any_catalogue_comes_through(
    format_: str, stations: list[StationCreate], migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("round")
    for name in ("first", "second"):
        shutil.copy(migrated_sqlite_file, folder / f"{name}.db")
    first, second = [Database(f"sqlite:///{folder / name}.db") for name in ("first", "second")]
    try:
        with pytest.MonkeyPatch.context() as patch:
            await store(first, *stations)
            before = await exported(first, folder, format_, patch)
            report = await imported(second, before)
            after = await exported(second, folder, format_, patch)
        assert (report.stations.new, report.rejected) == (len(stations), Counter())
        assert in_order(before) == in_order(after)
    finally:
        await first.close()
        await second.close()
        shutil.rmtree(folder)


async def test_stations_keep_their_sources_and_these_their_terms(
    database: Database, origin: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`test` is nobody's that VoltWay knows, `bnetza` is read by itself, `local` has no terms."""
    names = ("test", "bnetza", "local")
    twins = [StationCreate(source=name, external_id="1", title=name, longitude=13, latitude=52) for name in names]
    await store(origin, *twins)
    await store(origin, facts=bnetza.FACTS)
    file = await exported(origin, tmp_path, "ndjson", monkeypatch)
    report = await imported(database, file)
    assert (report.stations.new, report.rejected) == (3, Counter())
    async with database.open_session(read_only=True) as session:
        rows = {row.name: row for row in await session.scalars(select(Source))}
    assert rows.keys() == {"test", "bnetza"}
    assert (rows["test"].licence, rows["test"].attribution) == (FACTS.licence, FACTS.attribution)
    assert (rows["bnetza"].title, rows["bnetza"].homepage) == (bnetza.FACTS.title, bnetza.FACTS.homepage)
    assert in_order(await exported(database, tmp_path, "ndjson", monkeypatch)) == in_order(file)


async def test_an_import_once_more_changes_nothing(
    database: Database, origin: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(origin, *(station(str(number)) for number in range(5)))
    file = await exported(origin, tmp_path, "geojson", monkeypatch)
    assert (await imported(database, file)).stations.new == 5
    again = await imported(database, file)
    assert (again.stations.unchanged, again.stations.total) == (5, 5)


async def test_the_lasting_state_comes_through_under_a_live_one(
    database: Database, origin: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(origin, station(evses=(Evse(uid="1", status=EvseStatus.PLANNED), Evse(uid="2"))))
    async with origin.open_session() as session:
        seen = [Observation(1, uid, EvseStatus.AVAILABLE, datetime.now(UTC)) for uid in ("1", "2")]
        await live.observe(session, "test", seen, datetime.now(UTC))
    file = await exported(origin, tmp_path, "ndjson", monkeypatch)
    await imported(database, file)
    async with database.open_session(read_only=True) as session:
        (found,) = await repository.get_many(session, [1], datetime.now(UTC))
    assert [evse.status for evse in found.evses] == [EvseStatus.PLANNED, EvseStatus.UNKNOWN]


async def test_a_station_twice_in_the_file_is_one_and_a_rejection(database: Database, tmp_path: Path) -> None:
    line = json.dumps({"source": "a", "external_id": "1", "title": "x", "longitude": 1, "latitude": 2})
    other = line.replace('"a"', '"b"')
    file = tmp_path / "twice.ndjson"
    file.write_text("\n".join([line, other, line]))
    report = await imported(database, file)
    assert (report.stations.new, report.rejected) == (2, Counter({"repeated_id": 1}))


async def test_nothing_is_taken_for_vanished(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "part.ndjson"
    file.write_text(json.dumps({"source": "a", "external_id": "1", "title": "x", "longitude": 1, "latitude": 2}))
    with pytest.raises(SourceFormatError, match="part of its catalogue"):
        await imported(database, file, full=True)
    assert (await imported(database, file, dry_run=True)).stations.new == 1
    async with database.open_session(read_only=True) as session:
        assert await repository.count(session) == 0
