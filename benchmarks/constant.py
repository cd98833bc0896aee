"""VoltWay, in which `/constant/N` answers with N bytes behind all of its middleware: the floor of any answer.

Run as a program it is the `voltway` command.
"""

from functools import lru_cache
from types import SimpleNamespace

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.cli import main

PATH = "/constant/"


class ConstantAnswers:
    """The innermost middleware: answers at once, and leaves everything else to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTE  # for the log and the metrics
        for message in _answer(scope["path"]):
            await send(message)


_ROUTE = SimpleNamespace(path=PATH)


@lru_cache
def _answer(path: str) -> tuple[Message, Message]:
    size = path.removeprefix(PATH)
    headers = [(b"content-type", b"application/json"), (b"content-length", size.encode())]
    return (
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": b"x" * int(size)},
    )


def install() -> None:
    """Into the application that `voltway serve` runs, wherever it does: worker processes import this module, too."""
    from app.main import app  # noqa: PLC0415 - reads the settings

    app.user_middleware.append(Middleware(ConstantAnswers))


if __name__ in {"__main__", "__mp_main__"}:
    install()
if __name__ == "__main__":
    main()
