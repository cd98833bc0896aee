"""What is refused on a connection, and how long one is waited for: real sockets, and a clock that runs fast."""

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from threading import Event, Thread
from time import perf_counter

import pytest
import uvicorn
from fastapi import HTTPException
from starlette.types import Message, Receive, Scope, Send

from app.api.bodies import BodyLimits
from app.api.errors import Problem
from app.cli._waits import Wait
from app.cli.serve import OPTIONS

FASTER = 20
large_sent = Event()
"""Or its reader has gone, so that nobody waits for it to be."""
head_read = Event()
GET = b"GET /plain HTTP/1.1\r\nHost: x\r\n"


class FastLoop(asyncio.SelectorEventLoop):
    def time(self) -> float:
        return super().time() * FASTER


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes; `/large` answers with 100 MB, `/slow` after a minute, `/late` with a body once the head was read."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * Wait.REQUEST.value)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/late":
        await asyncio.to_thread(head_read.wait, 20)
    if scope["path"] == "/large":
        for _ in range(2):
            await send({"type": "http.response.body", "body": b"x" * 50_000_000, "more_body": True})
        large_sent.set()
    await send({"type": "http.response.body", "body": scope["method"].encode() + body})


@pytest.fixture(scope="module")
def server() -> Iterator[uvicorn.Server]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, lifespan="off", **OPTIONS))
    server.config.port = listening.getsockname()[1]
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        thread = Thread(target=runner.run, args=(server.serve([listening]),))
        thread.start()
        yield server
        server.should_exit = True
        thread.join()


@pytest.fixture
def connection(server: uvicorn.Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.config.port), timeout=20) as connection:
        yield connection


def _rest(connection: socket.socket) -> bytes:
    """All that comes until the end; raises ConnectionResetError when it is not a clean one."""
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    return received


def _refusal(connection: socket.socket) -> Problem:
    head, _, document = _rest(connection).partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    problem = Problem.model_validate_json(document)
    assert head.startswith(b"HTTP/1.1 %d " % problem.status)
    return problem


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", 414, "longer than 64 KiB"),
        (GET + b"A: " + b"x" * 300_000 + b"\r\n\r\n", 431, "larger than 256 KiB"),
        (GET + b"A: 1\r\n" * 300 + b"\r\n", 431, "over 256 headers"),
        (GET + b"A: " + b"x" * 20_000_000, 431, "larger than 256 KiB"),
        (GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"x" * 600_000, 431, "larger than 256 KiB"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, 400, "no HTTP/1.1 request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "no HTTP/1.1 request"),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400, ""),
        (b"GET http://x HTTP/1.1\r\n\r\n", 400, "target is no URL"),
        (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "no HTTP/1.1 request"),
        (GET + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "no HTTP/1.1 request"),
    ],
    ids=["long target", "large header", "many headers", "endless header", "endless trailer", "TLS", "HTTP/2",
         "not ASCII", "no path", "two lengths", "no chunk"],
)  # fmt: skip
def test_what_is_refused(connection: socket.socket, sent: bytes, status: int, says: str) -> None:
    connection.sendall(sent)
    problem = _refusal(connection)
    assert problem.status == status
    assert says in problem.detail


def test_large_heads_and_long_targets_are_taken(connection: socket.socket) -> None:
    target = b"/" + b"x" * 65_000
    connection.sendall(b"GET " + target + b" HTTP/1.1\r\n" + b"A: " + b"x" * 180_000 + b"\r\n")
    connection.sendall(b"B: 1\r\n" * 200 + b"Connection: close\r\n\r\n")
    assert _rest(connection).startswith(b"HTTP/1.1 200 ")


def test_a_head_in_two_parts_with_a_large_body_is_taken(connection: socket.socket) -> None:
    connection.sendall(b"POST /plain HTTP/1.1\r\nConnection: close\r\nA: " + b"x" * 9_000)
    connection.sendall(b"\r\nContent-Length: 1000000\r\n\r\n" + b"y" * 1_000_000)
    assert _rest(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("body", [b"", b"Content-Length: 4\r\n\r\nbody"], ids=["GET", "POST"])
def test_an_upgrade_to_http_2_is_answered_as_http_1(connection: socket.socket, body: bytes) -> None:
    method = b"POST" if body else b"GET"
    upgrade = b" / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    connection.sendall(method + upgrade + (body or b"\r\n"))
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    connection.sendall(GET + b"Connection: close\r\n\r\n")
    assert b"HTTP/1.1 200 " in _rest(connection)


def test_head_and_body_come_in_one_piece(connection: socket.socket) -> None:
    for _ in range(10):
        connection.sendall(GET + b"\r\n")
        head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert body == b"3\r\nGET\r\n0\r\n\r\n"


def test_a_head_does_not_wait_for_a_body_that_comes_later(connection: socket.socket) -> None:
    connection.sendall(GET.replace(b"/plain", b"/late") + b"\r\n")
    assert connection.recv(65_536).endswith(b"\r\n\r\n")
    head_read.set()
    assert b"GET" in connection.recv(65_536)


def test_the_answer_to_head_is_whole_before_garbage_is_refused(connection: socket.socket) -> None:
    connection.sendall(GET.replace(b"GET", b"HEAD") + b"\r\n")
    connection.sendall(b"garbage\r\n\r\n")
    head, _, rest = _rest(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    # if both came at once, what was sound is answered, and no more
    assert not rest or rest.startswith(b"HTTP/1.1 400")


def test_what_was_asked_before_garbage_is_answered(connection: socket.socket) -> None:
    connection.sendall(GET + b"\r\n" + GET + b"\r\n" + b"\x00garbage\r\n\r\n")
    answers = _rest(connection)
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert b"HTTP/1.1 400 " not in answers


def _waited_s(connection: socket.socket, since: float) -> float:
    """By the server's clock, until it ends the connection."""
    _rest(connection)
    return (perf_counter() - since) * FASTER


def _about(seconds: float) -> object:
    return pytest.approx(seconds + 14, abs=16)  # a sweep is up to 2 s late, and a busy machine a second of its own


def test_a_head_that_trickles_is_given_up(connection: socket.socket) -> None:
    began = perf_counter()
    connection.sendall(GET)
    connection.settimeout(1 / FASTER)
    answer = b""
    while not answer:
        connection.sendall(b"A: 1\r\n")
        try:
            answer = connection.recv(65_536)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 10 s" in answer
    assert (perf_counter() - began) * FASTER == _about(Wait.HEAD.value)


def test_a_silent_connection_is_closed_without_a_word(connection: socket.socket) -> None:
    began = perf_counter()
    assert _rest(connection) == b""
    assert (perf_counter() - began) * FASTER == _about(Wait.REQUEST.value)


@pytest.mark.parametrize("more", [b"", b"\r\n"], ids=["nothing more", "a line's end"])
def test_an_idle_connection_is_closed(connection: socket.socket, more: bytes) -> None:
    connection.sendall(GET + b"\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    began = perf_counter()
    connection.sendall(more)
    assert _waited_s(connection, began) == _about(Wait.REQUEST.value)


def test_an_application_that_takes_long_is_waited_for(connection: socket.socket) -> None:
    connection.sendall(GET.replace(b"plain", b"slow") + b"Connection: close\r\n\r\n")
    assert _rest(connection).startswith(b"HTTP/1.1 200 ")


def test_who_reads_nothing_is_given_up(connection: socket.socket) -> None:
    began = perf_counter()
    connection.sendall(GET.replace(b"plain", b"large") + b"\r\n")
    assert large_sent.wait(20)
    assert (perf_counter() - began) * FASTER == _about(Wait.READER.value)


def test_a_body_that_does_not_come_is_given_up() -> None:
    async def reads(_: Scope, receive: Receive, __: Send) -> None:
        await receive()

    async def never() -> Message:
        await asyncio.Event().wait()
        return {}

    async def unheard(_: Message) -> None: ...

    with asyncio.Runner(loop_factory=FastLoop) as runner, pytest.raises(HTTPException) as refused:
        runner.run(BodyLimits(reads)({"type": "http", "method": "POST", "headers": []}, never, unheard))
    assert refused.value.status_code == 408


def test_a_refusal_is_logged(connection: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "app.cli._protocol"):
        connection.sendall(b"garbage\r\n\r\n")
        _refusal(connection)
    (line,) = [vars(record) for record in caplog.records if record.message == "request_refused"]
    assert (line["client"], line["status"]) == ("127.0.0.1", 400)
    assert re.search("no HTTP/1.1 request", line["reason"])
