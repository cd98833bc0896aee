"""PostGIS: the same stations in a table with a GiST index, the same searches in SQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from app.stations.model import StoredStation
from app.stations.query import StationQuery
from app.stations.status import in_station_words
from benchmarks.rivals.rival import Ask, Rival
from tests import services

_TABLES = """
    CREATE EXTENSION postgis;
    CREATE TABLE stations (id bigint PRIMARY KEY, operator text, position geography(Point, 4326));
    CREATE TABLE connectors (station_id bigint, type text, power_kw float8, status text);
"""
_INDEXES = (
    "CREATE INDEX ON stations USING gist (position)",
    "CREATE INDEX ON connectors (station_id) INCLUDE (type, power_kw, status)",
    "VACUUM ANALYZE",
)
_ONE_QUERY_AT_A_TIME = ("SET jit = off", "SET max_parallel_workers_per_gather = 0", "SET work_mem = '256MB'")
_POINT = "ST_SetSRID(ST_MakePoint(%(longitude)s, %(latitude)s), 4326)::geography"


@contextmanager
def postgis(stations: Sequence[StoredStation], programs: Path) -> Iterator[Rival]:
    """On a server of its own with memory for all, asked through one connection."""
    with services.restartable_postgresql(programs) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_buffers = '2GB'")
        server.stop()
        server.start()
        with psycopg.connect(server.url, autocommit=True) as connection:
            _fill(connection, stations)
            for statement in _ONE_QUERY_AT_A_TIME:
                connection.execute(statement)
            yield Rival("PostGIS", _asking(connection), tolerance_m=0.01)


def _fill(connection: psycopg.Connection[Any], stations: Sequence[StoredStation]) -> None:
    connection.execute(_TABLES)
    with connection.cursor() as cursor:
        with cursor.copy("COPY stations FROM STDIN") as copy:
            for each in stations:
                copy.write_row((each.id, each.operator, f"POINT({each.longitude} {each.latitude})"))
        with cursor.copy("COPY connectors FROM STDIN") as copy:
            for each in stations:
                for evse in each.evses:
                    status = in_station_words(evse.status).value
                    for connector in evse.connectors:
                        copy.write_row((each.id, connector["type"], connector.get("power_kw"), status))
    for statement in _INDEXES:
        connection.execute(statement)


def _asking(connection: psycopg.Connection[Any]) -> Ask:
    cursor = connection.cursor()

    def ask(query: StationQuery) -> list[int]:
        cursor.execute(_sql(query).encode(), _parameters(query), prepare=True)
        return [row[0] for row in cursor.fetchall()]

    return ask


def _sql(query: StationQuery) -> str:
    """Distances are on the sphere, as with `<->`."""
    conditions = []
    if query.radius_km is not None:
        conditions.append(f"ST_DWithin(position, {_POINT}, %(radius_m)s, false)")
    if query.operator is not None:
        conditions.append("operator = %(operator)s")
    if of_connector := _of_connector(query):
        matches = " AND ".join(["station_id = id", *of_connector])
        conditions.append(f"EXISTS (SELECT FROM connectors WHERE {matches})")
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT id FROM stations {where} ORDER BY position <-> {_POINT} LIMIT %(limit)s"


def _of_connector(query: StationQuery) -> list[str]:
    """A station with an EVSE that is available is available."""
    asked = {
        "type = ANY(%(types)s)": query.connector,
        "power_kw >= %(power_kw)s": query.min_power_kw,
        "status = %(status)s": query.status,
    }
    return [condition for condition, value in asked.items() if value]


def _parameters(query: StationQuery) -> dict[str, Any]:
    return {
        "longitude": query.longitude,
        "latitude": query.latitude,
        "radius_m": None if query.radius_km is None else query.radius_km * 1_000,
        "operator": query.operator,
        "types": [kind.value for kind in query.connector],
        "power_kw": query.min_power_kw,
        "status": query.status,
        "limit": query.limit,
    }
