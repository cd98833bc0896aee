"""`voltway import` with a URL: a file, gzip or not, and Open Charge Map's API page by page."""

import gzip
import json
import sqlite3
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.acceptance.conftest import voltway
from tests.conftest import DATA

KEY = "9d5c-secret"
POIS = 2_300


class _Registry(BaseHTTPRequestHandler):
    """Serves the fixtures as files, and 2,300 POI under /v3/poi to those who have the key."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/v3/poi":
            return self._answer(*self._page(parse_qs(url.query)))
        name = url.path.removeprefix("/").removesuffix(".gz")
        if not (DATA / name).is_file():
            return self._answer(404, b"")
        body = (DATA / name).read_bytes()
        return self._answer(200, gzip.compress(body) if url.path.endswith(".gz") else body)

    def _page(self, asked: dict[str, list[str]]) -> tuple[int, bytes]:
        if self.headers.get("X-API-Key") != KEY:
            return 403, b"You must specify an API key"
        after, size = int(asked["greaterthanid"][0]), int(asked["maxresults"][0])
        page = [
            {"ID": n, "AddressInfo": {"Title": f"Site {n}", "Latitude": 51.5, "Longitude": -0.1, "CountryID": 1}}
            for n in range(after + 1, min(after + size, POIS) + 1)
        ]
        return 200, json.dumps(page).encode()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert voltway(tmp_path, "migrate").returncode == 0
    return tmp_path


def test_a_file_by_url_gives_the_same_report_plain_gzip_and_from_disk(folder: Path, registry: str) -> None:
    name = "irve/stations.csv"
    reports = [
        voltway(folder, "import", "irve", where, "--dry-run").stdout.partition("rejected charge points are listed")[0]
        for where in (str(DATA / name), f"{registry}/{name}", f"{registry}/{name}.gz")
    ]
    assert "charge points read" in reports[0]
    assert reports[0] == reports[1] == reports[2]


def test_the_api_is_read_page_by_page_with_the_key(folder: Path, registry: str) -> None:
    url = f"{registry}/v3/poi?countrycode=GB"
    first = voltway(folder, "import", "ocm", url, OCM_API_KEY=KEY)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("ocm: 2,300 POIs read = 2,300 new + 0 updated + 0 unchanged + 0 skipped")
    assert "2,300 unchanged" in voltway(folder, "import", "ocm", url, OCM_API_KEY=KEY).stdout
    assert KEY not in first.stdout + first.stderr
    assert KEY.encode() not in (folder / "voltway.db").read_bytes()


def test_without_the_key_the_error_says_which_setting(folder: Path, registry: str) -> None:
    done = voltway(folder, "import", "ocm", f"{registry}/v3/poi", OCM_API_KEY="wrong-secret")
    assert done.returncode == 1
    assert "OCM_API_KEY" in done.stderr
    assert "wrong-secret" not in done.stderr
    connection = sqlite3.connect(folder / "voltway.db")
    ((error,),) = connection.execute("SELECT error FROM import_runs").fetchall()
    connection.close()
    assert "OCM_API_KEY" in error


def test_a_page_that_is_not_there_is_an_error_in_a_line(folder: Path, registry: str) -> None:
    done = voltway(folder, "import", "bnetza", f"{registry}/none.csv?token=secret")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "404" in done.stderr
    assert "secret" not in done.stderr
