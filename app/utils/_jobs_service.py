"""Keeping a queue and its schedule going for as long as a service runs."""

import asyncio
import logging

from app.utils._jobs_model import QueueUnavailableError
from app.utils._jobs_queue import JobQueue
from app.utils._jobs_schedule import TaskScheduler

logger = logging.getLogger("app.jobs")
TRY_AGAIN_AFTER_S = 5.0


async def try_to_start(queue: JobQueue) -> None:
    """Start it, unless the database is away."""
    try:
        await queue.start()
    except QueueUnavailableError as error:
        logger.warning("started_without_jobs", extra={"error": str(error)})


async def keep_going(queue: JobQueue, scheduler: TaskScheduler | None) -> None:
    """After `try_to_start`: try again until the database can be reached, then keep to the schedule until cancelled.
    The queue is left to be stopped by who made it."""
    while not queue.is_started:
        await asyncio.sleep(TRY_AGAIN_AFTER_S)
        await try_to_start(queue)
    if scheduler is None:
        return
    await scheduler.start()
    try:
        await asyncio.Event().wait()
    finally:
        await scheduler.stop()
