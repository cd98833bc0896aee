"""`voltway export`."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.db.migrate import require_current
from app.errors import DatabaseUnavailableError, VoltWayError
from app.exports.files import HashedFile, appearing
from app.exports.licences import licence_text
from app.exports.request import ExportFormat, ExportRequest, requested
from app.exports.write import Written, write_stations
from app.settings import Settings

_ROWS_PER_LINE = 100_000
Tell = Callable[[int, int], None]


def export(
    format_: Annotated[ExportFormat, typer.Argument(metavar="FORMAT", help=f"{', '.join(ExportFormat)}.")],
    file: Annotated[
        str, typer.Argument(help="Default: voltway-stations with the format's ending, here. - is standard output.")
    ] = "",
    country: Annotated[str | None, typer.Option(help="Only this country: ISO 3166-1 alpha-2, such as DE.")] = None,
    source: Annotated[str | None, typer.Option(help="Only stations from this source.")] = None,
    connector: Annotated[
        list[str] | None, typer.Option(help="Only stations with this connector; may be repeated.")
    ] = None,
    bbox: Annotated[str | None, typer.Option(help="Only stations inside west,south,east,north, in degrees.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if there is one.")] = False,
) -> None:
    """Write the stations to a file, and the licences of their sources to another one beside it."""
    given: dict[str, Any] = {"country": country, "source": source, "connector": connector or [], "bbox": bbox}
    request = requested(format_, given)
    settings = Settings.load()
    require_current(settings.database)
    path = Path(file or f"voltway-stations.{request.format.ending}")
    gc.freeze()  # the modules stay: looking through them for garbage would take a quarter of the time
    started = time.perf_counter()
    with _output(path, is_stdout=file == "-", force=force) as (target, licences):
        written = asyncio.run(_export(settings, request, target))
        licences.write(licence_text(written.licences, written.read_at))
    took_s = time.perf_counter() - started
    name = "standard output" if file == "-" else path
    typer.echo(f"{name}: {written.rows:,} stations, {target.bytes:,} bytes in {took_s:.1f} s", err=file == "-")
    typer.echo(f"sha256: {target.sha256}", err=file == "-")


@contextmanager
def _output(path: Path, *, is_stdout: bool, force: bool) -> Iterator[tuple[HashedFile, HashedFile]]:
    """Where the stations and the licences go; files are there, whole, when the block has ended well."""
    if is_stdout:
        yield HashedFile(cast("IO[bytes]", sys.stdout.buffer)), HashedFile(cast("IO[bytes]", sys.stderr.buffer))
        sys.stdout.flush()
        return
    beside = path.with_name(f"{path.name}-licences.txt")
    for each in (path, beside):
        if each.exists() and not force:
            raise VoltWayError(f"{each} exists; --force overwrites it.")
    try:
        with appearing(path) as target, appearing(beside) as licences:
            yield target, licences
    except OSError as error:
        raise VoltWayError(f"{path} cannot be written: {error.strerror}.") from error


async def _export(settings: Settings, request: ExportRequest, file: HashedFile) -> Written:
    database = Database(settings.database)
    try:
        with _shown(request.format) as tell:
            async with database.open_session(read_only=True) as session:
                return await write_stations(session, request, file, tell)
    except SQLAlchemyError as error:
        raise DatabaseUnavailableError(f"The database failed: {getattr(error, 'orig', error)}") from error
    finally:
        await database.close()


@contextmanager
def _shown(name: str) -> Iterator[Tell]:
    """Tell how far the export is: on a terminal a bar, elsewhere a line now and then."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        told = 0

        def tell(rows: int, total: int) -> None:
            nonlocal told
            bar.update(task, completed=rows, total=total)
            if not console.is_terminal and rows >= told + _ROWS_PER_LINE:
                told = rows
                with suppress(BrokenPipeError):
                    typer.echo(f"{name}: {rows:,} of {total:,} stations", err=True)

        yield tell
