"""`voltway worker`."""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Annotated

import typer
from prometheus_client import start_http_server

from app.api.v1 import render
from app.db import Database
from app.db.migrate import require_current
from app.errors import ConfigurationError, DatabaseUnavailableError
from app.sampling import EVERY_S
from app.settings import Settings
from app.utils.advanced_logging import setup_logging
from app.utils.background_tasks import JobQueue, keep_going, service_schedule, try_to_start
from app.utils.caching import close_caching, configure_caching
from app.utils.memory_optimization import MemoryMonitor
from app.utils.metrics import ENABLED, REGISTRY
from app.webhooks.courier import Courier
from app.webhooks.sender import Sender


def worker(
    max_workers: Annotated[
        int | None, typer.Option(help="Jobs at the same time; none: MAX_WORKERS.", min=1, max=256, show_default=False)
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Answer at /metrics on this port; none: do not.", min=1, max=65_535)
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="Address of that port.")] = "127.0.0.1",
) -> None:
    """Do background jobs, keep their schedule and tell webhooks, without HTTP, until interrupted."""
    settings = Settings.load()
    try:
        require_current(settings.database)
    except DatabaseUnavailableError as error:  # it may come up later than we do
        typer.echo(f"warning: {error}\nThe worker waits for it.", err=True)
    setup_logging(level=settings.log_level, log_format=settings.log_format, log_dir=settings.log_dir)
    asyncio.run(_work(settings, max_workers or settings.max_workers, metrics_host, metrics_port))


async def _work(settings: Settings, max_workers: int, host: str, port: int | None) -> None:
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    configure_caching(settings.redis_url.get_secret_value(), settings.cache_ttl, settings.cache_redis_wait)
    async with AsyncExitStack() as opened:
        opened.push_async_callback(close_caching)
        if port is not None:
            _serve_metrics(opened, host, port)
        database = Database(settings.database)
        opened.push_async_callback(database.close)
        sender = Sender(private_allowed=settings.webhook_private_targets)
        opened.push_async_callback(sender.close)
        queue = JobQueue(max_workers, database_url=settings.database)
        opened.push_async_callback(queue.stop)
        tasks = [
            asyncio.create_task(_keep_working(queue, settings, max_workers)),
            asyncio.create_task(Courier(database, sender, render.states).run()),
            asyncio.create_task(MemoryMonitor(settings.memory_threshold_mb).run(EVERY_S)),
            asyncio.create_task(asked_to_stop.wait()),
        ]
        ended, going_on = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in going_on:
            task.cancel()
        await asyncio.gather(*going_on, return_exceptions=True)
        for task in ended:
            task.result()


async def _keep_working(queue: JobQueue, settings: Settings, max_workers: int) -> None:
    await try_to_start(queue)
    typer.echo(f"VoltWay does background jobs, {max_workers} at a time.")
    await keep_going(queue, service_schedule(queue, settings))


def _serve_metrics(opened: AsyncExitStack, host: str, port: int) -> None:
    if not ENABLED:
        raise ConfigurationError("METRICS_ENABLED is false, so there is nothing to show at --metrics-port.")
    try:
        server, thread = start_http_server(port, host, REGISTRY)
    except OSError as error:
        raise ConfigurationError(f"--metrics-port {port}: {error.strerror or error}.") from error
    opened.callback(thread.join)
    opened.callback(server.server_close)
    opened.callback(server.shutdown)
