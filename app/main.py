"""The composition root: every part of the web application is made and joined here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from app import __version__
from app.api import errors, health, metrics
from app.api.deps import Resources
from app.api.hot import HotPaths
from app.api.v1 import bulk, exports, render, stations
from app.auth import KeyRing
from app.db import Database
from app.errors import DatabaseUnavailableError
from app.ingest.bulk import StationWriter
from app.middleware.head import HeadMiddleware
from app.middleware.logging import PerformanceMiddleware, RequestLoggingMiddleware
from app.replica import Follower
from app.sampling import EVERY_S, keep_sampling
from app.settings import Settings
from app.stations.catalogue import Catalogue
from app.utils.advanced_logging import setup_logging
from app.utils.background_tasks import (
    JobQueue,
    QueueUnavailableError,
    TaskScheduler,
    cleanup_old_jobs,
    refresh_cache,
    sync_external_data,
)
from app.utils.caching import close_caching, configure_caching
from app.utils.memory_optimization import MemoryMonitor
from app.utils.openapi_docs import enhance_openapi_documentation

logger = logging.getLogger(__name__)

_DESCRIPTION = "Charging stations near you, sorted by distance, free right now."
_TAGS = [
    {"name": "stations", "description": "Search, all that is known of one station, and writing."},
    {"name": "exports", "description": "The catalogue, or a part of it, as a file."},
    {"name": "health", "description": "For operators and load balancers."},
    {"name": "monitoring", "description": "For Prometheus."},
]
_CLEAN_UP_EVERY_S = 86_400
_TRY_AGAIN_AFTER_S = 5.0


def create_app(settings: Settings) -> FastAPI:
    """An application that opens what it needs when it starts, and closes it in reverse order when it stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Resources]:
        setup_logging(level=settings.log_level, log_format=settings.log_format, log_dir=settings.log_dir)
        configure_caching(settings.redis_url.get_secret_value(), settings.cache_ttl, settings.cache_redis_wait)
        async with AsyncExitStack() as opened:
            opened.push_async_callback(close_caching)
            database = Database(settings.database)
            opened.push_async_callback(database.close)
            keys = KeyRing(database)
            opened.push_async_callback(keys.close)
            follower = Follower(Catalogue(database), render.summary)
            await _load(follower)
            jobs = JobQueue(settings.max_workers, database_url=settings.database)
            opened.push_async_callback(jobs.stop)
            await _start(jobs)
            _in_background(opened, _work(jobs, _schedule(settings, jobs)))
            _in_background(opened, follower.run(settings.replica_poll_seconds))
            _in_background(opened, MemoryMonitor(settings.memory_threshold_mb).run(EVERY_S))
            if settings.metrics_enabled:
                _in_background(opened, keep_sampling(database, follower))
            yield Resources(
                database=database, follower=follower, keys=keys, writer=StationWriter(database), jobs=jobs
            )

    app = FastAPIOffline(  # the documentation page loads nothing from elsewhere
        redoc_url=None,
        title="VoltWay",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        license_info={"name": "MIT", "identifier": "MIT"},
        lifespan=lifespan,
    )
    enhance_openapi_documentation(app, problems=errors.KINDS)
    errors.install(app)
    for routes in (stations, bulk, exports, health):
        app.include_router(routes.router)
    if settings.metrics_enabled:
        app.include_router(metrics.router)
    app.add_api_route("/", _to_documentation, include_in_schema=False)
    app.add_middleware(HotPaths, stations.HOT)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(PerformanceMiddleware, settings.slow_request_threshold)
    app.add_middleware(RequestLoggingMiddleware, settings.slow_request_threshold)
    return app


async def _load(follower: Follower) -> None:
    try:
        await follower.catch_up()
    except DatabaseUnavailableError as error:
        logger.warning("started_without_stations", extra={"error": str(error)})


def _in_background(opened: AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Until the stack is closed."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    opened.push_async_callback(end)


async def _start(jobs: JobQueue) -> None:
    try:
        await jobs.start()
    except QueueUnavailableError as error:
        logger.warning("started_without_jobs", extra={"error": str(error)})


def _schedule(settings: Settings, jobs: JobQueue) -> TaskScheduler:
    scheduler = TaskScheduler(jobs)
    scheduler.add_task(refresh_cache, interval_seconds=settings.task_interval_refresh)
    scheduler.add_task(sync_external_data, interval_seconds=settings.task_interval_sync)
    scheduler.add_task(cleanup_old_jobs, interval_seconds=_CLEAN_UP_EVERY_S)
    return scheduler


async def _work(jobs: JobQueue, scheduler: TaskScheduler) -> None:
    """Keep to the schedule, as soon as the database can be reached."""
    while not jobs.is_started:
        await asyncio.sleep(_TRY_AGAIN_AFTER_S)
        await _start(jobs)
    await scheduler.start()
    try:
        await asyncio.Event().wait()
    finally:
        await scheduler.stop()


async def _to_documentation() -> RedirectResponse:
    return RedirectResponse("/docs")


app = create_app(Settings.load())
