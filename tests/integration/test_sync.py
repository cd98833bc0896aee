"""`sync_sources` against a server on this machine."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from app.db import Database
from app.ingest.sync import sync_sources
from app.stations import repository
from app.stations.tables import ImportRun

SITE = {"ID": 1, "AddressInfo": {"Title": "Site", "Latitude": 51.5, "Longitude": -0.1, "CountryID": 1}}


class Server:
    """What it was asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.status = 200


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(parse_qs(urlsplit(self.path).query))
            body = json.dumps([SITE]).encode()
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told, f"http://127.0.0.1:{http.server_address[1]}/v3/poi"
    http.shutdown()
    thread.join()
    http.server_close()


async def test_a_source_is_read_whole_then_when_it_is_due_only_what_is_new(
    database: Database, tmp_path: Path, server: tuple[Server, str]
) -> None:
    told, url = server
    first = await sync_sources(database, tmp_path, ocm_api_key="key", ocm_url=url)
    assert (first["ocm"]["outcome"], first["ocm"]["stations"]["new"]) == ("imported", 1)
    assert "modifiedsince" not in told.asked[0]
    assert told.asked[0]["opendata"] == ["true"]
    assert (await sync_sources(database, tmp_path, ocm_api_key="key", ocm_url=url))["ocm"]["outcome"] == "not_due"
    assert len(told.asked) == 1
    before = datetime.now(UTC) - timedelta(days=2)
    async with database.open_session() as session:
        await session.execute(update(ImportRun).values(started_at=before))
    again = await sync_sources(database, tmp_path, ocm_api_key="key", ocm_url=url)
    assert again["ocm"]["stations"]["unchanged"] == 1
    assert told.asked[1]["modifiedsince"] == [f"{before - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"]


async def test_a_source_that_refuses_is_reported_and_tried_again(
    database: Database, tmp_path: Path, server: tuple[Server, str]
) -> None:
    told, url = server
    told.status = 403
    report = await sync_sources(database, tmp_path, ocm_api_key="key", ocm_url=url)
    assert report["ocm"]["outcome"] == "failed"
    assert "403" in report["ocm"]["error"]
    told.status = 200
    assert (await sync_sources(database, tmp_path, ocm_api_key="key", ocm_url=url))["ocm"]["outcome"] == "imported"
    async with database.open_session(read_only=True) as session:
        assert await repository.count(session) == 1
