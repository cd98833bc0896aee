"""An error that is answered before the request's body was read reaches clients that send all before they listen."""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 64 << 20
"""Read and thrown away of one request; whoever sends more may find the connection closed."""
_SILENCE_S = 1.0
_LONGEST_S = 10.0


class DrainMiddleware:
    """Reads on to the body's end once the answer is out, and only then lets the server end the exchange.

    A server that closes a connection while bytes arrive resets it, and the client then loses the answer: Python's
    urllib, for one, only says "connection reset". Nothing is read on of a client that sends slower than a piece a
    second, of what takes 10 s, or of one that waits for leave to send (`Expect: 100-continue`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"} or _awaits_leave(scope):
            await self._app(scope, receive, send)
            return
        complete = False

        async def watched() -> Message:
            nonlocal complete
            message = await receive()
            complete = not message.get("more_body", False)  # or the client is gone
            return message

        async def answer(message: Message) -> None:
            if complete or message["type"] != "http.response.body" or message.get("more_body", False):
                await send(message)
                return
            await send({**message, "more_body": True})
            with suppress(TimeoutError):
                await _drain(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, watched, answer)


def _awaits_leave(scope: Scope) -> bool:
    return any(name == b"expect" for name, _ in scope["headers"])


async def _drain(receive: Receive) -> None:
    """Raises TimeoutError."""
    left = MAX_BYTES
    async with asyncio.timeout(_LONGEST_S):
        while left > 0:
            async with asyncio.timeout(_SILENCE_S):
                message = await receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                return
