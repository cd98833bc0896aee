"""Background jobs that survive: what was submitted is done, whichever process ends in between.

    queue = JobQueue(max_workers=5)
    await queue.start()
    job_id = await queue.submit(export, format="csv")
    queue.get_job(job_id).status
    await queue.stop()

A job is a function that stands in a module, with arguments that JSON can hold. It is stored before `submit` returns:
in PostgreSQL, where every process that uses the database shares the work, or in an SQLite file beside the database.
When a process dies, another one, or its own successor, takes its jobs over within seconds and begins them anew. So a
job may be done twice, and must bear it: write under a temporary name and rename, replace rather than add.

Async functions run in one event loop in a thread of its own, sync functions in a thread each; neither holds up the
caller's loop. Whoever may write to the database decides which functions run: guard it as you guard the code.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from pydantic import JsonValue

from app.utils._jobs_model import (
    FinalJobError,
    Job,
    JobCancelledError,
    JobStateError,
    JobStatus,
    QueueUnavailableError,
    Schedule,
    UnknownScheduleError,
    current_job_id,
    progress,
)
from app.utils._jobs_queue import JobQueue, started_queue
from app.utils._jobs_schedule import TaskScheduler
from app.utils._jobs_service import keep_going, try_to_start
from app.utils._jobs_settings import TaskSettings

__all__ = [
    "FinalJobError",
    "Job",
    "JobCancelledError",
    "JobQueue",
    "JobStateError",
    "JobStatus",
    "QueueUnavailableError",
    "Schedule",
    "TaskScheduler",
    "TaskSettings",
    "UnknownScheduleError",
    "cleanup_old_jobs",
    "current_job_id",
    "keep_going",
    "progress",
    "refresh_cache",
    "service_schedule",
    "sync_external_data",
    "try_to_start",
    "warmed_as",
]

logger = logging.getLogger("app.jobs")

_Warm = Callable[[], Awaitable[object]]
_caches: dict[str, _Warm] = {}


def warmed_as(name: str) -> Callable[[_Warm], _Warm]:
    """Decorator: let `refresh_cache` call this function, which fills a cache before anybody asks for what is in it.

    Of all processes one does so: worth it for a cache that they share."""

    def register(warm: _Warm) -> _Warm:
        _caches[name] = warm
        return warm

    return register


async def refresh_cache() -> dict[str, JsonValue]:
    """Fill the caches that `warmed_as` has named. Returns the seconds that each took, and why one could not be."""
    warmed: dict[str, JsonValue] = {}
    failed: dict[str, JsonValue] = {}
    for name, warm in list(_caches.items()):
        started = time.perf_counter()
        try:
            await warm()
        except Exception as error:  # the others are not to suffer
            failed[name] = f"{type(error).__name__}: {error}"
            logger.warning("cache_not_warmed", extra={"cache": name, "error": failed[name]})
        else:
            warmed[name] = round(time.perf_counter() - started, 3)
    return {"warmed": warmed, "failed": failed}


async def sync_external_data() -> dict[str, JsonValue]:
    """Import what is due of the sources that can be fetched with these settings. Returns what became of each."""
    from app.db import Database  # noqa: PLC0415 - the one place where this package looks upwards
    from app.ingest.sync import sync_configured  # noqa: PLC0415
    from app.settings import Settings  # noqa: PLC0415

    settings = Settings.load()
    database = Database(settings.database)
    try:
        synced = await sync_configured(database, settings)
        return {name: each.as_document() for name, each in synced.items()}
    finally:
        await database.close()


async def cleanup_old_jobs() -> dict[str, JsonValue]:
    """Delete what is past its retention: finished jobs, the files of exports, and what imports have left (see
    `app.ingest.cleanup`). Returns how many there were of each kind, and an error for what could not be looked at."""
    from app.db import Database  # noqa: PLC0415
    from app.exports import remove_expired  # noqa: PLC0415
    from app.ingest.sync import clean_up_configured  # noqa: PLC0415
    from app.settings import Settings  # noqa: PLC0415

    settings = Settings.load()
    database = Database(settings.database)
    try:
        jobs = await started_queue().delete_finished()
        done: dict[str, JsonValue] = {
            "jobs_deleted": jobs,
            "export_files_deleted": await asyncio.to_thread(remove_expired),
            **await clean_up_configured(database, settings),
        }
    finally:
        await database.close()
    logger.info("cleaned_up", extra=done)
    return done


_CLEAN_UP_EVERY_S = 86_400


def service_schedule(queue: JobQueue, settings: TaskSettings) -> TaskScheduler:
    """The three tasks above, as often as the settings say."""
    scheduler = TaskScheduler(queue)
    scheduler.add_task(refresh_cache, interval_seconds=settings.task_interval_refresh)
    scheduler.add_task(sync_external_data, interval_seconds=settings.task_interval_sync)
    scheduler.add_task(cleanup_old_jobs, interval_seconds=_CLEAN_UP_EVERY_S)
    return scheduler
