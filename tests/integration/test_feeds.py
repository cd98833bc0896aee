"""Feeds that the operator names, pulled from OCPI servers that do well and badly."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import orjson
import pytest
from sqlalchemy import select

from app.db import Database
from app.errors import ConfigurationError
from app.ingest.feeds import Feed, configured_feeds, find_configured
from app.ingest.sync import Synced, sync_sources
from app.settings import Settings
from app.sources.fetch import Fetching
from app.sources.guest import Limits
from app.sources.hosts import Hosts
from app.stations import Station
from app.stations.tables import EvseStatusRow, ImportRun, Source
from tests.misbehaving import Answer, Asked, Server, misbehaving

TOKEN = "s3cret/token"  # noqa: S105 - of the server here
BASE64 = b64encode(TOKEN.encode()).decode()


def location(number: int, status: str = "AVAILABLE") -> dict[str, object]:
    evse = {
        "uid": "1", "evse_id": f"BR*EZV*E{number}", "status": status, "last_updated": "2026-11-20T10:00:00Z",
        "connectors": [{"id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE"}],
    }  # fmt: skip
    place = {"latitude": "-23.5", "longitude": "-46.6"}
    return {"id": str(number), "country": "BRA", "name": f"L{number}", "coordinates": place, "evses": [evse]}


class Ocpi:
    """A server of locations, five a page."""

    def __init__(self) -> None:
        self.locations = [location(n) for n in range(1, 13)]
        self.tokens = {f"Token {BASE64}"}
        self.links = True

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") not in self.tokens:
            return Answer(b"{}", 401)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        offset, limit = int(query.get("offset", 0)), min(5, int(query.get("limit", 5)))
        there = [] if "date_from" in query else self.locations
        headers: dict[str, str | None] = {"X-Total-Count": str(len(there)), "X-Limit": "5"}
        if self.links and offset + limit < len(there):
            headers["Link"] = f'<{asked.path}?offset={offset + limit}>; rel="next"'
        return Answer(envelope(there[offset : offset + limit]), headers=headers)


def envelope(data: object, status_code: int = 1000) -> bytes:
    return orjson.dumps({"data": data, "status_code": status_code, "timestamp": "2026-11-24T10:00:00Z"})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with misbehaving() as server:
        yield server


@pytest.fixture
def ocpi(server: Server) -> Ocpi:
    ocpi = Ocpi()
    server.respond = ocpi
    return ocpi


def feeds(folder: Path, text: str) -> list[Feed]:
    (folder / "feeds.toml").write_text(text)
    return configured_feeds(Settings(feeds_file=folder / "feeds.toml"))


def ezvolt(folder: Path, server: Server, name: str = "ezvolt") -> list[Feed]:
    return feeds(
        folder,
        f'[{name}]\nformat = "ocpi"\nurl = "{server.url}"\ntoken = "{TOKEN}"\ntitle = "EZVolt"\n'
        'licence = "by contract"\nattribution = "EZVolt"\nstatus_ttl_hours = 8000\n',
    )


async def sync(database: Database, folder: Path, feeds: list[Feed], *, force: bool = False) -> Synced:
    limits = Limits(free_bytes=0, silence_s=5.0, first_pause_s=0.001, attempts=2)
    how = Fetching(folder / "downloads", Hosts(1e6), limits)
    (synced,) = (await sync_sources(database, folder, feeds, how, force=force)).values()
    return synced


async def names(database: Database) -> set[str]:
    async with database.open_session(read_only=True) as session:
        present = select(Station.source, Station.external_id).where(Station.deleted_at.is_(None))
        return {f"{source} {external_id}" for source, external_id in await session.execute(present)}


async def let_pass(database: Database, time: timedelta) -> None:
    """As if all imports had been made so much earlier."""
    async with database.open_session() as session:
        for run in (await session.scalars(select(ImportRun))).all():
            run.started_at -= time
            run.finished_at = run.finished_at and run.finished_at - time


@pytest.mark.parametrize("links", [True, False], ids=["link", "total-count"])
async def test_a_feed_is_pulled_page_by_page_under_its_own_name(
    database: Database, tmp_path: Path, server: Server, ocpi: Ocpi, links: bool
) -> None:
    ocpi.links = links
    synced = await sync(database, tmp_path, ezvolt(tmp_path, server))
    assert (synced.outcome, synced.error) == ("imported", None)
    assert await names(database) == {f"ezvolt {n}" for n in range(1, 13)}
    async with database.open_session(read_only=True) as session:
        facts = (await session.scalars(select(Source))).one()
        states = (await session.scalars(select(EvseStatusRow))).all()
    assert (facts.name, facts.title, facts.licence) == ("ezvolt", "EZVolt", "by contract")
    assert {(each.source, each.status) for each in states} == {("ezvolt", "AVAILABLE")}


async def test_an_older_server_is_told_the_token_as_it_is(
    database: Database, tmp_path: Path, server: Server, ocpi: Ocpi
) -> None:
    ocpi.tokens = {f"Token {TOKEN}"}
    assert (await sync(database, tmp_path, ezvolt(tmp_path, server))).outcome == "imported"
    ocpi.tokens = set()
    synced = await sync(database, tmp_path, ezvolt(tmp_path, server), force=True)
    assert synced.error is not None
    assert "401" in synced.error
    assert "Is the feed's token right?" in synced.error
    assert TOKEN not in synced.error


async def test_once_a_day_all_is_asked_for_and_else_what_has_changed(
    database: Database, tmp_path: Path, server: Server, ocpi: Ocpi
) -> None:
    pulled = [replace(feed, source=replace(feed.source, facts=replace(feed.source.facts, cadence=timedelta(0))))
              for feed in ezvolt(tmp_path, server)]  # fmt: skip
    await sync(database, tmp_path, pulled)
    del ocpi.locations[:2]
    server.asked.clear()
    await sync(database, tmp_path, pulled)
    assert all("date_from=" in each.query for each in server.asked if "limit=1" not in each.query)
    assert len(await names(database)) == 12
    await let_pass(database, timedelta(days=1))
    synced = await sync(database, tmp_path, pulled)
    assert synced.report is not None
    assert synced.report.removed == 2
    assert await names(database) == {f"ezvolt {n}" for n in range(3, 13)}


async def test_a_pull_that_has_lost_much_is_refused(
    database: Database, tmp_path: Path, server: Server, ocpi: Ocpi
) -> None:
    await sync(database, tmp_path, ezvolt(tmp_path, server))
    del ocpi.locations[5:]
    assert (await sync(database, tmp_path, ezvolt(tmp_path, server), force=True)).outcome == "failed"
    assert len(await names(database)) == 12


async def test_a_page_that_leads_elsewhere_is_not_followed(
    database: Database, tmp_path: Path, server: Server
) -> None:
    with misbehaving() as elsewhere:
        server.respond = lambda _: Answer(
            envelope([location(1)]), headers={"Link": f'<{elsewhere.url}?offset=1>; rel="next"'}
        )
        synced = await sync(database, tmp_path, ezvolt(tmp_path, server))
        assert elsewhere.asked == []
    assert synced.error is not None
    assert "is not followed" in synced.error
    assert await names(database) == set()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(envelope([location(1)]), headers={"Link": '</file>; rel="next"'}), "in a circle"),
        (Answer(envelope(None, 2001)), "status_code 2001"),
        (Answer(envelope({"versions": []})), "list of locations"),
        (Answer(b'{"data": ['), "whole JSON"),
        (Answer(b"", 302, {"Location": "http://127.0.0.1:9/other"}), "302"),
        (Answer(b"", 500), "500"),
    ],
    ids=["circle", "status-code", "no-list", "cut", "redirect", "broken"],
)
async def test_a_server_that_errs_changes_nothing(
    database: Database, tmp_path: Path, server: Server, answer: Answer, told: str
) -> None:
    server.respond = lambda _: answer
    synced = await sync(database, tmp_path, ezvolt(tmp_path, server))
    assert synced.outcome == "failed"
    assert told in (synced.error or "")
    assert await names(database) == set()


def test_a_feed_can_be_named_wherever_a_source_can(tmp_path: Path) -> None:
    file = '[a]\nformat="datex2"\nurl="https://a.example/x?key=k"\ntitle="A"\nlicence="CC0-1.0"\nattribution="A"\n'
    names = [feed.name for feed in feeds(tmp_path, file + file.replace("[a]", "[b]"))]
    assert names == ["a", "b"]
    settings = Settings(feeds_file=tmp_path / "feeds.toml")
    assert find_configured("b", settings).facts.licence == "CC0-1.0"
    assert find_configured("irve", settings).facts.name == "irve"


SOUND = 'format="ocpi"\nurl="https://a.example"\ntitle="A"\nlicence="L"\nattribution="A"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a\n", "cannot be read"),
        ("a = 1\n", "[a]"),
        ("[A]\n" + SOUND, "small letters"),
        ("[irve]\n" + SOUND, "already"),
        ("[demo]\n" + SOUND, "already"),
        ("[a]\n" + SOUND.replace('"ocpi"', '"osm"'), "[a] format"),
        ("[a]\n" + SOUND.replace("https://a.example", "ftp://key@a.example"), "[a] url"),
        ("[a]\n" + SOUND.replace("https://a.example", "http://a.example:99999"), "[a] url"),
        ("[a]\n" + SOUND.replace('licence="L"\n', ""), "[a] licence"),
        ("[a]\n" + SOUND + "cadence_hours=0\n", "[a] cadence_hours"),
        ("[a]\n" + SOUND + 'tokn="x"\n', "[a] tokn"),
        ("[a]\n" + SOUND.replace('"ocpi"', '"datex2"') + 'token="x"\n', "a token goes with"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_table_and_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        feeds(tmp_path, text)
    assert "FEEDS_FILE" in str(refused.value)
    assert told in str(refused.value)
    assert "key@" not in str(refused.value)
