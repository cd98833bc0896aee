"""`voltway sources` and `voltway sync`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import typer

from app.cli._tables import print_table
from app.db import Database
from app.db.migrate import require_current
from app.errors import ConfigurationError
from app.ingest.feeds import configured_feeds, find_configured
from app.ingest.freshness import SourceView, source_views
from app.ingest.sync import Synced, sync_configured
from app.settings import Settings
from app.stations import runs

sources = typer.Typer(help="Where stations come from, and how fresh each source is.", invoke_without_command=True)
Result = TypeVar("Result")
_SHOWN_RUNS = 10
_HEADINGS = ("source", "status", "last success", "every", "next", "read", "new", "changed", "removed", "failures")


@sources.callback()
def list_(context: typer.Context) -> None:
    """Show all sources."""
    if context.invoked_subcommand is not None:
        return
    print_table(_HEADINGS, map(_row, _run(_views)), spare=("removed", "changed", "new", "every", "read"))


@sources.command()
def show(name: Annotated[str, typer.Argument(help="A source's name.")]) -> None:
    """Show all that is known of one source, with its last error and its newest imports."""

    async def read(database: Database, settings: Settings) -> tuple[list[SourceView], list[runs.Run]]:
        async with database.open_session(read_only=True) as session:
            newest = await runs.newest_runs(session, name, _SHOWN_RUNS)
        return await _views(database, settings), newest

    views, newest = _run(read)
    for view in views:
        if view.source.name == name:
            typer.echo("\n".join(_lines(view)))
            for run in newest:
                typer.echo(_run_line(run))
            return
    find_configured(name, Settings.load())  # raises the error that names those that there are


def sync(
    name: Annotated[str | None, typer.Argument(help="Only this source; none: all that are due.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Read it whether or not it is due, or has changed.")] = False,
) -> None:
    """Import now from the sources of SOURCE_URLS and, with OCM_API_KEY, Open Charge Map, and report."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s")  # what it warns of is told below
    if name is not None and name not in {feed.name for feed in configured_feeds(Settings.load())}:
        find_configured(name, Settings.load())
        raise ConfigurationError(f"{name} is not kept fresh: SOURCE_URLS has no address for it.")
    synced = _run(lambda database, settings: sync_configured(database, settings, name, force=force))
    for source, each in synced.items():
        typer.echo("\n".join(_told(source, each)))
    if not synced:
        typer.echo("No source is kept fresh: set SOURCE_URLS, FEEDS_FILE or OCM_API_KEY.")
    if any(each.outcome == "failed" for each in synced.values()):
        raise typer.Exit(1)


def _told(source: str, synced: Synced) -> list[str]:
    if synced.outcome == "not_due":
        return [f"{source}: not due before {_minute(synced.next_due)} (--force reads it now)"]
    if synced.outcome == "busy":
        return [f"{source}: is being imported by another process now"]
    lines = list(synced.report.lines()) if synced.report else []
    return [*lines, f"{source}: failed: {synced.error}"] if synced.error else lines


def _run(use: Callable[[Database, Settings], Awaitable[Result]]) -> Result:
    settings = Settings.load()
    require_current(settings.database)

    async def with_database() -> Result:
        database = Database(settings.database)
        try:
            return await use(database, settings)
        finally:
            await database.close()

    return asyncio.run(with_database())


async def _views(database: Database, settings: Settings) -> list[SourceView]:
    return await source_views(database, configured_feeds(settings), datetime.now(UTC))


def _row(view: SourceView) -> list[str]:
    state = view.source.state
    counts = _counts(state.last_import.report) if state.last_import else ["-"] * 4
    due = _minute(view.next_due) if view.next_due else "-" if view.url is None else "now"
    success = _minute(state.last_success.finished_at) if state.last_success else "never"
    every = _duration(timedelta(seconds=view.source.cadence_s))
    return [view.source.name, view.status, success, every, due, *counts, str(state.failures)]


def _counts(report: dict[str, dict[str, int]]) -> list[str]:
    """Records read, and stations new, changed and removed."""
    stations = report.get("stations", {})
    numbers = report.get("read", 0), stations.get("new", 0), stations.get("updated", 0), stations.get("removed", 0)
    return [f"{number:,}" for number in numbers]


def _lines(view: SourceView) -> list[str]:
    source, state = view.source, view.source.state
    failure = state.last_failure
    left_alone = failure.not_before if failure and failure.not_before else None
    told = {
        "source": f"{source.name} ({source.title})",
        "homepage": source.homepage,
        "licence": f"{source.licence} ({source.licence_url})",
        "to be named": source.attribution,
        "read from": view.url or "nowhere by itself: SOURCE_URLS has no address for it",
        "status": view.status,
        "age": _duration(view.age) if view.age is not None else "never read",
        "failures": f"{state.failures} since then" if failure else "",
        "last error": f"{_minute(failure.finished_at)}: {failure.error}" if failure else "",
        "left alone": f"until {_minute(left_alone)}" if left_alone else "",
    }
    return [f"{name + ':':13}{value}" for name, value in told.items() if value]


def _run_line(run: runs.Run) -> str:
    """One import."""
    if run.finished_at is None:
        return f"{_minute(run.started_at)}  has not ended"
    took = _duration(run.finished_at - run.started_at)
    if run.error:
        return f"{_minute(run.started_at)}  {took}  failed: {run.error}"
    if run.input_unchanged:
        return f"{_minute(run.started_at)}  {took}  unchanged"
    read, new, changed, removed = _counts(run.report or {})
    return (
        f"{_minute(run.started_at)}  {took}  {read} read; stations: {new} new, {changed} changed, {removed} removed"
    )


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "now"


def _duration(span: timedelta) -> str:
    """In the largest unit that leaves one digit before the point: `3.5 h`."""
    seconds = span.total_seconds()
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.3g} {unit}"
    return f"{seconds:.3g} s"
