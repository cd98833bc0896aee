"""The benchmarks measure what they say. How fast anything is, is not a matter of tests."""

import argparse
import asyncio
import gzip
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from app.db import Database
from app.exports.request import ExportFormat
from app.sources import irve
from app.sources.records import Parsed
from app.stations import StationCreate, repository
from app.stations.query import StationQuery
from benchmarks import (
    catalogue,
    databases,
    engine,
    export_file,
    exports,
    filling,
    http,
    jobs,
    memory,
    queries,
    servers,
    starting,
    streams,
    takeover,
    visibility,
)
from benchmarks.databases import Fresh
from benchmarks.figures import print_table, spread
from benchmarks.floor import read_rows, write_rows
from benchmarks.import_file import import_file
from benchmarks.imports import Input, measure
from tests.conftest import DATA

pytestmark = pytest.mark.once

AFDC = """ID,Fuel Type Code,Station Name,Latitude,Longitude,Country,EV Level2 EVSE Num
1,ELEC,Town hall,40.7,-74.0,US,2
2,ELEC,"Library, back yard",40.8,-74.1,US,1
3,ELEC,Station,40.9,-74.2,US,4
"""
OCM = [{"ID": n, "AddressInfo": {"Title": "Bridge", "Latitude": 51.5, "Longitude": 0.1 * n}} for n in (1, 2)]


@pytest.fixture(scope="module")
def fresh() -> Iterator[Fresh]:
    with databases.sqlite() as fresh:
        yield fresh


@pytest.fixture
def afdc_file(tmp_path: Path) -> Path:
    file = tmp_path / "stations.csv.gz"
    file.write_bytes(gzip.compress(AFDC.encode()))
    return file


@pytest.fixture
def ocm_file(tmp_path: Path) -> Path:
    file = tmp_path / "sites.json"
    file.write_text(json.dumps(OCM))
    return file


def _fill(database_url: str, stations: int) -> None:
    async def fill() -> None:
        database = Database(database_url)
        await filling.fill(database, stations)
        await database.close()

    asyncio.run(fill())


def _rows(database_url: str, table: str) -> int:
    connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
    (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return int(number)


@pytest.mark.parametrize(("source", "fixture", "expected"), [("afdc", "afdc_file", 3), ("ocm", "ocm_file", 2)])
def test_floor_and_import_write_the_same_number_of_rows(
    source: str, fixture: str, expected: int, fresh: Fresh, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(fixture)
    url = fresh()
    assert write_rows(url, read_rows(path, ",")) == expected
    assert _rows(url, "plain") == expected
    url = fresh()
    assert import_file(url, source, path).stations.new == expected
    assert _rows(url, "stations") == expected


def test_the_floor_on_postgresql_writes_every_row(postgresql_url: str, afdc_file: Path) -> None:
    assert write_rows(postgresql_url, read_rows(afdc_file, ",")) == 3


def test_the_floor_keeps_the_cells_as_they_are(fresh: Fresh, afdc_file: Path) -> None:
    url = fresh()
    write_rows(url, read_rows(afdc_file, ","))
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    assert connection.execute("SELECT * FROM plain").fetchall()[1] == (
        "2", "ELEC", "Library, back yard", "40.8", "-74.1", "US", "1",
    )  # fmt: skip
    connection.close()


def test_every_round_measures_floor_and_both_imports(fresh: Fresh, afdc_file: Path) -> None:
    timings = measure(Input("afdc", afdc_file), fresh, rounds=2)
    assert len(timings.floor_s) == len(timings.first_s) == len(timings.again_s) == 2
    assert timings.ratios([2 * floor_s for floor_s in timings.floor_s]) == [2, 2]


def test_copies_hold_ten_times_the_stations_and_charge_points(tmp_path: Path) -> None:
    original, copies = DATA / "irve" / "stations.csv", tmp_path / "copies.csv"
    memory.write_copies(original, copies)
    with original.open("rb") as one, copies.open("rb") as ten:
        once, tenfold = ([each for each in irve.parse(file) if isinstance(each, Parsed)] for file in (one, ten))
    assert len(tenfold) == 10 * len(once) > 0
    assert sum(each.records for each in tenfold) == 10 * sum(each.records for each in once)


def test_a_lone_import_tells_its_stations_and_its_peak(fresh: Fresh, afdc_file: Path) -> None:
    peak = memory.import_alone(fresh, "afdc", afdc_file)
    assert peak.stations == 3
    assert 20 < peak.peak_mib < 1_000


def test_the_catalogue_is_the_same_every_time() -> None:
    assert list(catalogue.stored(20)) == list(catalogue.stored(30))[:20]
    assert len({station.external_id for station in catalogue.stored(20)}) == 20


async def test_the_catalogue_in_a_database_is_the_one_that_is_made(database: Database) -> None:
    await filling.fill(database, 50)
    async with database.open_session() as session:
        stored = await repository.get_many(session, range(1, 51), datetime.now(UTC))
        assert stored == list(catalogue.stored(50))
        imported = await repository.store(session, "demo", list(catalogue.created(50)), datetime.now(UTC))
    assert len(imported.unchanged) == 50


async def test_only_an_empty_database_is_filled(database: Database) -> None:
    buoy = StationCreate(source="sea", title="Buoy", longitude=-30.0, latitude=0.0)
    async with database.open_session() as session:
        await repository.store(session, "sea", [buoy], datetime.now(UTC))
    with pytest.raises(ValueError, match="not empty"):
        await filling.fill(database, 5)


def test_the_mix_of_queries_is_half_within_a_radius_and_half_filtered() -> None:
    asked = queries.mix(1_000)
    assert asked == queries.mix(1_000)
    for is_so in (lambda query: query.radius_km is None, lambda query: query.limit == 20, queries.is_plain):
        assert 450 < sum(map(is_so, asked)) < 550


@pytest.mark.parametrize("query", queries.mix(20))
def test_a_query_is_written_as_a_client_would(query: StationQuery) -> None:
    path, _, written = queries.path_of(query).partition("?")
    given = {name: values if name == "connector" else values[0] for name, values in parse_qs(written).items()}
    assert path == "/api/v1/stations"
    assert StationQuery.model_validate(given) == query


async def test_every_kind_of_search_is_measured(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_CALLS", 3)
    database = Database(fresh())
    await filling.fill(database, 50)
    replica, some = await engine.load(database)
    await database.close()
    assert len(replica) == len(some) == 50
    assert replica.search(engine.near(next(engine.places()), status="available")).body != b"[]"
    measured = dict(engine.measure(replica, some))
    assert len(measured) == len(engine.QUERIES) + 3
    assert all(len(took) == 3 and min(took) > 0 for took in measured.values())


@pytest.mark.parametrize("name", ["connector that none has", "text that none has", "skip 1,000,000"])
async def test_searches_without_result_have_none(name: str, fresh: Fresh) -> None:
    database = Database(fresh())
    await filling.fill(database, 50)
    replica, _ = await engine.load(database)
    await database.close()
    assert replica.search(engine.QUERIES[name](next(engine.places()))).body == b"[]"


def test_searches_are_measured_against_constant_answers_of_their_size(fresh: Fresh) -> None:
    url = fresh()
    _fill(url, 200)
    with servers.server(url, *http.SERVE) as serving:
        paths = http.searches()["the mix"]
        floor, taken = http.against_constant(serving, paths, rounds=2, seconds=0.2)
        assert len(floor) == len(taken) == 2
        assert floor[0].load.body_bytes == pytest.approx(taken[0].load.body_bytes, rel=0.2)
        assert 0 < taken[0].load.p50_ms <= taken[0].load.p99_ms
        assert sum(each.server_us for each in taken) > 0
        assert http.load(serving, ["/constant/1234"], 0.1).body_bytes == 1_234


def test_several_workers_have_the_constant_answers_and_count_their_memory_together(fresh: Fresh) -> None:
    with servers.server(fresh(), *http.SERVE, "--workers", "2") as serving:
        assert http.load(serving, ["/constant/77"], 0.1).body_bytes == 77
        assert len(serving.processes()) > 2
        assert 50 < serving.pss_mib() < 2_000


def test_a_start_ends_with_an_answer_that_is_good(fresh: Fresh) -> None:
    url = fresh()
    _fill(url, 20)
    started = starting.start(url, workers=1, empty=False)
    assert started.seconds > 0.1
    assert started.pss_mib > 20


def test_a_server_that_does_not_start_tells_why() -> None:
    with pytest.raises(RuntimeError, match="No such command"), servers.server("", "app.cli", "sing"):
        pass


@pytest.mark.parametrize("how", ["plain", "voltway"])
def test_every_format_is_exported_in_full(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "TEMPLATE", 20)
    with exports.catalogue_of(60) as file:
        assert _rows(f"sqlite:///{file}", "stations") == 60
        for format_ in ExportFormat:
            to = tmp_path / format_.value
            rows = (
                export_file.write_plainly(file, format_, to)
                if how == "plain"
                else asyncio.run(export_file.export(file, format_, to))
            )
            assert rows == 60
            assert to.stat().st_size > 1_000


def test_a_lone_export_tells_its_time_and_its_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "TEMPLATE", 20)
    with exports.catalogue_of(20) as file:
        done = exports.run(file, ExportFormat.NDJSON, "voltway")
    assert (done.rows, done.seconds > 0, 20 < done.peak_mib < 1_000) == (20, True, True)


def test_tables_can_be_pasted_into_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["file", "ratio"], [["a", spread([3, 1, 2], 0)]])
    assert capsys.readouterr().out.splitlines() == [
        "| file |      ratio |",
        "| ---- | ---------: |",
        "| a    | 2 (1 to 3) |",
        "",
    ]


async def test_the_job_benchmark_measures_every_figure(fresh: Fresh) -> None:
    figures = await jobs.measure(fresh, 5, single_jobs=2, idle_s=0.1)
    assert set(figures.jobs_per_s) == set(jobs.WORKERS)
    assert len(figures.latencies_s) == 2
    assert min(figures.floor_per_s, *figures.jobs_per_s.values(), *figures.latencies_s) > 0
    assert len(list(jobs.rows(figures))) == 4 + len(jobs.WORKERS)


async def test_the_takeover_table_tells_what_happened(fresh: Fresh, tmp_path: Path) -> None:
    happened, took_s = await takeover.killed_before_start(fresh(), tmp_path)
    assert happened == "completed, result 3"
    assert took_s > 0


async def test_the_delay_of_a_change_is_measured_once_for_each(sqlite_url: str) -> None:
    delays_ms = await visibility.delays_ms(sqlite_url, stations=10, changes=2)
    assert len(delays_ms) == 2
    assert min(delays_ms) > 0


def test_streams_are_told_of_what_is_told(fresh: Fresh) -> None:
    asked = argparse.Namespace(stations=50, changes=3, readers=5, rate=20, seconds=1)
    one, other, many = asyncio.run(streams.measure("SQLite", fresh(), asked))
    assert (one[2], other[2]) == ("3", "3")
    assert int(many[2]) > 0
    assert "5 readers" in many[1]
