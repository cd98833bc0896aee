"""`voltway near`."""

import asyncio
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import URL

from app.api.v1 import render
from app.db import Database
from app.db.migrate import require_current
from app.replica import Answer, Follower
from app.settings import Settings
from app.stations.catalogue import Catalogue
from app.stations.query import StationQuery
from app.stations.vocabulary import ConnectorType, StationStatus


def near(
    latitude: Annotated[float, typer.Argument(help="Degrees north, WGS 84.")],
    longitude: Annotated[float, typer.Argument(help="Degrees east, WGS 84.")],
    connector: Annotated[list[ConnectorType] | None, typer.Option(help="May be given several times.")] = None,
    min_power: Annotated[float | None, typer.Option(help="Least power of a connector, in kW.")] = None,
    status: Annotated[StationStatus | None, typer.Option(help="State now.")] = None,
    radius: Annotated[float | None, typer.Option(help="Farthest distance, in km; none: however far.")] = None,
    limit: Annotated[int, typer.Option(help="Most stations to show.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON of the API instead of a table.")] = False,
) -> None:
    """Show the nearest stations, the nearest first."""
    asked = {"connector": connector or [], "min_power_kw": min_power, "status": status, "radius_km": radius}
    try:
        query = StationQuery(latitude=latitude, longitude=longitude, limit=limit, **asked)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'query'}: {e['msg']}" for e in error.errors())
        raise typer.BadParameter(wrong) from error
    settings = Settings.load()
    require_current(settings.database)
    answer = asyncio.run(_search(settings.database, query))
    if as_json:
        typer.echo(answer.body)
    else:
        Console().print(_table(orjson.loads(answer.body)))


async def _search(database_url: URL, query: StationQuery) -> Answer:
    database = Database(database_url)
    try:
        follower = Follower(Catalogue(database), render.summary)
        await follower.catch_up()
        return follower.replica.search(query)
    finally:
        await database.close()


def _table(stations: list[dict[str, Any]]) -> Table:
    """Two lines a station; what is longer is wrapped to fit the terminal."""
    table = Table(box=None, pad_edge=False)
    table.add_column("km", justify="right", no_wrap=True)
    for heading in ("status", "free", "connectors (kW)"):
        table.add_column(heading, no_wrap=True)
    table.add_column("station")
    for station in stations:
        table.add_row(
            f"{station['distance_km']:.2f}",
            station["status"],
            f"{'?' if station['status'] == 'unknown' else station['available_count']}/{station['evse_count']}",
            _connectors(station["connectors"]),
            f"{escape(station['title'])}\n[dim]{escape(_where(station))}[/dim]",
        )
    return table


def _where(station: dict[str, Any]) -> str:
    return ", ".join(station[name] for name in ("operator", "address", "city") if station[name])


def _connectors(groups: list[dict[str, Any]]) -> str:
    """Each type once, with the highest power known: `ccs2 150, type2 22`."""
    strongest: dict[str, float] = {}
    for group in groups:
        strongest[group["type"]] = max(strongest.get(group["type"], 0), group["power_kw"] or 0)
    return ", ".join(f"{kind} {power_kw:g}" if power_kw else kind for kind, power_kw in strongest.items())
