"""Getting inputs, against a server on this machine that answers whatever it is told to."""

import gzip
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2 as httpx
import pytest

from app.errors import FetchError
from app.sources import downloads
from app.sources.downloads import Place, Version
from app.sources.fetch import Fetching, fetched, opened
from app.sources.guest import Guest, Limits
from app.sources.hosts import Hosts
from app.sources.locations import is_url, without_secrets

TABLE = b"id;name\n1;one\n" + b"".join(b"%d;station number %d\n" % (n, n) for n in range(2_000))
QUICK = Limits(free_bytes=0, first_pause_s=0.001, attempts=2)
SECRETS = ("voltuser", "s3cret", "tok3n", "k3y")


@dataclass(frozen=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Serve = Callable[..., str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Takes the answers by path, gives the URL of the first of them."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answers: dict[str, Answer] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers[self.path.partition("?")[0]]
            self.send_response(answer.status)
            for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Keep the test run quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:

        def start(first: Answer, **others: Answer) -> str:
            answers.update({"/file": first} | {f"/{path}": answer for path, answer in others.items()})
            return f"http://voltuser:s3cret@127.0.0.1:{listener.server_port}/file?key=k3y&token=tok3n#tok3n"

        thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield start
        finally:
            listener.shutdown()
            thread.join()


async def content(where: str, limits: Limits = QUICK) -> bytes:
    """What an adapter gets to read."""
    async with fetched(where, Fetching(hosts=Hosts(1e6), limits=limits)) as got:
        with opened(got.path) as file:
            return file.read()


async def refusal(url: str, limits: Limits = QUICK) -> str:
    """What is said of a URL that gives nothing; it must hold no secret."""
    with pytest.raises(FetchError) as error:
        await content(url, limits)
    assert not any(secret in str(error.value) for secret in SECRETS)
    return str(error.value)


# Downloads


async def test_the_body_is_read(serve: Serve) -> None:
    assert await content(serve(Answer(TABLE))) == TABLE


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(TABLE, mtime=0), {"Content-Type": "application/gzip"}),
        (gzip.compress(TABLE, mtime=0), {"Content-Type": "text/csv", "Content-Encoding": "gzip"}),
        (gzip.compress(TABLE, mtime=0), {"Content-Type": "application/gzip", "Content-Encoding": "GZIP"}),
        (gzip.compress(TABLE, mtime=0), {"Content-Encoding": "x-gzip"}),
        (
            gzip.compress(gzip.compress(TABLE, mtime=0), mtime=0),
            {"Content-Type": "application/gzip", "Content-Encoding": "gzip"},
        ),
        (TABLE, {"Content-Encoding": "gzip"}),  # a server that takes the file for compressed
        (gzip.compress(TABLE[:999], mtime=0) + gzip.compress(TABLE[999:], mtime=0), {"Content-Encoding": "gzip"}),
    ],
    ids=["file", "encoding", "both", "old name", "twice", "neither", "two members"],
)
async def test_gzip_is_undone_whether_it_is_the_file_or_the_transport(
    serve: Serve, body: bytes, headers: dict[str, str]
) -> None:
    assert await content(serve(Answer(body, headers=headers))) == TABLE


async def test_a_redirect_is_followed(serve: Serve) -> None:
    url = serve(Answer(status=302, headers={"Location": "/moved?token=tok3n"}), moved=Answer(TABLE))
    assert await content(url) == TABLE


async def test_a_download_is_deleted_afterwards(serve: Serve) -> None:
    async with fetched(serve(Answer(TABLE))) as got:
        assert got.path.read_bytes() == TABLE
    assert not got.path.parent.exists()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b"no", 404), " answered 404 Not Found."),
        (Answer(b"no", 500), " answered 500 Internal Server Error."),
        (Answer(b"", 204), " answered 204 No Content."),
        (Answer(b"", 401), " answered 401 Unauthorized."),
        (Answer(TABLE, headers={"Content-Length": "99999"}), " could not be read: RemoteProtocolError peer closed"),
        (Answer(status=302, headers={"Location": "/file"}), " could not be read: TooManyRedirects"),
        (
            Answer(status=302, headers={"Location": "ftp://x.example/tok3n"}),
            " could not be read: UnsupportedProtocol",
        ),
        (
            Answer(TABLE, headers={"Content-Encoding": "deflate"}),
            " came in an encoding that was not asked for: deflate.",
        ),
    ],
)
async def test_what_a_server_fails_to_give_is_said_without_secrets(serve: Serve, answer: Answer, said: str) -> None:
    url = serve(answer)
    shown = f"http://127.0.0.1:{httpx.URL(url).port}/file"
    assert (await refusal(url)).startswith(shown + said)


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
async def test_gzip_that_is_cut_off_is_noticed(serve: Serve, headers: dict[str, str]) -> None:
    said = await refusal(serve(Answer(gzip.compress(TABLE, mtime=0)[:-99], headers=headers)))
    assert said.startswith("The input is not a whole gzip file: ")


async def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        port = unused.getsockname()[1]
        said = await refusal(f"http://voltuser:s3cret@127.0.0.1:{port}/file?key=k3y")
    assert said.startswith(f"http://127.0.0.1:{port}/file could not be read: ConnectError ")


async def test_a_download_ends_at_the_limit(serve: Serve) -> None:
    assert await content(serve(Answer(TABLE)), replace(QUICK, max_bytes=len(TABLE))) == TABLE
    said = await refusal(serve(Answer(TABLE)), replace(QUICK, max_bytes=len(TABLE) - 1))
    assert said.endswith("/file is larger than 0 MB (FETCH_MAX_MB).")


async def test_a_full_disk_is_no_fault_of_the_server(tmp_path: Path, serve: Serve) -> None:
    async def download(url: str, _: Place, guest: Guest, known: Version | None) -> Version:
        place = Place(tmp_path, url)
        place.body.symlink_to("/dev/full")
        place.clear = lambda: None  # type: ignore[method-assign]
        return await downloads.download(url, place, guest, known)

    with pytest.raises(FetchError, match=r"/file could not be stored: No space left on device\.$"):
        async with fetched(serve(Answer(TABLE)), Fetching(hosts=Hosts(1e6), limits=QUICK), download=download):
            pass


@pytest.mark.parametrize(
    "url",
    [
        "http://voltuser:s3/cret@host/",
        "https://voltuser:s3cret@host:tok3n/",
        "http://k3y\n",
        "http://k3y:99999/",
        "http://",
    ],
)
async def test_a_malformed_url_is_refused_without_showing_it(url: str) -> None:
    said = await refusal(url)
    assert said.startswith("The URL is malformed.")
    with pytest.raises(FetchError):
        without_secrets(url)


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("https://voltuser:s3cret@x.example:8443/a/b.csv?key=k3y#tok3n", "https://x.example:8443/a/b.csv"),
        ("HTTP://voltuser@x.example?key=k3y", "http://x.example"),
        ("https://x.example/a%20b", "https://x.example/a%20b"),
        ("data/stations?.csv", "data/stations?.csv"),
    ],
)
def test_only_the_plain_address_is_shown(where: str, shown: str) -> None:
    assert without_secrets(where) == shown


def test_a_url_is_known_by_its_scheme_in_any_case() -> None:
    assert is_url("http://x.example")
    assert is_url("HTTPS://x.example")
    assert not is_url("http")
    assert not is_url("ftp://x.example")
    assert not is_url("/data/http://x")


# Files


async def test_a_path_is_left_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "stations.csv"
    path.write_bytes(TABLE)
    async with fetched(str(path)) as got:
        assert got.path == path
    assert path.read_bytes() == TABLE


@pytest.mark.parametrize(
    "body", [TABLE, b"", b"\x1f", b"\x1f\x8c", gzip.compress(TABLE, mtime=0), gzip.compress(b"", mtime=0)]
)
def test_a_file_is_opened_at_its_beginning_and_can_seek(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "stations"
    path.write_bytes(body)
    expected = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    with opened(path) as file:
        assert file.tell() == 0
        assert file.seek(0, os.SEEK_END) == len(expected)
        file.seek(0)
        assert file.read() == expected
    assert file.closed


@pytest.mark.parametrize(
    "body",
    [
        b"\x1f\x8b",
        gzip.compress(TABLE, mtime=0)[:100],
        gzip.compress(TABLE, mtime=0)[:-1],
        gzip.compress(TABLE, mtime=0)[:-8] + b"\0" * 8,
        gzip.compress(TABLE, mtime=0) + b"more",
        b"\x1f\x8b\x08\0\0\0\0\0\0\0" + b"\xff" * 99,
    ],
    ids=["two bytes", "cut off", "one byte short", "wrong checksum", "more after the end", "no deflate data"],
)
def test_gzip_that_is_broken_is_refused(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "stations.csv.gz"
    path.write_bytes(body)
    with pytest.raises(FetchError, match="The input is not a whole gzip file: "), opened(path):
        pass


def test_gzip_is_undone_twice_at_most(tmp_path: Path) -> None:
    path = tmp_path / "stations.csv.gz"
    inner = gzip.compress(TABLE, mtime=0)
    path.write_bytes(gzip.compress(gzip.compress(inner, mtime=0)))
    with opened(path) as file:
        assert file.read() == inner


def test_decompression_ends_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "stations.csv.gz"
    path.write_bytes(gzip.compress(b"0" * 5_000_000, mtime=0))
    small = Fetching(limits=replace(QUICK, max_bytes=2_000_000))
    with pytest.raises(FetchError, match="decompressed, is larger"), opened(path, small):
        pass


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"missing\.csv cannot be opened: No such file or directory\."):
        opened(tmp_path / "missing.csv").__enter__()
    with pytest.raises(FetchError, match=r" cannot be opened: Is a directory\."):
        opened(tmp_path).__enter__()


def test_a_pipe_is_refused() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    try:
        with pytest.raises(FetchError, match="is no file but a pipe"), opened(Path(f"/dev/fd/{reading}")):
            pass
    finally:
        os.close(reading)


def test_an_error_in_reading_is_the_readers_own(tmp_path: Path) -> None:
    path = tmp_path / "stations.csv"
    path.write_bytes(TABLE)
    with pytest.raises(OSError, match="mine"), opened(path):
        raise OSError("mine")
