"""How long a change takes from its commit in one process to the searches of another.

`python -m benchmarks.visibility`
"""

import argparse
import asyncio
import time
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from statistics import quantiles

from app.db import Database
from app.stations import StationCreate, repository
from benchmarks import databases
from benchmarks.figures import print_table
from benchmarks.filling import fill
from benchmarks.servers import SERVE, server

AT_SEA = {"longitude": -30.0, "latitude": 0.0}
"""Where no other station is."""
_QUERY = "/api/v1/stations?longitude=-30&latitude=0&radius_km=1"


async def delays_ms(database_url: str, stations: int, changes: int) -> list[float]:
    """From each commit until a server of a catalogue of so many stations counts what it has brought."""
    database = Database(database_url)
    delays = []
    try:
        await fill(database, stations)
        with (
            server(database_url, *SERVE) as serving,
            closing(HTTPConnection("127.0.0.1", serving.port, timeout=30)) as reader,
        ):
            await asyncio.to_thread(_count, reader)
            for number in range(1, changes + 1):
                await asyncio.sleep(number % 7 / 35)  # so that they do not all begin at the same point of a poll
                await _store(database, number)
                began = time.perf_counter()
                await asyncio.to_thread(_see, reader, number)
                delays.append((time.perf_counter() - began) * 1_000)
    finally:
        await database.close()
    return delays


async def _store(database: Database, number: int) -> None:
    station = StationCreate(source="sea", external_id=str(number), title="Buoy", **AT_SEA)
    async with database.open_session() as session:
        await repository.store(session, "sea", [station], datetime.now(UTC))


def _see(reader: HTTPConnection, number: int) -> None:
    while _count(reader) < number:
        pass


def _count(reader: HTTPConnection) -> int:
    reader.request("GET", _QUERY)
    answer = reader.getresponse()
    answer.read()
    return int(answer.headers["X-Total-Count"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=30_000)
    parser.add_argument("--changes", type=int, default=200)
    asked = parser.parse_args()
    rows = []
    for name, kind in databases.both().items():
        with kind as fresh:
            delays = asyncio.run(delays_ms(fresh(), asked.stations, asked.changes))
        cuts = quantiles(delays, n=100)
        rows.append([name, *(f"{figure:,.0f}" for figure in (cuts[49], cuts[98], max(delays)))])
    print(f"From commit to search in another process, {asked.stations:,} stations, {asked.changes} changes, ms\n")
    print_table(["database", "median", "99 % under", "slowest"], rows)


if __name__ == "__main__":
    main()
