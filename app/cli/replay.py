"""`voltway replay`."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import httpx2 as httpx
import typer

from app.db import Database
from app.db.migrate import require_current
from app.errors import ConfigurationError, VoltWayError
from app.ingest import replay as player
from app.ingest.replay import Clock, Feed, Recording, Service, Told
from app.ingest.run import ImportOptions, run_import
from app.settings import Settings
from app.sources.registry import find_source

_STATIC, _SOURCE = "irve", "irve-live"


def replay(
    folder: Annotated[
        Path,
        typer.Argument(help="Holds static-*.csv.gz, dynamic-snapshot-DATE.csv.gz, dynamic-changes-DATE/*.csv.gz."),
    ],
    with_static: Annotated[
        bool, typer.Option("--with-static", help="First import the folder's register, static-*.csv.gz.")
    ] = False,
    speed: Annotated[
        str, typer.Option(help="original, max (as fast as possible), or how many times as fast.", metavar="SPEED")
    ] = "max",
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Tell the VoltWay there; else import into the database."),
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="With --to: holds a key for status:write.")] = None,
    batch: Annotated[int, typer.Option(help="With --to: states in a request.", min=1, max=10_000)] = 1_000,
    files: Annotated[int | None, typer.Option(help="Only so many files.", min=1)] = None,
    as_recorded: Annotated[bool, typer.Option("--as-recorded", help="Leave the times as they are.")] = False,
) -> None:
    """Play a recorded day of France's live status (IRVE dynamique) as if it happened now.

    The states find their charge points by public id, so the register must be there: --with-static imports it into the
    database. As fast as possible, all is moved so that it ends now; else it begins now. Repeating it is harmless.
    """
    plan = player.recordings(folder)[:files]
    times = _times(speed)
    if as_recorded and times is not None:
        raise ConfigurationError("--as-recorded goes with --speed max: nothing can be told at a time that is over.")
    settings = Settings.load()
    if with_static:
        asyncio.run(_import(settings, player.static_file(folder)))
    clock = None if as_recorded else _clock(times, plan)
    told = asyncio.run(_replay(settings, plan, clock, times is not None, (to, key_file, batch)))
    typer.echo(f"{_SOURCE}: {told}")
    if not told.balanced:
        raise VoltWayError("What was read and what became of it do not add up: this is a bug, please report it.")


def _times(speed: str) -> float | None:
    """How many times as fast as it happened; `None`: as fast as possible."""
    if speed == "max":
        return None
    times = "1" if speed == "original" else speed
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", times) or float(times) == 0:
        raise ConfigurationError(f"--speed is original, max, or a number over 0, not {speed!r}.")
    return float(times)


def _clock(times: float | None, plan: Sequence[Recording]) -> Clock:
    now = datetime.now(UTC)
    return Clock.ending_at(now, plan) if times is None else Clock(plan[0].told_at, now, times)


async def _import(settings: Settings, file: Path) -> None:
    require_current(settings.database)
    database = Database(settings.database)
    try:
        report = await run_import(database, find_source(_STATIC), str(file), ImportOptions(settings.data_dir))
    finally:
        await database.close()
    typer.echo("\n".join(report.lines()))


async def _replay(
    settings: Settings,
    plan: Sequence[Recording],
    clock: Clock | None,
    in_time: bool,
    service: tuple[str | None, Path | None, int],
) -> Told:
    total = Told()
    async with AsyncExitStack() as opened:
        listener = await _listener(settings, service, opened)
        done = player.replay(plan, clock, listener, in_time=in_time)
        number = 0
        async for told in done:
            total.add(told)
            number += 1
            typer.echo(f"{number} of {len(plan)} files: {total}", err=True)
    return total


async def _listener(
    settings: Settings, service: tuple[str | None, Path | None, int], opened: AsyncExitStack
) -> player.Listener:
    source, (to, key_file, batch) = find_source(_SOURCE), service
    if to is not None:
        headers = {} if key_file is None else {"X-API-Key": _key(key_file)}
        http = await opened.enter_async_context(httpx.AsyncClient(base_url=to, headers=headers))
        return Service(http, source, batch)
    require_current(settings.database)
    database = Database(settings.database)
    opened.push_async_callback(database.close)
    return Feed(database, source, ImportOptions(settings.data_dir))


def _key(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}.") from None
