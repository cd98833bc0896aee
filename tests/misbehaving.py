"""An HTTP server on this machine that answers whatever it is told to, and as badly."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    path: str
    query: str
    headers: dict[str, str]
    """Their names in lower case."""


@dataclass(frozen=True)
class Answer:
    """What it sends. `Content-Length` is that of the body, unless `headers` says otherwise; `None` leaves one out."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str | None] = field(default_factory=dict)
    resets: bool = False
    """The connection breaks off after the body."""
    hangs: bool = False
    """After the body nothing comes any more, and the connection stays open."""
    drips: bool = False
    """A byte every 5 ms."""


Respond = Callable[[Asked], Answer]


@dataclass
class Server:
    """Where it is, what it answers, and what it was asked."""

    port: int
    respond: Respond = lambda _: Answer()
    asked: list[Asked] = field(default_factory=list)
    closing: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/file"

    def answers(self, *answers: Answer) -> None:
        """These in turn, the last one for ever."""
        waiting = list(answers)
        self.respond = lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def file(body: bytes, etag: str | None = '"1"', **headers: str) -> Respond:
    """Serves a file as it should be: with validators and ranges."""

    def respond(asked: Asked) -> Answer:
        given: dict[str, str | None] = {"ETag": etag, **headers}
        if etag and asked.headers.get("if-none-match") == etag:
            return Answer(status=304, headers={**given, "Content-Length": None})
        wanted = asked.headers.get("range", "")
        if not wanted or asked.headers.get("if-range") != etag:
            return Answer(body, headers=given)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            return Answer(status=416, headers={"Content-Range": f"bytes */{len(body)}"})
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return Answer(body[start:], 206, {**given, "Content-Range": span})

    return respond


@contextmanager
def misbehaving() -> Iterator[Server]:
    """Started, and stopped with every connection at the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = Asked(url.path, url.query, {name.lower(): value for name, value in self.headers.items()})
            server.asked.append(asked)
            answer = server.respond(asked)
            self.close_connection = True
            self.send_response(answer.status)
            headers: dict[str, Any] = {"Content-Length": len(answer.body), **answer.headers}
            for name, value in headers.items():
                if value is not None:
                    self.send_header(name, str(value))
            self.send_header("Connection", "close")
            self.end_headers()
            self._send(answer)

        def _send(self, answer: Answer) -> None:
            try:
                if answer.drips:
                    for byte in answer.body:
                        self.wfile.write(bytes([byte]))
                        if server.closing.wait(0.005):
                            return
                else:
                    self.wfile.write(answer.body)
            except OSError:  # the client has had enough
                return
            if answer.hangs:
                server.closing.wait()
            if answer.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Listener(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """The client hangs up."""

    with Listener(("127.0.0.1", 0), Handler) as listener:
        server = Server(int(listener.server_address[1]))
        thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            listener.shutdown()
            thread.join()
