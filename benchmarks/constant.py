"""The floor of an HTTP answer: one that is always the same, from the server and with the options of `voltway serve`.

Run as a program: `PORT BYTES`.
"""

import sys

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from app.cli.serve import OPTIONS


def constant(size: int) -> ASGIApp:
    """An application that answers everything with so many bytes."""
    body = b"x" * size
    headers = [(b"content-type", b"application/json"), (b"content-length", str(size).encode())]

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def main(port: int, size: int) -> None:
    uvicorn.run(constant(size), port=port, **OPTIONS)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
