"""`voltway demo`."""

import asyncio
from typing import Annotated

import typer

from app.db import Database
from app.db.migrate import require_current
from app.ingest.demo import load_demo, remove_demo
from app.settings import Settings
from app.stations import repository


def demo(
    if_empty: Annotated[bool, typer.Option("--if-empty", help="Only when there are no stations yet.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the sample stations again.")] = False,
) -> None:
    """Load a made-up network of 2,000 stations in 40 cities: sample data to try things with."""
    settings = Settings.load()
    require_current(settings.database)
    typer.echo(asyncio.run(_demo(Database(settings.database), if_empty, remove)))


async def _demo(database: Database, if_empty: bool, remove: bool) -> str:
    try:
        if remove:
            return f"demo network removed: {await remove_demo(database):,} sample stations"
        if if_empty:
            async with database.open_session(read_only=True) as session:
                if there := await repository.count(session):
                    return f"demo network not loaded: there are {there:,} stations already"
        loaded = await load_demo(database)
    finally:
        await database.close()
    return f"demo network loaded: {loaded:,} sample stations (remove them with: voltway demo --remove)"
