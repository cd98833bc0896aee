"""No more requests at a time than a process can answer in good time."""

from collections.abc import Set as AbstractSet

from starlette.types import ASGIApp, Receive, Scope, Send

from app.utils import metrics


class AdmissionMiddleware:
    """Lets `most` requests in at a time; who comes then is answered at once by `overloaded`. Paths that stand `aside`
    are always let in, and do not count."""

    def __init__(self, app: ASGIApp, most: int, *, aside: AbstractSet[str], overloaded: ASGIApp) -> None:
        self._app = app
        self._most = most
        self._aside = aside
        self._overloaded = overloaded
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._aside:
            await self._app(scope, receive, send)
        elif self._inside >= self._most:
            metrics.requests_turned_away.inc()
            await self._overloaded(scope, receive, send)
        else:
            self._inside += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._inside -= 1
