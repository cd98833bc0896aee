"""How fast searches are: the engine alone, then over HTTP against the least that the HTTP server can do.

`python -m benchmarks.search [--stations N] [--rounds N]`
"""

import argparse
import asyncio

from app.db import Database
from app.replica import Replica
from app.stations.model import StoredStation
from benchmarks import databases
from benchmarks.engine import load, print_engine
from benchmarks.filling import fill
from benchmarks.http import print_http


async def _prepare(database_url: str, stations: int) -> tuple[Replica, list[StoredStation]]:
    database = Database(database_url)
    try:
        await fill(database, stations)
        return await load(database)
    finally:
        await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=30_000, help="size of the catalogue (default: 30000)")
    parser.add_argument("--rounds", type=int, default=5, help="runs over HTTP, of each kind (default: 5)")
    asked = parser.parse_args()
    with databases.sqlite() as fresh:
        url = fresh()
        print_engine(*asyncio.run(_prepare(url, asked.stations)))
        print_http(url, asked.rounds)


if __name__ == "__main__":
    main()
