"""`voltway import`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.db import Database
from app.db.migrate import require_current
from app.ingest import run
from app.ingest.report import Report
from app.settings import Settings
from app.sources.registry import Source, all_sources, find_source

_REFRESH_S = 0.2


def import_(
    source: Annotated[str, typer.Argument(help=f"Which format it is: {', '.join(all_sources())}.")],
    where: Annotated[str, typer.Argument(metavar="FILE-OR-URL", help="Plain or gzip; http and https.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and report, but store nothing.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="The input lists all stations of the source: remove those that it lacks.")
    ] = False,
) -> None:
    """Read stations from a file or URL into the database, and report what became of every record."""
    settings = Settings()
    require_current(settings.database_url)
    key = settings.ocm_api_key.get_secret_value() if settings.ocm_api_key else None
    chosen = find_source(source, key)
    options = run.ImportOptions(settings.data_dir, full=full, dry_run=dry_run)
    report = asyncio.run(_import(settings, chosen, where, options))
    for line in report.lines():
        typer.echo(line)


async def _import(settings: Settings, source: Source, where: str, options: run.ImportOptions) -> Report:
    database = Database(settings.database_url)
    shown: list[run.Progress] = []
    try:
        with _progress_bar(source.facts.name) as bar:
            watching = asyncio.create_task(_watch(shown, bar))
            try:
                return await run.run_import(database, source, where, options, shown.append)
            finally:
                watching.cancel()
    finally:
        await database.close()


async def _watch(shown: list[run.Progress], bar: Progress) -> None:
    """Carry the run's numbers to the bar while it works."""
    while True:
        for progress in shown:
            read = f"{progress.report.read:,} {progress.report.record_noun}"
            bar.update(bar.task_ids[0], total=progress.bytes_total, completed=progress.bytes_read, read=read)
        await asyncio.sleep(_REFRESH_S)


@contextmanager
def _progress_bar(name: str) -> Iterator[Progress]:
    """On a terminal; where the output goes elsewhere, the report's plain lines are all."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TextColumn("{task.fields[read]}"), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        bar.add_task(name, total=None, read="")
        yield bar
