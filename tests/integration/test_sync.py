"""`sync_sources` against servers on this machine, on both databases."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import func, select, update

from app.api.v1 import render
from app.db import Database, engine
from app.db.alone import alone
from app.errors import ConfigurationError, FetchError
from app.ingest.feeds import Feed, configured_feeds
from app.ingest.freshness import Freshness, source_views
from app.ingest.run import ImportOptions, run_import
from app.ingest.sync import Synced, next_due, sync_sources
from app.replica import Follower
from app.sampling import keep_sampling
from app.settings import Settings
from app.sources.fetch import Fetching
from app.sources.guest import Limits
from app.sources.hosts import Hosts
from app.sources.registry import find_source
from app.stations import repository, runs
from app.stations.catalogue import Catalogue
from app.stations.runs import Failure, ImportSummary, SourceState
from app.stations.tables import ImportRun
from app.utils import metrics
from app.utils.background_tasks import sync_external_data
from tests.misbehaving import Answer, Asked, Respond, Server, file, misbehaving

COLUMNS = "id_station_itinerance,nom_station,id_pdc_itinerance,puissance_nominale,prise_type_2,coordonneesXY\n"
Sync = Callable[..., Any]


def register(*numbers: int, columns: str = COLUMNS, place: str = "[2.35,48.85]") -> bytes:
    """A French register of one charge point a station."""
    return (columns + "".join(f'P{n},Gare {n},E{n},22,true,"{place}"\n' for n in numbers)).encode()


def pois(*numbers: int, country: int = 1) -> bytes:
    address = {"Title": "Site", "Latitude": 51.5, "Longitude": -0.1, "CountryID": country}
    return json.dumps([{"ID": number, "AddressInfo": address} for number in numbers]).encode()


@pytest.fixture
def start() -> Iterator[Callable[[Respond], Server]]:
    with ExitStack() as stack:

        def started(respond: Respond) -> Server:
            server = stack.enter_context(misbehaving())
            server.respond = respond
            return server

        yield started


@pytest.fixture
def server(start: Callable[[Respond], Server]) -> Server:
    return start(file(register(*range(10))))


@pytest.fixture
def how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetching:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    limits = Limits(free_bytes=0, silence_s=5.0, first_pause_s=0.001, attempts=2)
    return Fetching(tmp_path / "downloads", Hosts(1e6), limits)


def irve(url: str) -> Feed:
    return Feed(find_source("irve"), url)


def ocm(url: str) -> Feed:
    return Feed(find_source("ocm", "key"), url, only_changes=True)


@pytest.fixture
def sync(database: Database, tmp_path: Path, how: Fetching) -> Sync:
    """Sync from feeds, as one run of the job does."""

    async def sync(*feeds: Feed, force: bool = False) -> dict[str, Synced]:
        fresh = replace(how, hosts=Hosts(1e6))
        return await sync_sources(database, tmp_path, feeds, fresh, force=force)

    return sync


async def stations(database: Database) -> int:
    async with database.open_session(read_only=True) as session:
        return await repository.count(session)


async def let_pass(database: Database, time: timedelta) -> None:
    """As if all imports had been made so much earlier."""
    async with database.open_session() as session:
        for run in (await session.scalars(select(ImportRun))).all():
            run.started_at -= time
            run.finished_at = run.finished_at and run.finished_at - time
            run.not_before = run.not_before and run.not_before - time


async def number_of_runs(database: Database) -> int:
    async with database.open_session(read_only=True) as session:
        return int(await session.scalar(select(func.count()).select_from(ImportRun)) or 0)


async def import_by_hand(database: Database, folder: Path) -> Path:
    """From a file in which all ten stations have other names."""
    file = folder / "by-hand.csv"
    file.write_bytes(register(*range(10)).replace(b"Gare", b"Autre"))
    await run_import(database, find_source("irve"), str(file), ImportOptions(folder))
    return file


# A register that is a file


async def test_a_file_is_read_whole_then_only_when_it_is_due_and_new(
    database: Database, server: Server, sync: Sync
) -> None:
    first = await sync(irve(server.url))
    assert (first["irve"].outcome, first["irve"].report.stations.new) == ("imported", 10)
    assert first["irve"].as_document()["stations"]["new"] == 10
    not_due = await sync(irve(server.url))
    assert not_due["irve"].outcome == "not_due"
    assert not_due["irve"].next_due > datetime.now(UTC) + timedelta(hours=23)
    assert len(server.asked) == 1
    await let_pass(database, timedelta(days=2))
    assert (await sync(irve(server.url)))["irve"].outcome == "unchanged"
    assert "if-none-match" in server.asked[1].headers
    assert (await sync(irve(server.url)))["irve"].outcome == "not_due"  # to find it unchanged was a success
    await let_pass(database, timedelta(days=2))
    assert (await sync(irve(server.url)))["irve"].outcome == "unchanged"  # its version outlives that
    server.respond = file(register(*range(9), 10), '"2"')
    await let_pass(database, timedelta(days=2))
    newer = (await sync(irve(server.url)))["irve"]
    assert (newer.outcome, newer.report.stations.new, newer.report.removed) == ("imported", 1, 1)
    assert await stations(database) == 10


async def test_force_reads_it_whether_due_new_or_not(server: Server, sync: Sync) -> None:
    await sync(irve(server.url))
    again = await sync(irve(server.url), force=True)
    assert (again["irve"].outcome, again["irve"].report.stations.unchanged) == ("imported", 10)


async def test_what_another_input_has_changed_is_brought_back(
    database: Database, tmp_path: Path, server: Server, sync: Sync
) -> None:
    await sync(irve(server.url))
    await import_by_hand(database, tmp_path)
    await let_pass(database, timedelta(days=2))
    assert (await sync(irve(server.url)))["irve"].report.stations.updated == 10


async def test_what_an_export_of_another_service_has_changed_is_brought_back(
    database: Database, tmp_path: Path, server: Server, sync: Sync
) -> None:
    await sync(irve(server.url))
    terms = {"licence": "CC0-1.0", "licence_url": "https://x.example/terms", "attribution": "X"}
    other = {
        "source": "irve",
        "external_id": "P1",
        "title": "Autre",
        "longitude": 2.35,
        "latitude": 48.85,
        "evses": [],
    }
    export = tmp_path / "export.ndjson"
    export.write_text(json.dumps(other | terms) + "\n")
    report = await run_import(database, find_source("voltway"), str(export), ImportOptions(tmp_path))
    assert report.stations.updated == 1
    await let_pass(database, timedelta(days=2))
    assert (await sync(irve(server.url)))["irve"].report.stations.updated == 1


async def test_a_part_that_another_process_has_left_behind_is_brought_back(
    database: Database, tmp_path: Path, server: Server, sync: Sync
) -> None:
    await sync(irve(server.url))
    by_hand = await import_by_hand(database, tmp_path)
    async with database.open_session() as session:  # as if it had been killed
        await session.execute(update(ImportRun).where(ImportRun.input == str(by_hand)).values(finished_at=None))
    await let_pass(database, timedelta(days=2))
    assert (await sync(irve(server.url)))["irve"].report.stations.updated == 10
    await let_pass(database, timedelta(days=2))
    assert (await sync(irve(server.url)))["irve"].outcome == "unchanged"


async def test_a_failure_that_has_stored_nothing_does_not_make_it_read_again(
    database: Database, tmp_path: Path, server: Server, sync: Sync
) -> None:
    await sync(irve(server.url))
    with pytest.raises(FetchError):
        await run_import(database, find_source("irve"), str(tmp_path / "absent"), ImportOptions(tmp_path))
    await let_pass(database, timedelta(days=2))
    assert (await sync(irve(server.url)))["irve"].outcome == "unchanged"


async def test_a_run_that_was_stopped_is_no_failure(database: Database, server: Server, sync: Sync) -> None:
    asked, goes_on = asyncio.Event(), threading.Event()
    loop, good = asyncio.get_running_loop(), server.respond

    def respond(request: Asked) -> Answer:
        loop.call_soon_threadsafe(asked.set)
        goes_on.wait(10)
        return good(request)

    server.respond = respond
    running = asyncio.create_task(sync(irve(server.url)))
    await asyncio.wait_for(asked.wait(), 10)
    running.cancel()
    await asyncio.wait([running])
    goes_on.set()
    views = {view.source.name: view for view in await source_views(database, [irve(server.url)], datetime.now(UTC))}
    assert (views["irve"].status, views["irve"].source.state.failures) == (Freshness.NEVER, 0)
    assert (await sync(irve(server.url)))["irve"].outcome == "imported"  # at once


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (register(*range(7)), "has 7 usable charge points, the last one had 10: more than 20% fewer"),
        (register(), "has 0 usable charge points, the last one had 10"),
        (register(*range(10), place="[0,0]"), "has 0 usable charge points"),
        (
            register(*range(8)) + register(*range(20, 40), place="[0,0]").partition(b"\n")[2],
            "20 cannot be used and 8 can; of the last one's, 0 and 10. Its format seems to have changed",
        ),
        (b"station;place\n1;here\n", "source's file?"),
        (b"<!DOCTYPE html><html>Down for maintenance</html>", "web page"),
        (b"", "empty"),
    ],
    ids=["shrunken", "no rows", "all rejected", "mostly rejected", "other columns", "web page", "empty"],
)
async def test_a_file_that_cannot_be_right_changes_nothing(
    database: Database, server: Server, sync: Sync, body: bytes, said: str
) -> None:
    await sync(irve(server.url))
    await let_pass(database, timedelta(days=2))
    server.respond = file(body, '"2"')
    failed = (await sync(irve(server.url)))["irve"]
    assert failed.outcome == "failed"
    assert said in str(failed.error)
    async with database.open_session(read_only=True) as session:
        titles = [page.title async for pages in repository.all_stations(session, datetime.now(UTC)) for page in pages]
    assert sorted(titles) == sorted(f"Gare {n}" for n in range(10))


async def test_a_fifth_less_is_still_believed(database: Database, server: Server, sync: Sync) -> None:
    await sync(irve(server.url))
    await let_pass(database, timedelta(days=2))
    server.respond = file(register(*range(8)), '"2"')
    assert (await sync(irve(server.url)))["irve"].report.removed == 2
    assert await stations(database) == 8


async def test_a_file_that_was_refused_is_asked_for_but_not_loaded_again(
    database: Database, server: Server, sync: Sync
) -> None:
    await sync(irve(server.url))
    server.respond = file(register(1), '"2"')
    for _ in range(2):
        await let_pass(database, timedelta(days=2))
        assert (await sync(irve(server.url)))["irve"].outcome == "failed"
    assert server.asked[-1].headers["if-none-match"] == '"2"'
    server.respond = file(register(*range(10)))  # as it was before
    await let_pass(database, timedelta(days=2))
    assert (await sync(irve(server.url)))["irve"].outcome == "unchanged"
    assert await stations(database) == 10


async def test_a_download_that_broke_off_goes_on_in_the_next_run(
    database: Database, server: Server, sync: Sync
) -> None:
    body = register(*range(500))
    server.answers(Answer(body[:9_000], headers={"Content-Length": str(len(body)), "ETag": '"1"'}))
    assert (await sync(irve(server.url)))["irve"].outcome == "failed"
    assert await stations(database) == 0
    server.respond = file(body)
    await let_pass(database, timedelta(hours=1))
    assert (await sync(irve(server.url)))["irve"].outcome == "imported"
    assert server.asked[-1].headers["range"] == "bytes=9000-"
    assert await stations(database) == 500


# An address that gives changes


async def test_of_open_charge_map_only_what_is_new_is_asked_for(
    database: Database, start: Callable[[Respond], Server], sync: Sync
) -> None:
    server = start(lambda _: Answer(pois(1)))
    url = server.url.replace("/file", "/v3/poi?countrycode=GB")
    first = await sync(ocm(url))
    assert (first["ocm"].outcome, first["ocm"].report.stations.new) == ("imported", 1)
    asked = parse_qs(server.asked[0].query)
    assert (asked["opendata"], asked["countrycode"]) == (["true"], ["GB"])
    assert "modifiedsince" not in asked
    await let_pass(database, timedelta(days=2))
    async with database.open_session(read_only=True) as session:
        before = await session.scalar(select(ImportRun.started_at))
    assert before is not None
    server.answers(Answer(pois()))
    await sync(ocm(url))
    assert parse_qs(server.asked[1].query)["modifiedsince"] == [f"{before - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"]
    assert await stations(database) == 1  # nothing new is no reason to remove
    await sync(ocm(url), force=True)
    assert "modifiedsince" not in server.asked[-1].query
    await sync(ocm(url.replace("GB", "FR")))
    assert "modifiedsince" not in server.asked[-1].query  # of France everything is new


async def test_all_of_open_charge_map_is_asked_for_when_something_else_was_imported_too(
    database: Database, tmp_path: Path, start: Callable[[Respond], Server], sync: Sync
) -> None:
    server = start(lambda _: Answer(pois(1)))
    url = server.url.replace("/file", "/v3/poi")
    await sync(ocm(url))
    by_hand = tmp_path / "old.json"
    by_hand.write_bytes(pois(1).replace(b"Site", b"Old name"))
    await run_import(database, find_source("ocm"), str(by_hand), ImportOptions(tmp_path))
    await let_pass(database, timedelta(days=2))
    assert (await sync(ocm(url)))["ocm"].report.stations.updated == 1
    assert "modifiedsince" not in server.asked[-1].query
    await let_pass(database, timedelta(days=2))
    await sync(ocm(url))
    assert "modifiedsince" in server.asked[-1].query


async def test_changes_none_of_which_can_be_used_are_asked_for_again(
    database: Database, start: Callable[[Respond], Server], sync: Sync
) -> None:
    server = start(lambda _: Answer(b'[{"ID": 1, "Address": "moved to another field"}]'))
    url = server.url.replace("/file", "/v3/poi")
    assert "None of the 1 POIs are usable" in (await sync(ocm(url)))["ocm"].error
    await let_pass(database, timedelta(days=2))
    await sync(ocm(url))
    assert "modifiedsince" not in server.asked[-1].query


# Failures


async def test_one_source_that_fails_does_not_stop_the_others(
    database: Database, start: Callable[[Respond], Server], server: Server, sync: Sync
) -> None:
    broken = start(lambda _: Answer(status=403))
    synced = await sync(ocm(broken.url.replace("/file", "/v3/poi")), irve(server.url))
    assert (synced["ocm"].outcome, synced["irve"].outcome) == ("failed", "imported")
    assert "403" in synced["ocm"].as_document()["error"]
    assert await stations(database) == 10


async def test_a_bug_in_one_adapter_does_not_stop_the_others(server: Server, sync: Sync, database: Database) -> None:
    def broken(_: object) -> Any:
        raise ZeroDivisionError

    feed = ocm(server.url)
    synced = await sync(
        replace(feed, source=replace(feed.source, parse=broken), only_changes=False), irve(server.url)
    )
    assert (synced["ocm"].outcome, synced["irve"].outcome) == ("failed", "imported")


async def test_after_a_failure_it_is_tried_again_before_the_cadence(
    database: Database, server: Server, sync: Sync
) -> None:
    server.answers(Answer(status=403))
    failed = await sync(irve(server.url))
    assert failed["irve"].next_due < datetime.now(UTC) + timedelta(minutes=16)
    assert (await sync(irve(server.url)))["irve"].outcome == "not_due"
    server.respond = file(register(*range(10)))
    await let_pass(database, timedelta(minutes=16))
    assert (await sync(irve(server.url)))["irve"].outcome == "imported"


async def test_a_host_that_asks_for_a_rest_gets_it_in_later_runs_and_for_all_sources(
    database: Database, server: Server, sync: Sync
) -> None:
    server.answers(Answer(status=503, headers={"Retry-After": "7200"}))
    assert (await sync(irve(server.url)))["irve"].next_due > datetime.now(UTC) + timedelta(minutes=119)
    synced = await sync(irve(server.url), ocm(server.url.replace("/file", "/v3/poi")))
    assert (synced["irve"].outcome, synced["ocm"].outcome) == ("not_due", "failed")
    assert "left alone until" in synced["ocm"].error
    assert len(server.asked) == 1


SUCCESS = ImportSummary(datetime(2026, 5, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 12, 5, tzinfo=UTC), {})


def failed(minutes: int, not_before: datetime | None = None) -> Failure:
    return Failure(SUCCESS.started_at + timedelta(minutes=minutes), "no", not_before)


@pytest.mark.parametrize(
    ("state", "minutes"),
    [
        (SourceState(None, None, 0, None), None),
        (SourceState(SUCCESS, SUCCESS, 0, None), 1_440),
        (SourceState(SUCCESS, SUCCESS, 1, failed(100)), 115),
        (SourceState(SUCCESS, SUCCESS, 3, failed(100)), 160),
        (SourceState(None, None, 99, failed(100)), 1_540),
        (SourceState(SUCCESS, SUCCESS, 1, failed(100, SUCCESS.started_at + timedelta(minutes=300))), 300),
    ],
    ids=["never", "success", "one failure", "three", "many", "rest"],
)
def test_when_a_source_is_due(state: SourceState, minutes: int | None) -> None:
    due = None if minutes is None else SUCCESS.started_at + timedelta(minutes=minutes)
    assert next_due(state, timedelta(days=1)) == due


async def test_the_job_reads_what_the_settings_name(
    database: Database, database_url: str, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path), "SOURCE_URLS": f"irve={server.url}"}
    for name, value in (told | {"OCM_API_KEY": "", "NO_PROXY": "127.0.0.1"}).items():
        monkeypatch.setenv(name, value)
    first, second = await sync_external_data(), await sync_external_data()
    assert (first["irve"]["outcome"], second["irve"]["outcome"]) == ("imported", "not_due")  # type: ignore[call-overload,index]
    assert await stations(database) == 10


async def test_while_one_process_fetches_an_address_no_other_does(
    database: Database, server: Server, sync: Sync
) -> None:
    asked, goes_on = asyncio.Event(), threading.Event()
    loop, good = asyncio.get_running_loop(), server.respond

    def respond(request: Asked) -> Answer:
        loop.call_soon_threadsafe(asked.set)
        assert goes_on.wait(10)
        return good(request)

    server.respond = respond
    first = asyncio.create_task(sync(irve(server.url)))
    try:
        await asyncio.wait_for(asked.wait(), 10)
        assert (await sync(irve(server.url)))["irve"].outcome == "busy"
    finally:
        goes_on.set()
        synced = await first
    assert synced["irve"].outcome == "imported"
    assert len(server.asked) == 1
    assert await number_of_runs(database) == 1


async def test_while_a_source_is_imported_from_elsewhere_it_is_left_alone(
    database: Database, server: Server, sync: Sync
) -> None:
    async with alone(database.url, "import-irve", "busy"):  # as an import by hand on another machine does
        assert (await sync(irve(server.url)))["irve"].outcome == "busy"
    assert (server.asked, await number_of_runs(database)) == ([], 0)
    assert (await sync(irve(server.url)))["irve"].outcome == "imported"


async def test_a_database_that_stays_locked_ends_the_sync_and_the_next_repairs(
    sqlite_url: str, tmp_path: Path, server: Server, how: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine._SQLITE_PRAGMAS, "busy_timeout", 10)
    database = Database(sqlite_url)
    with closing(sqlite3.connect(tmp_path / "voltway.db", check_same_thread=False)) as another:
        good = server.respond

        def lock_first(asked: Asked) -> Answer:
            another.execute("BEGIN IMMEDIATE")
            return good(asked)

        server.respond = lock_first
        failed = (await sync_sources(database, tmp_path, [irve(server.url)], how))["irve"]
        assert (failed.outcome, failed.error) == ("failed", "The database failed: database is locked")
        another.rollback()
        server.respond = good
        assert (await sync_sources(database, tmp_path, [irve(server.url)], how))["irve"].outcome == "imported"
    assert await stations(database) == 10
    await database.close()


# What is told of it


async def test_metrics_tell_what_the_command_does(
    database: Database, tmp_path: Path, start: Callable[[Respond], Server], sync: Sync
) -> None:
    feed = Feed(
        replace(find_source("bnetza"), facts=replace(find_source("bnetza").facts, cadence=timedelta(hours=7))),
        start(lambda _: Answer(status=404)).url,
    )
    await sync(feed)
    by_hand = tmp_path / "by-hand.csv"
    by_hand.write_bytes(Path("tests/data/bnetza/2019-four-points.csv").read_bytes())
    await run_import(database, find_source("bnetza"), str(by_hand), ImportOptions(tmp_path))

    def told(name: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(f"voltway_source_{name}", {"source": "bnetza"})

    sampling = asyncio.create_task(keep_sampling(database, Follower(Catalogue(database), render.summary), [feed]))
    async with asyncio.timeout(10):
        while told("cadence_seconds") != 7 * 3600:
            await asyncio.sleep(0.01)
    sampling.cancel()
    await asyncio.wait([sampling])
    assert (told("failing"), told("failures_in_a_row"), told("enabled")) == (1, 1, 1)


async def test_freshness_goes_with_what_happens(
    database: Database, server: Server, sync: Sync, start: Callable[[Respond], Server]
) -> None:
    feed = irve(server.url)

    async def status(*feeds: Feed) -> tuple[Freshness, int, timedelta | None]:
        views = {view.source.name: view for view in await source_views(database, feeds, datetime.now(UTC))}
        assert set(views) >= {"afdc", "bnetza", "irve", "ocm"}
        return views["irve"].status, views["irve"].source.state.failures, views["irve"].age

    assert await status() == (Freshness.DISABLED, 0, None)
    assert await status(feed) == (Freshness.NEVER, 0, None)
    server.answers(Answer(status=404))
    await sync(feed, force=True)
    await sync(feed, force=True)
    assert await status(feed) == (Freshness.FAILING, 2, None)
    server.respond = file(register(*range(10)))
    await sync(feed, force=True)
    assert (await status(feed))[:2] == (Freshness.OK, 0)
    await let_pass(database, timedelta(days=3))
    kind, _, age = await status(feed)
    assert kind is Freshness.STALE
    assert age is not None
    assert age > timedelta(days=3)
    assert (await status())[0] is Freshness.DISABLED


async def test_figures_of_an_unchanged_source_are_those_of_its_last_import(
    database: Database, server: Server, sync: Sync
) -> None:
    await sync(irve(server.url))
    await let_pass(database, timedelta(days=2))
    await sync(irve(server.url))
    async with database.open_session(read_only=True) as session:
        state = await runs.source_state(session, "irve")
    assert state.last_import is not None
    assert state.last_success is not None
    assert state.last_import.report["records"]["new"] == 10
    assert state.last_success.finished_at - state.last_import.finished_at > timedelta(days=1)


async def test_an_unended_run_is_neither_success_nor_failure(database: Database, server: Server, sync: Sync) -> None:
    await sync(irve(server.url))
    async with database.open_session() as session:
        await session.execute(update(ImportRun).values(finished_at=None))
    assert (await sync(irve(server.url)))["irve"].outcome == "imported"
    async with database.open_session(read_only=True) as session:
        newest, killed = await runs.newest_runs(session, "irve", 5)
    assert (newest.error, killed.error) == (None, runs.STOPPED)


# Settings


def settings(**values: str) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def test_addresses_are_read_from_the_settings() -> None:
    told = settings(
        source_urls="irve=https://x.example/a,b?c=d  bnetza=https://y.example/e,\n afdc=HTTP://z.example",
        source_cadence_hours="irve=0.5",
    )
    feeds = {feed.name: feed for feed in configured_feeds(told)}
    assert {name: feed.url for name, feed in feeds.items()} == {
        "afdc": "HTTP://z.example",
        "bnetza": "https://y.example/e",
        "irve": "https://x.example/a,b?c=d",
    }
    assert feeds["irve"].cadence == timedelta(minutes=30)
    assert feeds["bnetza"].cadence == find_source("bnetza").facts.cadence
    assert configured_feeds(settings()) == []


def test_a_key_for_open_charge_map_is_enough() -> None:
    (feed,) = configured_feeds(settings(ocm_api_key="secret"))
    assert (feed.name, feed.url, feed.only_changes) == ("ocm", "https://api.openchargemap.io/v3/poi", True)
    (feed,) = configured_feeds(settings(ocm_api_key="secret", source_urls="ocm=https://x.example/export.json"))
    assert (feed.url, feed.only_changes) == ("https://x.example/export.json", False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SOURCE_URLS", "irve=ftp://x.example/s3cret"),
        ("SOURCE_URLS", "https://x.example/s3cret"),
        ("SOURCE_URLS", "irve=https://x.example/s3cret irve=https://y.example"),
        ("SOURCE_URLS", "nowhere=https://x.example/s3cret"),
        ("SOURCE_URLS", "irve=https://s3cret:99999/"),
        ("SOURCE_URLS", "irve=/s3cret/file.csv"),
        ("SOURCE_CADENCE_HOURS", "irve=daily"),
        ("SOURCE_CADENCE_HOURS", "irve=0"),
        ("SOURCE_CADENCE_HOURS", "nowhere=1"),
        ("FETCH_CONTACT", "über@x.example"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable) as error:
        configured_feeds(Settings.load())
    assert "s3cret" not in str(error.value)
