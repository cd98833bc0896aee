"""A made-up catalogue, crowded in places as real ones are: the same stations every time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from random import Random

from app.db import Database
from app.sources.demo import FACTS, DemoStation
from app.stations import live, repository, runs
from app.stations.live import Observation
from app.stations.model import Connector, Evse, StationCreate
from app.stations.vocabulary import ConnectorType, EvseStatus

_CITIES = 400
_SPREAD_DEGREES = 0.08
"""Standard deviation of the distance from a city's centre."""
_BATCH = 1_000
_PLUGS = (
    (ConnectorType.SCHUKO, 3.7),
    (ConnectorType.TYPE2, 11.0),
    (ConnectorType.TYPE2, 22.0),
    (ConnectorType.CHADEMO, 50.0),
    (ConnectorType.CCS2, 50.0),
    (ConnectorType.CCS2, 150.0),
    (ConnectorType.CCS2, 300.0),
)
_STATUSES = (*[EvseStatus.AVAILABLE] * 6, *[EvseStatus.CHARGING] * 3, EvseStatus.OUTOFORDER, EvseStatus.UNKNOWN)

Place = tuple[float, float]
"""Longitude and latitude in degrees."""


class Map:
    """Cities of a continent without seas, each half as large as the one of half its rank (Zipf's law)."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._centres = [(random.uniform(-10, 30), random.uniform(35, 65)) for _ in range(_CITIES)]
        self._sizes = [1 / rank for rank in range(1, _CITIES + 1)]

    def place(self) -> Place:
        """Somewhere in or around a city, the more likely the larger it is."""
        ((longitude, latitude),) = self._random.choices(self._centres, self._sizes)
        return (
            round(self._random.gauss(longitude, _SPREAD_DEGREES), 6),
            round(self._random.gauss(latitude, _SPREAD_DEGREES), 6),
        )


def stations(count: int) -> Iterator[DemoStation]:
    random = Random(1)  # noqa: S311 - not for secrets
    around = Map(random)
    for number in range(count):
        longitude, latitude = around.place()
        evses = tuple(_evse(random, uid) for uid in range(random.randint(1, 8)))
        station = StationCreate(
            source=FACTS.name,
            external_id=str(number),
            title=f"Charging park {number}",
            operator=f"Operator {random.randrange(200)}",
            address=f"High Street {random.randrange(300)}",
            city=f"City {random.randrange(_CITIES)}",
            country="DE",
            longitude=longitude,
            latitude=latitude,
            evses=evses,
            opening_hours="24/7",
        )
        yield DemoStation(station, tuple(random.choice(_STATUSES) for _ in evses))


def _evse(random: Random, uid: int) -> Evse:
    plugs = random.choices(_PLUGS, k=random.randint(1, 2))
    return Evse(uid=str(uid), connectors=tuple(Connector(type=kind, power_kw=power_kw) for kind, power_kw in plugs))


async def fill(database: Database, count: int) -> None:
    """Store so many stations and their live status."""
    now = datetime.now(UTC)
    waiting = stations(count)
    while batch := list(islice(waiting, _BATCH)):
        async with database.open_session() as session:
            await runs.register_source(session, FACTS.as_row())
            await repository.store(session, FACTS.name, [made.station for made in batch], now)
            ids = await repository.ids_of(session, FACTS.name, [made.station.external_id for made in batch])
            observations = [
                Observation(ids[made.station.external_id], evse.uid, status, now)
                for made in batch
                for evse, status in zip(made.station.evses, made.statuses, strict=True)
            ]
            await live.observe(session, FACTS.name, observations, now)
