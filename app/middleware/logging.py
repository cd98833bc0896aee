"""What is told of every request: an id, one line in the log, and metrics.

Pure ASGI, without buffering. The two middlewares may be added in any order, together or alone; the outer one sees
all of the request and answer, the inner one only joins it.
"""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from http import HTTPStatus
from random import getrandbits
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.middleware._route_template import UNMATCHED, route_template
from app.utils import metrics
from app.utils.advanced_logging import LoggingSettings, log_context, log_later

HEADER = "X-Request-ID"

_HEADER = HEADER.lower().encode()
_TIME_HEADER = b"x-process-time"
_OURS = frozenset((_HEADER, _TIME_HEADER))
_FIT = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
_CLIENT_GONE = 499
"""nginx's number for a client that did not wait; it never saw an answer."""
_PHRASES = {status.value: status.phrase.lower().replace(" ", "-") for status in HTTPStatus}
_PHRASES[_CLIENT_GONE] = "client-closed-request"
_LONGEST_PATH = 2_000
_KEY = "voltway.exchange"

access = logging.getLogger("app.access")


class _Exchange:
    """One request and its answer, for those who tell of it."""

    duration_s = head_s = 0.0
    waited_s = 0.0
    """Until the last byte; of a stream of events, which lasts as long as someone listens, until the head."""
    route = UNMATCHED
    """Known when it has ended, as then the router is done."""
    status: int | None = None
    head: Message = {}  # noqa: RUF012 - never changed
    request_bytes = response_bytes = 0
    disconnected = failed = _complete = _in_parts = _ended = False

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started = perf_counter()
        self.scope = scope
        self.method: str = scope["method"]
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self.request_id: str = _given_id(scope) or getrandbits(128).to_bytes(16).hex()
        self.path: str = scope["path"]
        self._receive, self._send = receive, send
        self._observers: list[_Observer] = []

    def join(self, observer: "_Observer") -> None:
        """A second of the same kind, as of a mounted application, has nothing to add."""
        for each in self._observers:
            if type(each) is type(observer):
                return
        self._observers.append(observer)
        observer.begin(self)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.request_bytes += len(message.get("body", b""))
        elif not self._complete:
            self.disconnected = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            message = self._begin_answer(message)
        elif kind == "http.response.body":
            self.response_bytes += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            self._in_parts |= not self._complete
        try:
            await self._send(message)
        except OSError:
            self.disconnected = True
            raise
        if self._complete:
            self.end()

    def _begin_answer(self, message: Message) -> Message:
        """A new message: who sent it may use its own again. Of a header that is ours, ours is the only one."""
        self.status = message["status"]
        self.head_s = perf_counter() - self.started
        headers = [header for header in message.get("headers", ()) if header[0].lower() not in _OURS]
        headers += [each.header(self) for each in self._observers]
        self.head = {**message, "headers": headers}
        return self.head

    def fail(self) -> None:
        """An error was raised. An answer that broke off is not the success that its head has told of."""
        if not self.disconnected and not self._complete:
            self.status, self.failed = 500, True

    def end(self) -> None:
        """After the last byte, or when there will be none."""
        if self._ended:
            return
        self._ended = True
        self.duration_s = perf_counter() - self.started
        self.waited_s = self.head_s if self._in_parts and _is_event_stream(self.head) else self.duration_s
        self.route = route_template(self.scope)
        if self.status is None:
            self.status = _CLIENT_GONE if self.disconnected else 500
        for observer in self._observers:
            observer.end(self)


class _Observer(ABC):
    """A middleware that is told of each exchange: when it begins, at its head, when it has ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = self._run = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _KEY in scope:
            scope[_KEY].join(self)
            await self._run(scope, receive, send)
        else:
            exchange = scope[_KEY] = _Exchange(scope, receive, send)
            exchange.join(self)
            try:
                await self._run(scope, exchange.receive, exchange.send)
            except Exception:
                exchange.fail()
                raise
            finally:
                exchange.end()
                scope.pop(_KEY, None)  # each holds the other, and the garbage collector would have to part them

    @abstractmethod
    def begin(self, exchange: _Exchange) -> None: ...

    @abstractmethod
    def header(self, exchange: _Exchange) -> tuple[bytes, bytes]: ...

    @abstractmethod
    def end(self, exchange: _Exchange) -> None: ...


class RequestLoggingMiddleware(_Observer):
    """Gives every request an id, the caller's own if it is fit for a log line, and one line in the log.

    The id is in `request.state.request_id`, in the answer's header and on every line that is logged meanwhile.
    `slow_request_threshold` in seconds, from where on the line is a warning; None: SLOW_REQUEST_THRESHOLD.
    """

    def __init__(self, app: ASGIApp, slow_request_threshold: float | None = None) -> None:
        super().__init__(app)
        self._run = self._run_in_context
        self._slow_s = _threshold(slow_request_threshold)

    async def _run_in_context(self, scope: Scope, receive: Receive, send: Send) -> None:
        with log_context(request_id=scope["state"]["request_id"]):
            await self._app(scope, receive, send)

    def begin(self, exchange: _Exchange) -> None:
        exchange.state["request_id"] = exchange.request_id

    def header(self, exchange: _Exchange) -> tuple[bytes, bytes]:
        return _HEADER, exchange.request_id.encode()

    def end(self, exchange: _Exchange) -> None:
        level = logging.WARNING if exchange.waited_s > self._slow_s else logging.INFO
        if access.isEnabledFor(level):
            log_later(access, level, "request", _told(exchange))


def _told(exchange: _Exchange) -> dict[str, Any]:
    client = exchange.scope.get("client")
    told = {
        "request_id": exchange.request_id,
        "method": exchange.method[:32],
        "route": exchange.route,
        "path": exchange.path[:_LONGEST_PATH],
        "status": exchange.status,
        "duration_ms": int(exchange.duration_s * 1e6) / 1_000,  # `round` takes as long as all the rest
        "client": client and client[0],
        "request_bytes": exchange.request_bytes,
        "response_bytes": exchange.response_bytes,
    }
    if exchange.disconnected:
        told["disconnected"] = True
    return told


class PerformanceMiddleware(_Observer):
    """Measures every request, and says in `X-Process-Time` how many seconds passed until the answer's head.

    `slow_request_threshold` in seconds, from where on a request is counted and warned of as slow; None:
    SLOW_REQUEST_THRESHOLD.
    """

    def __init__(self, app: ASGIApp, slow_request_threshold: float | None = None) -> None:
        super().__init__(app)
        self._slow_s = _threshold(slow_request_threshold)
        self._series: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def begin(self, exchange: _Exchange) -> None:
        metrics.requests_in_progress.inc()

    def header(self, exchange: _Exchange) -> tuple[bytes, bytes]:
        return _TIME_HEADER, b"%.6f" % exchange.head_s

    def end(self, exchange: _Exchange) -> None:
        metrics.requests_in_progress.dec()
        if metrics.ENABLED:
            self._measure(exchange)
        if exchange.waited_s > self._slow_s:
            _warn_of_slow(exchange)

    def _measure(self, exchange: _Exchange) -> None:
        assert exchange.status is not None  # noqa: S101 - it has ended
        method = exchange.method if exchange.method in _METHODS else "other"
        key = method, exchange.route, exchange.status
        count, observe = self._series.get(key) or self._new_series(key)
        count()
        observe(exchange.waited_s)
        if exchange.status >= 400:
            metrics.request_errors.labels(exchange.route, _problem(exchange)).inc()

    def _new_series(self, key: tuple[str, str, int]) -> tuple[Callable[[], None], Callable[[float], None]]:
        """The look-up of a metric's child costs as much as counting."""
        method, endpoint, status = key
        count = metrics.request_count.labels(method, endpoint, str(status)).inc
        observe = metrics.request_duration_seconds.labels(method, endpoint).observe
        self._series[key] = count, observe
        return count, observe


def _warn_of_slow(exchange: _Exchange) -> None:
    metrics.slow_requests.labels(exchange.route).inc()
    log_later(access, logging.WARNING, "slow_request", _told(exchange))


def _problem(exchange: _Exchange) -> str:
    """As the application has named it in `scope["state"]["problem"]`, else after the status."""
    named = None if exchange.failed else exchange.state.get("problem")
    return str(named or _PHRASES.get(exchange.status or 0, "other"))


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _HEADER:
            return value.decode() if _FIT.fullmatch(value) else None
    return None


def _is_event_stream(head: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in head.get("headers", ())
    )


def _threshold(given: float | None) -> float:
    return LoggingSettings().slow_request_threshold if given is None else given
