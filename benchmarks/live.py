"""How many states of EVSEs can be told over HTTP.

`python -m benchmarks.live`

The floor is to write the same rows with the database's own driver into a plain table with the same key, in
transactions of as many rows.
"""

import argparse
import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import cycle, islice
from statistics import median
from typing import Any

import psycopg

from app.auth import Scope
from app.db import Database
from app.stations import repository
from benchmarks import databases
from benchmarks.figures import print_table, spread
from benchmarks.filling import fill
from benchmarks.servers import SERVE, server
from tests.keys import create_key

ROUNDS = 5
_REQUESTS = {1: 200, 100: 50, 1_000: 10}
"""By the number of states in each."""
_CREATE = (
    "CREATE TABLE plain (station_id BIGINT, evse_uid TEXT, status TEXT, observed_at TEXT, "
    "PRIMARY KEY (station_id, evse_uid))"
)
_UPSERT = (
    "INSERT INTO plain VALUES ({0}, {0}, {0}, {0}) ON CONFLICT (station_id, evse_uid) DO UPDATE "
    "SET status = excluded.status, observed_at = excluded.observed_at"
)

State = tuple[int, str, str, str]
Write = Callable[[list[State]], None]


async def evses(database_url: str, stations: int) -> list[tuple[int, str]]:
    """Fill the database; station id and uid of all EVSEs."""
    database = Database(database_url)
    try:
        await fill(database, stations)
        async with database.open_session(read_only=True) as session:
            pages = [page async for page in repository.all_stations(session, datetime.now(UTC))]
    finally:
        await database.close()
    return [(station.id, evse.uid) for page in pages for station in page for evse in station.evses]


def states(places: Iterator[tuple[int, str]], count: int) -> list[State]:
    """Each newer than all before, so that each is applied."""
    at = datetime.now(UTC).isoformat()
    status = "CHARGING" if time.time_ns() % 2 else "AVAILABLE"
    return [(station_id, uid, status, at) for station_id, uid in islice(places, count)]


def per_second(write: Write, places: Iterator[tuple[int, str]], size: int) -> float:
    """States written, in batches of that size."""
    batches = [states(places, size) for _ in range(_REQUESTS[size])]
    began = time.perf_counter()
    for batch in batches:
        write(batch)
    return size * len(batches) / (time.perf_counter() - began)


def over_http(connection: HTTPConnection, key: str) -> Write:
    names = ("station_id", "evse_uid", "status", "observed_at")
    headers = {"Content-Type": "application/json", "X-API-Key": key}

    def write(batch: list[State]) -> None:
        body = json.dumps([dict(zip(names, each, strict=True)) for each in batch])
        connection.request("POST", "/api/v1/status", body, headers)
        answer = json.loads(connection.getresponse().read())
        if answer["applied"] + answer["superseded"] + answer["unchanged"] + answer["conflicting"] != len(batch):
            raise RuntimeError(f"not all were taken: {answer}")

    return write


@contextmanager
def floor(url: str) -> Iterator[Write]:
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = NORMAL")
            file.execute(_CREATE)
            yield _transactions(file, _UPSERT.format("?"), "BEGIN IMMEDIATE")
    else:
        with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(_CREATE.encode())
            yield _transactions(cursor, _UPSERT.format("%s"), "BEGIN")


def _transactions(cursor: Any, upsert: str, begin: str) -> Write:
    def write(batch: list[State]) -> None:
        cursor.execute(begin)
        cursor.executemany(upsert, batch)
        cursor.execute("COMMIT")

    return write


def compare(database_url: str, stations: int) -> dict[int, tuple[float, list[float]]]:
    """For each size of batches the states told per second (median), and the ratios to the floor."""
    places = cycle(asyncio.run(evses(database_url, stations)))
    key = create_key(database_url, "bench", [Scope.STATUS_WRITE])
    found: dict[int, tuple[float, list[float]]] = {}
    with (
        server(database_url, *SERVE) as serving,
        closing(HTTPConnection("127.0.0.1", serving.port, timeout=60)) as connection,
        floor(database_url) as write_plainly,
    ):
        write = over_http(connection, key)
        for size in _REQUESTS:
            rates, ratios = [], []
            for _ in range(ROUNDS):
                rates.append(per_second(write, places, size))
                ratios.append(rates[-1] / per_second(write_plainly, places, size))
            found[size] = median(rates), ratios
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=30_000)
    asked = parser.parse_args()
    rows = []
    for name, kind in databases.both().items():
        with kind as fresh:
            for size, (rate, ratios) in compare(fresh(), asked.stations).items():
                rows.append([name, f"{size:,}", f"{rate:,.0f}", spread(ratios)])
    print(f"States told over HTTP by one client, {asked.stations:,} stations\n")
    print_table(["database", "in one request", "states/s", "÷ driver's own upserts"], rows)


if __name__ == "__main__":
    main()
