"""Work that must not stop halfway."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Await the work to its end even if the waiting task is cancelled meanwhile, and then be cancelled. Cancelled a
    second time, it gives up the work too.

    A database statement that is cancelled costs the connection, and with it all that the transaction has done.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # it counts as seen
        raise
