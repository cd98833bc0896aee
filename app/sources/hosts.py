"""Manners towards each host: asked not too often, and for a while not at all after it has failed or said so."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx2 as httpx
from aiolimiter import AsyncLimiter

from app.errors import FetchError

FAILURES_TO_REST = 5
REST = timedelta(minutes=15)


class LeftAloneError(FetchError):
    """The host is not to be asked before `until`."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Hosts:
    """What one run knows of the hosts that it asks: a rate limit and a circuit breaker for each.

    The breaker opens by FAILURES_TO_REST requests in a row without an answer. It closes by time alone: who wants to
    keep that beyond the run stores `LeftAloneError.until`, and calls `leave_alone` in the next one.
    """

    def __init__(self, requests_per_s: float = 2.0, now: Callable[[], datetime] = _utc_now) -> None:
        self._limiters: dict[str, AsyncLimiter] = defaultdict(lambda: AsyncLimiter(1, 1 / requests_per_s))
        self._failures: dict[str, int] = defaultdict(int)
        self._rests: dict[str, datetime] = {}
        self.now = now

    async def take_turn(self, request: httpx.Request) -> None:
        """Called before each request, also for each that a redirect leads to. Raises LeftAloneError."""
        host = request.url.host
        until = self._rests.get(host)
        if until is not None and self.now() < until:
            raise LeftAloneError(f"{host} is left alone until {until:%Y-%m-%d %H:%M:%S} UTC.", until)
        await self._limiters[host].acquire()

    def leave_alone(self, host: str, until: datetime) -> None:
        self._rests[host] = max(until, self._rests.get(host, until))

    def succeeded(self, host: str) -> None:
        self._failures[host] = 0

    def failed(self, host: str) -> None:
        self._failures[host] += 1
        if self._failures[host] >= FAILURES_TO_REST:
            self._failures[host] = 0
            self.leave_alone(host, self.now() + REST)
