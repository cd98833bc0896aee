"""Time limits for many short waits in one event loop. A timer for each would cost a tenth of a Redis hit."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")
TICK_S = 0.005


class Limits:
    """As `asyncio.timeout`, but one timer looks after all; a wait may last longer than its limit by one tick.

    When the event loop itself was held up, the waits that are over get one tick more: their answers may be there.
    """

    def __init__(self) -> None:
        self._ends: dict[asyncio.Timeout, float] = {}
        self._ticking = False
        self._spared = False

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)
        self._ends[limit] = loop.time() + seconds
        if not self._ticking:
            self._ticking = True
            self._next(loop)
        try:
            async with limit:
                return await work
        finally:
            self._ends.pop(limit, None)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + TICK_S
        loop.call_at(due, self._tick, loop, due)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._spared = now - due > TICK_S and not self._spared
        if not self._spared:
            for limit in [limit for limit, end in self._ends.items() if end <= now]:
                del self._ends[limit]
                limit.reschedule(now)
        self._ticking = bool(self._ends)
        if self._ticking:
            self._next(loop)
