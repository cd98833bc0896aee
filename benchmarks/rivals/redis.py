"""Redis: GEOSEARCH in one sorted set, which knows no filter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from redis import Redis

from app.replica.sphere import EARTH_RADIUS_KM
from app.stations.model import StoredStation
from app.stations.query import StationQuery
from benchmarks.queries import is_plain
from benchmarks.rivals.rival import Ask, Rival
from tests import services

_KEY = "stations"
_BATCH = 10_000
_FIRST_KM = 5.0
_FARTHEST_KM = 20_040.0
_SCALE = 6_372.797560856 / EARTH_RADIUS_KM
"""Redis reckons with a globe that is a little larger (`geohash_helper.c`)."""


@contextmanager
def redis_geosearch(stations: Sequence[StoredStation]) -> Iterator[Rival]:
    """On a server of its own, asked through one connection. Places are rounded there, to 0.6 m at most."""
    with services.redis() as server, Redis.from_url(server.url, single_connection_client=True) as client:
        for start in range(0, len(stations), _BATCH):
            batch = stations[start : start + _BATCH]
            client.geoadd(_KEY, tuple(chain.from_iterable((s.longitude, s.latitude, s.id) for s in batch)))
        yield Rival("Redis GEOSEARCH", _asking(client), tolerance_m=1.5, can=is_plain)


def _asking(client: Redis) -> Ask:
    def within(query: StationQuery, radius_km: float) -> list[int]:
        found: Any = client.geosearch(
            _KEY,
            longitude=query.longitude,
            latitude=query.latitude,
            radius=radius_km * _SCALE,
            unit="km",
            sort="ASC",
            count=query.limit,
        )
        return [int(member) for member in found]

    def ask(query: StationQuery) -> list[int]:
        """Without a radius: within one that doubles until there are enough."""
        if query.radius_km is not None:
            return within(query, query.radius_km)
        radius_km = _FIRST_KM
        while len(found := within(query, radius_km)) < query.limit and radius_km < _FARTHEST_KM:
            radius_km *= 2
        return found

    return ask
