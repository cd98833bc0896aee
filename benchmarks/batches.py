"""What BatchOperations costs, against the driver alone writing rows that are ready.

`python -m benchmarks.batches [--count N] [--rounds N]`
"""

import argparse
import asyncio
import gc
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import orjson
import psycopg
from sqlalchemy import func, select

from app.db import Database
from app.stations import Station
from app.stations.model import StationCreate, derive, evse_documents
from app.utils.batch_ops import BatchOperations
from benchmarks import catalogue, databases
from benchmarks.databases import Fresh
from benchmarks.figures import print_table, spread
from tests.services import postgresql_programs

AIMS = {"SQLite": 0.3, "PostgreSQL": 0.5}
"""The share of the driver's speed that ready-made rows should reach at least."""
_NOW = datetime(2026, 5, 1, tzinfo=UTC)

Fields = dict[str, Any]


@dataclass(frozen=True)
class Input:
    """The same stations as they come from outside, and with everything that is stored of them."""

    created: list[StationCreate]
    given: list[Fields]
    complete: list[Fields]


def make_input(count: int) -> Input:
    created = list(catalogue.created(count))
    given = [station.model_dump() for station in created]
    return Input(created, given, [_complete(fields) for fields in given])


def _complete(fields: Fields) -> Fields:
    content = fields | {"evses": evse_documents(fields["evses"])}
    return {**content, **derive(content), "created_at": _NOW, "last_updated": _NOW, "deleted_at": None}


def raw(url: str, stations: Input) -> float:
    """Seconds that the driver takes: `executemany` of sqlite3, COPY of psycopg, in one transaction."""
    names = list(stations.complete[0])
    if url.startswith("sqlite:///"):
        return _raw_sqlite(url.removeprefix("sqlite:///"), names, stations.complete)
    return _raw_postgresql(url, names, stations.complete)


def _raw_sqlite(file: str, names: list[str], rows: list[Fields]) -> float:
    ready = [tuple(_for_sqlite(value) for value in row.values()) for row in rows]
    connection = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -8192"):
        connection.execute(f"PRAGMA {pragma}")
    start = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO stations ({', '.join(names)}) VALUES ({marks})", ready)
    connection.execute("COMMIT")
    took = time.perf_counter() - start
    connection.close()
    return took


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, list):
        return orjson.dumps(value).decode()
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value


def _raw_postgresql(url: str, names: list[str], rows: list[Fields]) -> float:
    ready = [tuple(orjson.dumps(v).decode() if isinstance(v, list) else v for v in row.values()) for row in rows]
    with psycopg.connect(url) as connection:
        start = time.perf_counter()
        statement = f"COPY stations ({', '.join(names)}) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for row in ready:
                copy.write_row(row)
        connection.commit()
        return time.perf_counter() - start


def ready_made(url: str, stations: Input) -> float:
    return asyncio.run(_through_batches(url, stations.complete, ready_made=True))


def mappings(url: str, stations: Input) -> float:
    return asyncio.run(_through_batches(url, stations.given))


def instances(url: str, stations: Input) -> float:
    """`Station(...)` is made in the loop that adds it."""
    return asyncio.run(_through_batches(url, (Station(**fields) for fields in stations.given)))


def guide(url: str, stations: Input) -> float:
    """As in the integration guide: what a client sent is taken apart in the loop as well."""
    return asyncio.run(_through_batches(url, (Station(**each.dict()) for each in stations.created)))


def dumped(url: str, stations: Input) -> float:
    """The same by pydantic's own way, which leaves plain mappings of the EVSEs, to be checked again."""
    return asyncio.run(_through_batches(url, (Station(**each.model_dump()) for each in stations.created)))


async def _through_batches(url: str, rows: Any, **options: Any) -> float:
    database = Database(url)
    async with database.open_session() as session:
        await session.scalar(select(func.count()).select_from(Station))  # connect
        start = time.perf_counter()
        async with BatchOperations(session, Station, **options) as ops:
            for row in rows:
                await ops.add(row)
        await session.commit()
        took = time.perf_counter() - start
    await database.close()
    return took


def only_instances(_: str, stations: Input) -> float:
    """What making the instances costs by itself, whatever is done with them."""
    start = time.perf_counter()
    for fields in stations.given:
        Station(**fields)
    return time.perf_counter() - start


def only_guides_instances(_: str, stations: Input) -> float:
    """The same as the guide does it: no write by its call can take less."""
    start = time.perf_counter()
    for each in stations.created:
        Station(**each.dict())
    return time.perf_counter() - start


CONTENDERS: dict[str, Callable[[str, Input], float]] = {
    "ready-made mappings": ready_made,
    "mappings": mappings,
    "Station(**fields)": instances,
    "Station(**created.dict()), the guide's": guide,
    "Station(**created.model_dump())": dumped,
    "(making the instances)": only_instances,
    "(making them as the guide does)": only_guides_instances,
}


def measure(fresh: Fresh, stations: Input, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of the driver and of each contender in turn, so that a slow moment of the machine hits both."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    for (name, contender), _ in itertools.product(CONTENDERS.items(), range(rounds)):
        floor_s = raw(fresh(), stations)
        taken[name].append((floor_s, contender(fresh(), stations)))
    return taken


def table(taken: dict[str, list[tuple[float, float]]], count: int) -> Iterator[list[str]]:
    floors = [floor_s for pairs in taken.values() for floor_s, _ in pairs]
    yield ["the driver alone", f"{median(floors) * 1_000_000 / count:,.1f}", ""]
    for name, pairs in taken.items():
        per_row = median(took_s for _, took_s in pairs) * 1_000_000 / count
        yield [name, f"{per_row:,.1f}", spread([floor_s / took_s for floor_s, took_s in pairs])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="stations (default: 100,000)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way (default: 3)")
    arguments = parser.parse_args()
    stations = make_input(arguments.count)
    gc.freeze()
    with databases.sqlite() as fresh:
        _print("SQLite", fresh, stations, arguments.rounds)
    programs = postgresql_programs()
    if programs is None:
        print("PostgreSQL: not measured, its programs are not installed")
        return
    with databases.postgresql(programs) as fresh:
        _print("PostgreSQL", fresh, stations, arguments.rounds)


def _print(database: str, fresh: Fresh, stations: Input, rounds: int) -> None:
    count = len(stations.given)
    print(f"{database}: {count:,} stations, {rounds} rounds; aim for ready-made rows: at least {AIMS[database]:g}\n")
    rows = list(table(measure(fresh, stations, rounds), count))
    print_table(["way", "µs a row", "share of the driver's speed"], rows)


if __name__ == "__main__":
    main()
