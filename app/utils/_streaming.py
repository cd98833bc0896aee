"""Going through many items, a few at a time."""

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Sequence,
)
from contextlib import aclosing
from contextvars import copy_context
from typing import Any, TypeVar, overload

T = TypeVar("T")
R = TypeVar("R")
Items = Iterable[T] | AsyncIterable[T]


class StreamingProcessor:
    """Items one after the other from anything that can be gone through, so that never all are in memory.

    When not to use it: for what is in memory already and is worked through without awaiting, where a plain `for` does
    the same; for work of the processor, which a thread or process must take off the event loop.
    """

    @overload
    @staticmethod
    def stream_process(items: Items[T], chunk_size: int = 1_000) -> AsyncGenerator[T, None]: ...

    @overload
    @staticmethod
    def stream_process(
        items: Items[T],
        chunk_size: int = 1_000,
        *,
        process: Callable[[T], Coroutine[Any, Any, R]],
        concurrency: int = 1,
    ) -> AsyncGenerator[R, None]: ...

    @staticmethod
    def stream_process(
        items: Items[Any],
        chunk_size: int = 1_000,
        *,
        process: Callable[[Any], Coroutine[Any, Any, Any]] | None = None,
        concurrency: int = 1,
    ) -> AsyncGenerator[Any, None]:
        """Yield the items, or what `process` makes of each, in their order.

        Nothing is read ahead of who consumes it, but for the up to `concurrency` items that are being processed.
        After every `chunk_size` items the event loop gets a turn. An error of the source or of `process` is raised in
        its place, after the results before it; the work on later items is cancelled. A generator that was given is
        closed at the end, also at an early one: at once when the caller closes this one (`contextlib.aclosing`), soon
        when it only stops asking.
        """
        if chunk_size < 1 or concurrency < 1:
            raise ValueError("chunk_size and concurrency are at least 1")
        source = _in_chunks(items, chunk_size)
        return source if process is None else _processed(source, process, concurrency)


async def _in_chunks(items: Items[T], chunk_size: int) -> AsyncGenerator[T, None]:
    since_turn = 0
    source = _as_async(items)
    async with aclosing(source):
        async for item in source:
            yield item
            since_turn += 1
            if since_turn == chunk_size:
                since_turn = 0
                await asyncio.sleep(0)


async def _as_async(items: Items[T]) -> AsyncGenerator[T, None]:
    iterator = aiter(items) if isinstance(items, AsyncIterable) else iter(items)
    try:
        if isinstance(iterator, AsyncIterator):
            async for item in iterator:
                yield item
        else:
            for item in iterator:
                yield item
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()
        elif isinstance(iterator, Generator):
            iterator.close()


async def _processed(
    source: AsyncGenerator[T, None], process: Callable[[T], Coroutine[Any, Any, R]], concurrency: int
) -> AsyncGenerator[R, None]:
    """A result goes out as soon as it is ready and the first, even while the source has not given the next item."""
    context = copy_context()  # one for the whole source, which may keep a `with` open from item to item
    running: deque[asyncio.Task[R]] = deque()
    coming: asyncio.Task[list[T]] | None = None
    ended, failure = False, None
    try:
        while True:
            if coming is None and not ended and len(running) < concurrency:
                coming = asyncio.create_task(_next(source), context=context)
            awaited = {task for task in (coming, running[0] if running else None) if task}
            if not awaited:
                break
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if coming and coming.done():
                failure = coming.exception()
                items, coming = [] if failure else coming.result(), None
                ended = not items
                running.extend(asyncio.create_task(process(item)) for item in items)
            if running and running[0].done():
                yield running.popleft().result()
        if failure:
            raise failure
    finally:
        await _cancel([*([coming] if coming else []), *running])
        await asyncio.create_task(_close(source), context=context)


async def _close(source: AsyncGenerator[T, None]) -> None:
    await source.aclose()


async def _next(source: AsyncGenerator[T, None]) -> list[T]:
    """The next item, or none at the end."""
    async for item in source:
        return [item]
    return []


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
