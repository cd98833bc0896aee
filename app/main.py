"""The composition root: every part of the web application is made and joined here."""

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from app import __version__
from app.api import errors, health, metrics
from app.api.bodies import BodyLimits
from app.api.deps import Resources
from app.api.hot import HotPaths
from app.api.ocpi import locations
from app.api.v1 import availability, bulk, exports, history, jobs, render, sources, stations, status, stream, webhooks
from app.auth import KeyRing
from app.db import Database
from app.db.bell import bell_of
from app.errors import DatabaseUnavailableError
from app.ingest.bulk import StationWriter
from app.ingest.feeds import configured_feeds
from app.ingest.ocpi_push import LocationStore
from app.ingest.simulation import keep_moving
from app.ingest.status import StatusWriter
from app.live import Hub
from app.middleware.admission import AdmissionMiddleware
from app.middleware.drain import DrainMiddleware
from app.middleware.head import HeadMiddleware
from app.middleware.logging import PerformanceMiddleware, RequestLoggingMiddleware
from app.replica import Follower, Snapshots
from app.sampling import EVERY_S, keep_sampling
from app.settings import Settings
from app.stations.catalogue import Catalogue
from app.utils.advanced_logging import setup_logging
from app.utils.background_tasks import JobQueue, keep_going, service_schedule, try_to_start
from app.utils.caching import close_caching, configure_caching
from app.utils.memory_optimization import MemoryMonitor
from app.utils.openapi_docs import enhance_openapi_documentation
from app.webhooks.courier import Courier
from app.webhooks.sender import Sender

logger = logging.getLogger(__name__)

_DESCRIPTION = "Charging stations near you, sorted by distance, free right now."
_TAGS = [
    {"name": "stations", "description": "Search, all that is known of one station, and writing."},
    {"name": "status", "description": "Telling which EVSEs are free, in use or out of order."},
    {"name": "webhooks", "description": "Being told of changes by requests to an address of one's own."},
    {"name": "sources", "description": "Where the stations come from, and how fresh they are."},
    {"name": "exports", "description": "The catalogue, or a part of it, as a file."},
    {"name": "jobs", "description": "What the service does in the background; for operators."},
    {"name": "health", "description": "For operators and load balancers."},
    {"name": "monitoring", "description": "For Prometheus."},
]
_ASIDE = frozenset(("/health", "/api/v1/health", "/metrics", stream.router.prefix))
"""Answered however many others are: what tells of the process, and streams, which have a limit of their own."""


def create_app(settings: Settings) -> FastAPI:
    """An application that opens what it needs when it starts, and closes it in reverse order when it stops."""

    feeds = tuple(configured_feeds(settings))

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
            hub = Hub(render.event, settings.max_streams)
            _when_told_to_stop(opened, hub.end)
            snapshots = Snapshots(settings.data_dir / "replica", str(database.url), render.summary)
            follower = Follower(Catalogue(database), render.summary, listener=hub, snapshots=snapshots)
            opened.push_async_callback(follower.close)
            await _load(follower)
            queue = JobQueue(settings.max_workers, database_url=settings.database, does_jobs=settings.jobs_in_serve)
            opened.push_async_callback(queue.stop)
            await try_to_start(queue)
            schedule = service_schedule(queue, settings) if settings.jobs_in_serve else None
            _in_background(opened, keep_going(queue, schedule))
            bell = bell_of(database.url)
            opened.push_async_callback(bell.close)
            _in_background(opened, follower.run(settings.replica_poll_seconds, bell.wait))
            if settings.simulate_demo:
                _in_background(opened, keep_moving(database))
            sender = Sender(private_allowed=settings.webhook_private_targets)
            opened.push_async_callback(sender.close)
            if settings.jobs_in_serve:
                _in_background(opened, Courier(database, sender, render.states).run())
            _in_background(opened, MemoryMonitor(settings.memory_threshold_mb).run(EVERY_S))
            if settings.metrics_enabled:
                _in_background(opened, keep_sampling(database, follower, feeds))
            _look_no_more_at_what_lasts()
            yield Resources(
                database=database,
                follower=follower,
                keys=keys,
                writer=StationWriter(database, [feed.name for feed in feeds]),
                hub=hub,
                locations=LocationStore(database),
                sender=sender,
                status_writer=StatusWriter(database, timedelta(minutes=settings.status_ttl_minutes)),
                jobs=queue,
                feeds=feeds,
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
    for routes in (
        stream,
        stations,
        history,
        availability,
        bulk,
        status,
        webhooks,
        exports,
        sources,
        jobs,
        locations,
        health,
    ):
        app.include_router(routes.router)
    if settings.metrics_enabled:
        app.include_router(metrics.router)
    app.add_api_route("/", _to_documentation, include_in_schema=False)
    app.add_middleware(HotPaths, stations.HOT)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(BodyLimits)
    app.add_middleware(AdmissionMiddleware, settings.max_requests, aside=_ASIDE, overloaded=errors.answer_overload)
    app.add_middleware(PerformanceMiddleware, settings.slow_request_threshold)
    app.add_middleware(RequestLoggingMiddleware, settings.slow_request_threshold)
    app.add_middleware(DrainMiddleware)
    return app


async def _load(follower: Follower) -> None:
    _look_no_more_at_what_lasts()
    try:
        await follower.catch_up()
    except DatabaseUnavailableError as error:
        logger.warning("started_without_stations", extra={"error": str(error)})


def _look_no_more_at_what_lasts() -> None:
    """The garbage collector would go through all modules again and again, which took a third of the time of loading,
    and a fifth of that of following changes."""
    gc.collect()
    gc.freeze()


def _in_background(opened: AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Until the stack is closed."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    opened.push_async_callback(end)


def _when_told_to_stop(opened: AsyncExitStack, act: Callable[[], None]) -> None:
    """The server lets open answers come to their end before the lifespan ends, and a stream has none of its own."""
    if threading.current_thread() is not threading.main_thread():
        return  # where no signal comes
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        servers = signal.getsignal(number)

        def stop(number: int, frame: FrameType | None, servers: Any = servers) -> None:
            loop.call_soon_threadsafe(act)
            if callable(servers):
                servers(number, frame)

        signal.signal(number, stop)
        opened.callback(signal.signal, number, servers)


async def _to_documentation() -> RedirectResponse:
    return RedirectResponse("/docs")


app = create_app(Settings.load())
