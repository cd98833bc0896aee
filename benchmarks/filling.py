"""Filling an empty database with the made-up catalogue, as fast as the toolkit writes rows.

`python -m benchmarks.filling [--stations N]` tells how long that takes.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import func, select

from app.db import Database
from app.sources.demo import FACTS
from app.stations import Station, runs
from app.stations.model import StoredStation, derive
from app.stations.tables import EvseStatusRow
from app.utils.batch_ops import BatchOperations
from benchmarks import databases
from benchmarks.catalogue import stored
from benchmarks.figures import print_table

_TRANSACTION = 20_000
"""Stations."""

Row = dict[str, Any]


async def fill(database: Database, count: int) -> None:
    """Store so many stations, whose ids are then those of `stored`, and their live status.

    Raises ValueError for a database that has had stations: the ids would be others."""
    waiting = stored(count)
    async with database.open_session() as session:
        await runs.register_source(session, FACTS.as_row())
    while batch := list(islice(waiting, _TRANSACTION)):
        async with database.open_session() as session:
            await _write(session, Station, (_station(each) for each in batch))
            await _write(session, EvseStatusRow, _statuses(batch))
            if await session.scalar(select(func.max(Station.id))) != batch[-1].id:
                raise ValueError("the database is not empty")


async def _write(session: Any, model: type[Any], rows: Iterator[Row]) -> None:
    async with BatchOperations(session, model, ready_made=True) as operations:
        for row in rows:
            await operations.add(row)


def _station(station: StoredStation) -> Row:
    content = {
        "title": station.title,
        "operator": station.operator,
        "address": station.address,
        "city": station.city,
        "postal_code": station.postal_code,
        "country": station.country,
        "longitude": station.longitude,
        "latitude": station.latitude,
        "evses": [{"uid": evse.uid, "connectors": evse.connectors} for evse in station.evses],
        "access": station.access,
        "opening_hours": station.opening_hours,
        "price": station.price,
    }
    told: Row = {"source": station.source, "external_id": station.external_id, "deleted_at": None}
    times = {"created_at": station.created_at, "last_updated": station.last_updated}
    return told | content | times | derive(content)


def _statuses(stations: Sequence[StoredStation]) -> Iterator[Row]:
    for station in stations:
        for evse in station.evses:
            observed_at: datetime | None = evse.observed_at
            yield {
                "station_id": station.id,
                "evse_uid": evse.uid,
                "status": evse.status.value,
                "observed_at": observed_at,
                "received_at": observed_at,
                "source": station.source,
                "expires_at": evse.expires_at,
            }


async def fill_at(database_url: str, count: int) -> None:
    """`fill` the database of that URL."""
    database = Database(database_url)
    try:
        await fill(database, count)
    finally:
        await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=100_000)
    count = parser.parse_args().stations
    start = time.perf_counter()
    evses = sum(len(station.evses) for station in stored(count))
    made_s = time.perf_counter() - start
    rows = [["(making the stations)", f"{made_s:,.1f}", f"{made_s / count * 1e6:,.0f}"]]
    for name, kind in databases.both().items():
        with kind as fresh:
            url, start = fresh(), time.perf_counter()
            asyncio.run(fill_at(url, count))
            took_s = time.perf_counter() - start
            rows.append([name, f"{took_s:,.1f}", f"{took_s / count * 1e6:,.0f}"])
    print(f"Filling an empty database with {count:,} stations, {evses:,} EVSEs\n")
    print_table(["database", "seconds", "µs a station"], rows)


if __name__ == "__main__":
    main()
