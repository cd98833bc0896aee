"""`voltway serve`."""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import uvicorn

from app.cli._protocol import LimitedHttpProtocol
from app.cli._workers import Workers
from app.db.migrate import require_current
from app.errors import DatabaseUnavailableError
from app.settings import Settings
from app.utils.advanced_logging import setup_logging

OPTIONS: dict[str, Any] = {
    "http": LimitedHttpProtocol,
    "ws": "none",
    "timeout_graceful_shutdown": 60,  # seconds that a process which is to end goes on with what it has begun
    "access_log": False,
    "log_config": None,
}
"""For uvicorn."""


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65_535)] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer requests.", min=1, max=256)] = 1,
) -> None:
    """Answer requests over HTTP until interrupted. A start that fails ends with a status that is not 0.

    With several workers, SIGHUP replaces them one after another by new ones, and no request is lost.
    """
    settings = Settings.load()
    try:
        require_current(settings.database)
    except DatabaseUnavailableError as error:  # it may come up later than we do
        typer.echo(f"warning: {error}\nVoltWay starts without stations and tries again.", err=True)
    setup_logging(level=settings.log_level, log_format=settings.log_format, log_dir=settings.log_dir)
    at = f"http://{host}:{port}"
    typer.echo(
        f"VoltWay answers at {at}\n"
        f"  documentation  {at}/docs\n"
        f"  nearest        {at}/api/v1/stations?latitude=52.52&longitude=13.405&status=available&limit=5\n"
        f"  health         {at}/api/v1/health"
    )
    _allow_many_connections()
    with _shared_metrics(workers):
        if workers == 1:
            uvicorn.run("app.main:app", host=host, port=port, **OPTIONS)
        else:
            config = uvicorn.Config("app.main:app", host=host, port=port, workers=workers, **OPTIONS)
            Workers(config, [config.bind_socket()]).run()


def _allow_many_connections() -> None:
    """As many as the system lets us have: the usual 1,024 open files would end streams long before MAX_STREAMS."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _shared_metrics(workers: int) -> Iterator[None]:
    """Several processes count in a folder of their own, so that any of them answers `/metrics` for all."""
    if workers == 1 or "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="voltway-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield
