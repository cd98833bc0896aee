"""The client of Open Charge Map's API, against a server on this machine."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import NamedTemporaryFile
from threading import Thread
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

import httpx2 as httpx
import pytest
import stamina

from app.errors import FetchError, SourceFormatError
from app.sources.guest import Limits, guest
from app.sources.hosts import Hosts
from app.sources.ocm import parse
from app.sources.ocm.client import download_pages
from app.sources.records import Parsed

KEY = "0f0f-secret-0f0f"


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    path: str
    parameters: dict[str, str]
    key: str | None


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """What it was asked, and where it is."""

    url: str
    asked: list[Asked] = field(default_factory=list)


Respond = Callable[[Asked], Answer]
Serve = Callable[[Respond], Server]


@contextmanager
def serving(respond: Respond) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = Asked(url.path, dict(parse_qsl(url.query)), self.headers.get("X-API-Key"))
            server.asked.append(asked)
            answer = respond(asked)
            self.send_response_only(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Keep the test run quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server = Server(f"http://127.0.0.1:{listener.server_port}/v3/poi")
        thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda respond: stack.enter_context(serving(respond))


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=9, cap=True):
        yield


class Retries(logging.Handler):
    """What the server asked for before each further attempt, in seconds; 0: nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses_s: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "fetch_retried":
            self.pauses_s.append(vars(record)["wait_s"])


@dataclass
class Download:
    content: bytes = b""
    pauses_s: list[float] = field(default_factory=list)

    @property
    def ids(self) -> list[int]:
        return [poi["ID"] for poi in json.loads(self.content)]

    async def run(self, url: str, *, api_key: str | None = KEY, page_size: int = 4) -> "Download":
        retries, log = Retries(), logging.getLogger("app.sources.guest")
        log.addHandler(retries)
        log.setLevel(logging.INFO)
        try:
            with NamedTemporaryFile() as file:
                try:
                    async with guest(Hosts(1e6), Limits(free_bytes=0)) as visitor:
                        await download_pages(
                            url, cast("BinaryIO", file), visitor, api_key=api_key, page_size=page_size
                        )
                finally:
                    file.seek(0)
                    self.content = file.read()
        finally:
            log.removeHandler(retries)
            log.setLevel(logging.NOTSET)
            self.pauses_s = retries.pauses_s
        return self


def poi(number: int) -> dict[str, Any]:
    address = {
        "ID": number,
        "Title": f"Site “{number}”",
        "CountryID": 87,
        "Latitude": 52.5,
        "Longitude": 13.123456789012345,
    }
    return {"ID": number, "AddressInfo": address, "Connections": [{"ID": number, "ConnectionTypeID": 25}]}


def page(*numbers: int) -> Answer:
    return Answer(json.dumps([poi(number) for number in numbers]).encode())


def api(*numbers: int) -> Respond:
    """Answers as the real one does."""

    def respond(asked: Asked) -> Answer:
        if asked.key != KEY:
            return Answer(b"You must specify an API Key", 403)
        after, most = int(asked.parameters["greaterthanid"]), int(asked.parameters["maxresults"])
        return page(*sorted(number for number in numbers if number > after)[:most])

    return respond


def in_turn(*answers: Answer) -> Respond:
    waiting = iter(answers)
    return lambda _: next(waiting)


NUMBERS = [3, 5, 8, 13, 21, 34, 55, 89, 144, 233]


async def test_all_pages_are_read_in_order_of_id(serve: Serve) -> None:
    server = serve(api(*NUMBERS))
    download = await Download().run(server.url)
    assert download.ids == NUMBERS
    assert [asked.parameters["greaterthanid"] for asked in server.asked] == ["0", "13", "89"]
    assert download.pauses_s == []


async def test_what_is_written_is_what_the_adapter_reads(serve: Serve) -> None:
    download = await Download().run(serve(api(*NUMBERS)).url)
    assert len(download.content.splitlines()) == len(NUMBERS) + 2
    assert json.loads(download.content) == [poi(number) for number in NUMBERS]
    outcomes = list(parse(io.BytesIO(download.content)))
    assert [outcome.station.external_id for outcome in outcomes if isinstance(outcome, Parsed)] == [
        str(number) for number in NUMBERS
    ]


async def test_a_last_page_that_is_full_is_followed_by_an_empty_one(serve: Serve) -> None:
    server = serve(api(*NUMBERS))
    assert (await Download().run(server.url, page_size=5)).ids == NUMBERS
    assert [asked.parameters["greaterthanid"] for asked in server.asked] == ["0", "21", "233"]


async def test_nothing_new_is_an_empty_list_and_no_fault(serve: Serve) -> None:
    download = await Download().run(serve(api()).url)
    assert list(parse(io.BytesIO(download.content))) == []


async def test_the_caller_s_parameters_are_kept_but_for_those_that_paging_needs(serve: Serve) -> None:
    server = serve(api(*NUMBERS))
    box = "(52.6,13.2),(52.4,13.6)"
    query = httpx.QueryParams(
        {
            "countrycode": "DE",
            "modifiedsince": "2026-01-31T00:00:00Z",
            "boundingbox": box,
            "MaxResults": "2",
            "compact": "false",
        }
    )
    await Download().run(f"{server.url}?{query}")
    assert len(server.asked) == 3
    for asked in server.asked:
        assert asked.path == "/v3/poi"
        assert asked.parameters | {"greaterthanid": ""} == {
            "countrycode": "DE",
            "modifiedsince": "2026-01-31T00:00:00Z",
            "boundingbox": box,
            "output": "json",
            "compact": "true",
            "verbose": "false",
            "maxresults": "4",
            "sortby": "id_asc",
            "greaterthanid": "",
        }


async def test_the_key_goes_into_the_header_and_nowhere_else(serve: Serve) -> None:
    server = serve(api(*NUMBERS))
    await Download().run(server.url, api_key=f" {KEY}\n")
    assert {asked.key for asked in server.asked} == {KEY}
    assert not any(KEY in str(asked.parameters) for asked in server.asked)


@pytest.mark.parametrize("key", [None, "", "wrong-secret"])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_missing_or_wrong_is_said_without_naming_it(
    serve: Serve, key: str | None, status: int
) -> None:
    server = serve(in_turn(Answer(b"You must specify an API Key", status)))
    with pytest.raises(FetchError, match=rf"answered {status} .*OCM_API_KEY") as caught:
        await Download().run(f"{server.url}?key=in-the-url", api_key=key)
    assert "wrong-secret" not in str(caught.value)
    assert "in-the-url" not in str(caught.value)
    assert [asked.key for asked in server.asked] == [key or None]


@pytest.mark.parametrize("key", ["two\nlines-secret", "schlüssel-secret"])
async def test_a_key_that_no_header_can_hold_is_refused_without_naming_it(serve: Serve, key: str) -> None:
    server = serve(api())
    with pytest.raises(FetchError, match="OCM_API_KEY") as caught:
        await Download().run(server.url, api_key=key)
    assert "secret" not in str(caught.value)
    assert server.asked == []


@pytest.mark.parametrize("numbers", [[1, 2, 3, 4], [2, 1, 4, 3], [1, 1, 2, 3], [0, 1, 2, 3]])
async def test_a_server_that_ignores_greaterthanid_or_order_is_not_asked_for_ever(
    serve: Serve, numbers: list[int]
) -> None:
    server = serve(lambda _: page(*numbers))
    with pytest.raises(FetchError, match="does not give POI in increasing order of ID"):
        await Download().run(server.url)
    assert len(server.asked) <= 2


async def test_the_order_of_the_only_page_does_not_matter(serve: Serve) -> None:
    assert (await Download().run(serve(lambda _: page(9, 2, 5)).url)).ids == [9, 2, 5]


async def test_a_poi_without_id_ends_the_download(serve: Serve) -> None:
    with pytest.raises(FetchError, match="increasing order of ID"):
        await Download().run(serve(lambda _: Answer(b'[{"ID": null}]')).url)


async def test_names_in_camel_case_serve_for_paging_too(serve: Serve) -> None:
    answers = [Answer(b'[{"id": 1}, {"id": 2}]'), Answer(b"[]")]
    server = serve(in_turn(*answers))
    await Download().run(server.url, page_size=2)
    assert [asked.parameters["greaterthanid"] for asked in server.asked] == ["0", "2"]


async def test_a_broken_server_is_asked_again(serve: Serve) -> None:
    server = serve(in_turn(page(1, 2, 3, 4), Answer(b"", 500), Answer(b"", 502), page(5)))
    download = await Download().run(server.url)
    assert download.ids == [1, 2, 3, 4, 5]
    assert download.pauses_s == [0.0, 0.0]
    assert [asked.parameters["greaterthanid"] for asked in server.asked] == ["0", "4", "4", "4"]


async def test_a_server_that_stays_broken_is_given_up(serve: Serve) -> None:
    server = serve(lambda _: Answer(b"", 503))
    download = Download()
    with pytest.raises(FetchError, match=r"/v3/poi answered 503 Service Unavailable\.$"):
        await download.run(server.url)
    assert download.pauses_s == [0.0, 0.0, 0.0]
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "soon"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 -0000"}, 0.0),
    ],
)
async def test_a_busy_server_says_how_long_to_wait(serve: Serve, headers: dict[str, str], pause_s: float) -> None:
    download = await Download().run(serve(in_turn(Answer(b"", 429, headers), page(1))).url)
    assert (download.ids, download.pauses_s) == ([1], [pause_s])


async def test_a_server_that_wants_a_long_rest_gets_it(serve: Serve) -> None:
    server = serve(lambda _: Answer(b"", 429, {"Retry-After": "3600"}))
    download = Download()
    with pytest.raises(FetchError, match="left alone for 3600 seconds"):
        await download.run(server.url)
    assert (len(server.asked), download.pauses_s) == (1, [])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'[{"ID": 1}, {"ID"', "did not answer with whole JSON"),
        (b"<html>Down for maintenance</html>", "did not answer with whole JSON"),
        (b"", "did not answer with whole JSON"),
        (b'{"error": "no"}', "did not answer with a list of POI"),
        (b"[1, 2]", "did not answer with a list of POI"),
    ],
)
async def test_an_answer_that_is_no_list_of_poi_ends_the_download(serve: Serve, body: bytes, message: str) -> None:
    with pytest.raises(FetchError, match=message):
        await Download().run(serve(in_turn(Answer(body))).url)


async def test_a_download_cut_short_is_not_taken_for_a_whole_one(serve: Serve) -> None:
    download = Download()
    with pytest.raises(FetchError):
        await download.run(serve(in_turn(page(1, 2, 3, 4), Answer(b"", 404))).url)
    with pytest.raises(SourceFormatError):
        list(parse(io.BytesIO(download.content)))


async def test_a_connection_that_breaks_is_tried_again(serve: Serve) -> None:
    half = Answer(b'[{"ID": 1}', headers={"Content-Length": "500"})
    download = await Download().run(serve(in_turn(half, page(1))).url)
    assert (download.ids, download.pauses_s) == ([1], [0.0])


async def test_a_server_out_of_reach_is_named_without_its_parameters(serve: Serve) -> None:
    with serving(api()) as server:
        url = server.url
    download = Download()
    with pytest.raises(FetchError, match=r"/v3/poi could not be read: ConnectError "):
        await download.run(f"{url}?countrycode=DE")
    assert download.pauses_s == [0.0, 0.0, 0.0]


async def test_the_key_does_not_follow_a_redirect(serve: Serve) -> None:
    elsewhere = serve(api(1))
    server = serve(lambda _: Answer(b"", 301, {"Location": f"{elsewhere.url}?token=secret"}))
    with pytest.raises(FetchError) as caught:
        await Download().run(server.url)
    assert str(caught.value) == f"{server.url} answered 301 Moved Permanently. Ask {elsewhere.url} instead."
    assert elsewhere.asked == []
