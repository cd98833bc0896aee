"""A receiver of webhooks: a real server that answers as it is told, and checks signatures by code of its own."""

import hashlib
import hmac
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DEADLINE_S = 20


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Message
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))

    def is_signed_with(self, secret: str, now: float | None = None) -> bool:
        """Within five minutes."""
        (_, at), *signed = (part.split("=", 1) for part in self.headers["Voltway-Signature"].split(","))
        wanted = hmac.new(secret.encode(), f"{at}.".encode() + self.raw, hashlib.sha256).hexdigest()
        return abs((now or time.time()) - int(at)) < 300 and ["v1", wanted] in signed


@dataclass
class Receiver:
    """What has come, and what is to be answered."""

    port: int = 0
    answers: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    """Status and headers, each for one request; when there are none, 204."""
    hangs: threading.Event = field(default_factory=threading.Event)
    """While it is set, nothing is answered."""
    received: list[Received] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [each.body for each in self.received]

    def refuse(self, *statuses: int, **headers: str) -> None:
        """The next requests."""
        self.answers.extend(
            (status, {name.replace("_", "-"): value for name, value in headers.items()}) for status in statuses
        )

    def wait_for(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"{len(self.received)} requests came"
            time.sleep(0.02)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(Received(self.path, self.headers, raw))
            while receiver.hangs.is_set() and not receiver.over.wait(0.02):
                pass
            status, headers = receiver.answers.popleft() if receiver.answers else (204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """The client hangs up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.over.set()
            server.shutdown()
            thread.join()
