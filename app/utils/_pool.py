"""Objects that are used again."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """Numbers of objects."""

    created: int
    reused: int
    """Times that an idle object was handed out."""
    idle: int
    in_use: int
    """Handed out and not released: if it only grows, someone forgets to release."""


class MemoryPool(Generic[T]):
    """Hands out objects and keeps up to `max_size` released ones to hand out again, the last released first.

    It never waits: where none is idle, a new one is made, and a released one that is too many is dropped. It belongs
    to no event loop and no thread. `reset` is called with each released object, to empty it; if it raises, the object
    is dropped and the error goes to who released it.

    When not to use it: for dicts, lists and other small objects, which Python makes in less time than this takes to
    hand one out. It pays for what takes long to make and can be emptied (large buffers, compiled parsers). Not for
    connections, which need a check whether they still live: their libraries have pools.
    """

    def __init__(
        self, factory: Callable[[], T], max_size: int, *, reset: Callable[[T], object] | None = None
    ) -> None:
        if max_size < 0:
            raise ValueError("max_size is less than 0")
        self._factory = factory
        self._max_size = max_size
        self._reset = reset
        self._lock = Lock()
        self._idle: list[T] = []
        self._in_use: dict[int, T] = {}
        self._created = self._reused = 0

    async def acquire(self) -> T:
        """An idle object, or a new one."""
        with self._lock:
            if self._idle:
                self._reused += 1
                return self._hand_out(self._idle.pop())
        new = self._factory()
        with self._lock:
            self._created += 1
            return self._hand_out(new)

    def _hand_out(self, item: T) -> T:
        self._in_use[id(item)] = item
        return item

    async def release(self, item: T) -> None:
        """Give it back. Raises ValueError for an object that is not out: released before, or not from here."""
        with self._lock:
            if id(item) not in self._in_use:
                raise ValueError("the object was released before, or is not from this pool")
            del self._in_use[id(item)]
        if self._reset is not None:
            self._reset(item)
        with self._lock:
            if len(self._idle) < self._max_size:
                self._idle.append(item)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[T]:
        """An object for the time of the block."""
        item = await self.acquire()
        try:
            yield item
        finally:
            await self.release(item)

    @property
    def counts(self) -> PoolCounts:
        with self._lock:
            return PoolCounts(self._created, self._reused, len(self._idle), len(self._in_use))
