"""Receiving bodies: no larger, and no slower, than is allowed."""

import asyncio

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 20_000_000
_WITHIN_S = 60


class BodyLimits:
    """A middleware: whoever reads a body that is too large or too slow gets an HTTPException, to be let through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            receive = _Body(scope, receive).receive
        await self._app(scope, receive, send)


class _Body:
    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._declared = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
        self._received = 0
        self._complete = False
        self._until: float | None = None

    async def receive(self) -> Message:
        """Raises HTTPException."""
        if self._complete:  # then it tells when the client goes away
            return await self._receive()
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + _WITHIN_S
        message = await self._next()
        self._received += len(message.get("body", b""))
        if self._received > MAX_BYTES:
            raise _too_large()
        self._complete = not message.get("more_body", False)
        return message

    async def _next(self) -> Message:
        if self._declared > MAX_BYTES:
            raise _too_large()  # before it is asked for, as one who waits for leave to send it need not
        try:
            async with asyncio.timeout_at(self._until):
                return await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"The body did not arrive within {_WITHIN_S} s.") from None


def _too_large() -> HTTPException:
    return HTTPException(413, f"The body is larger than {MAX_BYTES // 10**6} MB: send it in parts.")
