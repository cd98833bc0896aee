"""The search against PostGIS, which measures on its own sphere: radius 6,371,008.77 m, ours 6,371,008.8 m."""

import orjson
import psycopg
import pytest

from app.api.v1 import render
from app.db import Database
from app.ingest.demo import load_demo
from app.replica import Follower
from app.stations.catalogue import Catalogue
from app.stations.query import StationQuery
from tests.conftest import skip_or_fail

ORIGINS = [(13.405, 52.52), (0.0, 0.0), (180.0, -17.0), (-180.0, -17.0), (0.0, 90.0), (45.0, -90.0), (-97.7, 30.3)]
_NEAREST = """
    SELECT ST_Distance(ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography,
                       ST_SetSRID(ST_MakePoint(%s, %s), 4326)::geography, false) / 1000
    FROM stations ORDER BY 1 LIMIT 300
"""


async def test_distances_and_order_agree_with_postgis(postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'").fetchone():
            skip_or_fail("PostGIS is not installed, so distances were not compared with it")
        connection.execute("CREATE EXTENSION postgis")
        database = Database(postgresql_url)
        await load_demo(database)
        follower = Follower(Catalogue(database), render.summary)
        await follower.catch_up()
        for longitude, latitude in ORIGINS:
            expected = [row[0] for row in connection.execute(_NEAREST, (longitude, latitude))]
            query = StationQuery(longitude=longitude, latitude=latitude, limit=300)
            found = [item["distance_km"] for item in orjson.loads(follower.replica.search(query).body)]
            assert found == pytest.approx(expected, rel=1e-8, abs=2e-6)
        await database.close()
