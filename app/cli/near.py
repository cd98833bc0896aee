"""`voltway near`."""

import asyncio
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

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
    settings = Settings()
    require_current(settings.database_url)
    answer = asyncio.run(_search(settings.database_url, query))
    if as_json:
        typer.echo(b"[" + b",\n".join(answer.items) + b"]")
    else:
        Console().print(_table([orjson.loads(item) for item in answer.items]))


async def _search(database_url: str, query: StationQuery) -> Answer:
    database = Database(database_url)
    try:
        follower = Follower(Catalogue(database), render.summary)
        await follower.catch_up()
        return follower.replica.search(query)
    finally:
        await database.close()


def _table(stations: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("km", justify="right")
    for heading in ("status", "free", "connectors", "station", "operator", "address"):
        table.add_column(heading, overflow="fold")
    for station in stations:
        table.add_row(
            f"{station['distance_km']:.2f}",
            station["status"],
            f"{station['available_count']}/{station['evse_count']}",
            ", ".join(_connector(group) for group in station["connectors"]),
            station["title"],
            station["operator"],
            ", ".join(part for part in (station["address"], station["postal_code"], station["city"]) if part),
        )
    return table


def _connector(group: dict[str, Any]) -> str:
    power = "" if group["power_kw"] is None else f" {group['power_kw']:g} kW"
    return f"{group['total']}× {group['type']}{power}"
