"""`voltway import`."""

import asyncio
import gc
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.db import Database
from app.db.migrate import require_current
from app.ingest import run
from app.ingest.feeds import find_configured
from app.ingest.sync import fetching
from app.settings import Settings
from app.sources.registry import Source, all_sources

_REFRESH_S = 0.1
_RECORDS_PER_LINE = 10_000


def import_(
    source: Annotated[str, typer.Argument(help=f"{', '.join(all_sources())}, or a feed of FEEDS_FILE.")],
    where: Annotated[str, typer.Argument(metavar="FILE-OR-URL", help="Plain or gzip; http and https.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and report, but store nothing.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="The input lists all stations of the source: remove those that it lacks.")
    ] = False,
    accept_shrunken: Annotated[
        bool,
        typer.Option("--accept-shrunken", help="With --full: believe an input that has lost much of what it had."),
    ] = False,
) -> None:
    """Read stations from a file or URL into the database, and report what became of every record."""
    settings = Settings.load()
    require_current(settings.database)
    chosen = find_configured(source, settings)
    options = run.ImportOptions(
        settings.data_dir, full=full, dry_run=dry_run, accept_shrunken=accept_shrunken, fetching=fetching(settings)
    )
    gc.freeze()  # the modules stay: looking through them for garbage would take an eighth of the time
    started: list[run.Progress] = []
    try:
        asyncio.run(_import(settings, chosen, where, options, started))
    finally:  # also what was stored before an error
        for progress in started:
            typer.echo("\n".join(progress.report.lines()))


async def _import(
    settings: Settings, source: Source, where: str, options: run.ImportOptions, started: list[run.Progress]
) -> None:
    database = Database(settings.database)
    watching = asyncio.create_task(_show(source.facts.name, started))
    try:
        await run.run_import(database, source, where, options, started.append)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await database.close()


async def _show(name: str, started: list[run.Progress]) -> None:
    """Tell how far the import is: on a terminal a bar, elsewhere a line now and then."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        told = 0
        while True:
            for progress in started:
                read = f"{name}: {progress.report.read:,} {progress.report.record_noun} read"
                bar.update(task, total=progress.bytes_total, completed=progress.bytes_read, description=read)
                if not console.is_terminal and progress.report.read >= told + _RECORDS_PER_LINE:
                    told = progress.report.read
                    typer.echo(read, err=True)
            await asyncio.sleep(_REFRESH_S)
