"""HTTP/1.1 for uvicorn: httptools, with the limits that it lacks and answers that say what was wrong."""

import logging
from asyncio import AbstractEventLoop, BaseTransport, Transport
from http import HTTPStatus
from typing import cast
from weakref import WeakSet

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.api.errors import problem_of
from app.cli._waits import Connection, Wait, sweep
from app.utils import metrics
from app.utils.openapi_docs import PROBLEM_MEDIA_TYPE

MAX_HEAD_BYTES = 256 << 10
"""Of request line and headers together; far more than any sound request has."""
MAX_HEADERS = 256
MAX_TARGET_BYTES = (64 << 10) - 1
"""httptools counts places in a target with 16 bits."""

logger = logging.getLogger(__name__)
_swept: WeakSet[ServerState] = WeakSet()


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class _OneWrite:
    """A connection on which the head of an answer waits for the body, but not beyond the loop's next turn: two calls
    of the system, and two packets, would wake the client twice."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held + data)  # `writelines` of Python 3.12 does not tell when its buffer is full
        else:
            self._held = data
            self._loop.call_soon(self.flush)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """What is held waits no more."""
        if self._held and not self.is_closing():
            self._transport.write(self._held)
        self._held = b""


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's, but a head has limits, a refusal is a problem document, nobody is waited for without end, and a
    process that stops answers what is on its way.

    A request needs no timer of its own: once a second all connections are looked at (`app.cli._waits`).
    """

    seen: tuple[Wait, int] | None = None
    seen_at = 0.0
    _heads = 0
    """Complete ones."""
    _unfinished_bytes = 0
    """Received since a head was complete or a piece of a body came."""
    _deaf = False
    """What still comes is thrown away."""
    _stopping = False

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast("Transport", transport))
        self._one_write = _OneWrite(self.transport, self.loop)
        if self.server_state not in _swept:
            _swept.add(self.server_state)
            sweep(self.loop, cast("set[Connection]", self.connections))

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._unfinished_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            return  # to a protocol that we do not speak: the request is answered as any other (RFC 9110, 7.8)
        except HttpParserError as error:
            self._refuse(_meaning(error))
            return
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            self._refuse(_too_large())

    def on_headers_complete(self) -> None:
        if len(self.url) > MAX_TARGET_BYTES:
            raise _RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG, "The request's target is longer than 64 KiB.")
        if len(self.headers) > MAX_HEADERS or (self._unfinished_bytes > MAX_HEAD_BYTES and self._is_too_large):
            raise _too_large()
        self._heads += 1
        self._unfinished_bytes = 0
        super().on_headers_complete()
        self.cycle.transport = cast("Transport", self._one_write)
        if self._stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """As in uvicorn, which also sets a timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def shutdown(self) -> None:
        """Unlike uvicorn's, leave an idle connection open for a moment: the next request may be on its way."""
        self._stopping = True
        if self._is_answering:
            self.cycle.keep_alive = False

    @property
    def wait(self) -> tuple[Wait, int]:
        if self.transport.is_closing() or self.flow.write_paused:
            return Wait.READER, self.transport.get_write_buffer_size()
        if self._is_answering:
            return Wait.US, 0
        if self._deaf:
            return Wait.LAST_BYTES, 0
        if self._stopping:
            return Wait.LAST_REQUEST, self._heads
        return (Wait.HEAD if self._is_in_head else Wait.REQUEST), self._heads

    def give_up(self, wait: Wait) -> None:
        if wait is Wait.READER:
            self.transport.abort()
        elif wait is Wait.HEAD:
            detail = f"The head of the request did not arrive within {Wait.HEAD.value:g} s."
            self._refuse(_RefusedError(HTTPStatus.REQUEST_TIMEOUT, detail))
        else:
            self.transport.close()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not (self.cycle.response_complete or self.cycle.disconnected)

    @property
    def _is_in_head(self) -> bool:
        return self.scope is not None and "path" not in self.scope

    @property
    def _is_too_large(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)
        return size > MAX_HEAD_BYTES

    def _refuse(self, why: _RefusedError) -> None:
        """Answer, and take what still comes for a moment: a connection that is closed while bytes arrive is reset,
        and the client loses the answer."""
        self._deaf = True
        if self._is_answering:
            if self.pipeline or self.cycle.response_started or not self.cycle.more_body:
                self.cycle.keep_alive = False  # what was asked for before is answered, and no more
                return
            self.cycle.disconnected = True  # for it is this request's body
            self.cycle.message_event.set()
        self._answer(why)

    def _answer(self, why: _RefusedError) -> None:
        self._one_write.flush()
        problem, document = problem_of(why.status, str(why))
        client = self.client and self.client[0]
        logger.info("request_refused", extra={"client": client, "status": why.status.value, "reason": str(why)})
        metrics.request_count.labels("other", "unmatched", str(why.status.value)).inc()
        metrics.request_errors.labels("unmatched", problem).inc()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
            (b"content-length", str(len(document)).encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[why.status], *lines, b"\r\n", document]))
        self.transport.write_eof()


def _too_large() -> _RefusedError:
    return _RefusedError(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"The head of the request is larger than {MAX_HEAD_BYTES >> 10} KiB, or has over {MAX_HEADERS} headers.",
    )


def _meaning(error: HttpParserError) -> _RefusedError:
    if isinstance(error.__context__, _RefusedError):
        return error.__context__
    if isinstance(error, HttpParserCallbackError):
        detail = "The request's target is no URL: let it begin with /, and percent-encode what is not ASCII."
    else:
        detail = f"This is no HTTP/1.1 request: {error}."
    return _RefusedError(HTTPStatus.BAD_REQUEST, detail)
