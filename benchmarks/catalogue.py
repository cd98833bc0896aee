"""A made-up catalogue, crowded in places as real ones are: the same stations every time, of any number."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import NamedTuple

from app.sources.demo import FACTS
from app.stations.model import ConnectorDocument, EvseState, StationCreate, StoredStation
from app.stations.vocabulary import EvseStatus

_CITIES = 400
_SPREAD_DEGREES = 0.08
"""Standard deviation of the distance from a city's centre."""
OPERATORS = [f"Operator {number}" for number in range(200)]
_MADE = datetime(2026, 5, 1, tzinfo=UTC)

Place = tuple[float, float]
"""Longitude and latitude in degrees."""


class _Site(NamedTuple):
    """A common kind of charging station."""

    share: float
    access: str
    connectors: list[ConnectorDocument]
    """Of each EVSE."""
    counts: tuple[int, ...]
    """How many EVSEs such a station may have, the one as likely as the other."""


_SITES = (
    _Site(0.40, "public", [{"type": "type2", "power_kw": 22.0}], (1, 2, 2, 2, 4)),
    _Site(0.20, "restricted", [{"type": "type2", "power_kw": 11.0}], (1, 2, 4, 6)),
    _Site(0.10, "public", [{"type": "schuko", "power_kw": 3.7}, {"type": "type2", "power_kw": 11.0}], (2, 2, 4)),
    _Site(0.12, "public", [{"type": "ccs2", "power_kw": 50.0}, {"type": "chademo", "power_kw": 50.0}], (1, 1, 2)),
    _Site(0.10, "public", [{"type": "ccs2", "power_kw": 150.0}], (2, 2, 4, 6)),
    _Site(0.08, "public", [{"type": "ccs2", "power_kw": 300.0}], (2, 4, 6, 8, 12)),
)
_SITE_WEIGHTS = list(accumulate(site.share for site in _SITES))
_STATUSES = (*[EvseStatus.AVAILABLE] * 6, *[EvseStatus.CHARGING] * 3, EvseStatus.OUTOFORDER, EvseStatus.UNKNOWN)


class Zipf:
    """One of so many things, each half as likely as the one of half its rank."""

    def __init__(self, count: int) -> None:
        self._numbers = range(count)
        self._weights = list(accumulate(1 / rank for rank in range(1, count + 1)))

    def choose(self, random: Random) -> int:
        """From 0, the likeliest."""
        return random.choices(self._numbers, cum_weights=self._weights)[0]


class Map:
    """Cities of a continent without seas, their sizes by Zipf's law: where stations and drivers are."""

    def __init__(self, random: Random) -> None:
        self._random = random
        on_the_map = Random(1)  # noqa: S311 - not for secrets
        self._centres = [(on_the_map.uniform(-10, 30), on_the_map.uniform(35, 65)) for _ in range(_CITIES)]
        self._sizes = Zipf(_CITIES)

    def city(self) -> int:
        """The more likely the larger it is."""
        return self._sizes.choose(self._random)

    def around(self, city: int) -> Place:
        """Somewhere in it or near it."""
        longitude, latitude = self._centres[city]
        gauss = self._random.gauss
        return round(gauss(longitude, _SPREAD_DEGREES), 6), round(gauss(latitude, _SPREAD_DEGREES), 6)

    def place(self) -> Place:
        """In or around any city."""
        return self.around(self.city())


def stored(count: int) -> Iterator[StoredStation]:
    """As they would be read from the database, ids from 1; the documents of connectors are shared among stations."""
    random = Random(1)  # noqa: S311 - not for secrets
    ground, operators = Map(random), Zipf(len(OPERATORS))
    for number in range(1, count + 1):
        city = ground.city()
        longitude, latitude = ground.around(city)
        site = random.choices(_SITES, cum_weights=_SITE_WEIGHTS)[0]
        yield StoredStation(
            id=number,
            source=FACTS.name,
            external_id=str(number),
            title=f"Charging park {number}",
            operator=OPERATORS[operators.choose(random)],
            address=f"High Street {number % 300}",
            city=f"City {city}",
            postal_code=f"{10_000 + city}",
            country="DE",
            longitude=longitude,
            latitude=latitude,
            access=site.access,
            opening_hours="24/7",
            price=None,
            created_at=_MADE,
            last_updated=_MADE,
            evses=[
                EvseState(str(uid), None, random.choice(_STATUSES), _MADE, None, site.connectors)
                for uid in range(1, random.choice(site.counts) + 1)
            ],
            licence=FACTS.licence,
            licence_url=FACTS.licence_url,
            attribution=FACTS.attribution,
        )


def created(count: int) -> Iterator[StationCreate]:
    """The same as a source gives them."""
    for station in stored(count):
        yield StationCreate.model_validate(
            {name: getattr(station, name) for name in StationCreate.model_fields if name != "evses"}
            | {"evses": [{"uid": evse.uid, "connectors": evse.connectors} for evse in station.evses]}
        )
