"""A deterministic synthetic network. Nothing in it exists: title, operator and source say so."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from app.sources.demo.cities import CITIES, City
from app.sources.records import SourceFacts
from app.stations.model import Connector, Evse, StationCreate
from app.stations.vocabulary import Access, ConnectorFormat, EvseStatus, PowerType

FACTS = SourceFacts(
    name="demo",
    title="Demo network: sample data, not real stations",
    homepage="",
    licence="CC0-1.0",
    licence_url="https://creativecommons.org/publicdomain/zero/1.0/",
    attribution="Sample data made up by VoltWay; these stations do not exist.",
    cadence=timedelta(days=3650),
    record_noun="sample stations",
)
STATIONS_PER_CITY = 50
_SEED = 2024
_SPREAD_KM = 6.0
"""Standard deviation of the distance from the centre, in each direction."""
_KM_PER_DEGREE = 111.2
_OPERATORS = ("Ampere Sample", "Demo Drive", "Example Energy", "Specimen Charging", "Trial Volt")
_PLACES = ("Car park", "Harbour", "Market", "Museum", "Shopping centre", "Station square", "Supermarket", "Town hall")
_AC_POWERS_KW = (7.4, 11.0, 22.0)
_DC_POWERS_KW = (50.0, 150.0, 300.0)
_STATUS_WEIGHTS = {
    EvseStatus.AVAILABLE: 60,
    EvseStatus.CHARGING: 25,
    EvseStatus.RESERVED: 2,
    EvseStatus.BLOCKED: 2,
    EvseStatus.OUTOFORDER: 5,
    EvseStatus.UNKNOWN: 6,
}
_SILENT_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class DemoStation:
    """A sample station, and the state of each of its EVSEs in their order."""

    station: StationCreate
    statuses: tuple[EvseStatus, ...]


def network() -> Iterator[DemoStation]:
    """Yield the same stations every time, 50 around each city."""
    random = Random(_SEED)  # noqa: S311 - not for secrets
    for city in CITIES:
        for number in range(1, STATIONS_PER_CITY + 1):
            evses = tuple(_evses(random, city))
            yield DemoStation(_station(random, city, number, evses), _statuses(random, len(evses)))


def _station(random: Random, city: City, number: int, evses: tuple[Evse, ...]) -> StationCreate:
    km_per_degree_east = _KM_PER_DEGREE * math.cos(math.radians(city.latitude))
    return StationCreate(
        source=FACTS.name,
        external_id=f"demo-{city.country}-{city.name}-{number}",
        title=f"[Sample] {random.choice(_PLACES)} {city.name} {number}",
        operator=f"{random.choice(_OPERATORS)} (sample)",
        address=f"Sample Street {random.randint(1, 200)}",
        city=city.name,
        country=city.country,
        longitude=round(city.longitude + random.gauss(0, _SPREAD_KM) / km_per_degree_east, 6),
        latitude=round(city.latitude + random.gauss(0, _SPREAD_KM) / _KM_PER_DEGREE, 6),
        evses=evses,
        access=random.choices((Access.PUBLIC, Access.RESTRICTED), (9, 1))[0],
        opening_hours=random.choice(("24/7", "Mo-Sa 07:00-22:00")),
        price=f"{random.randint(25, 79) / 100:.2f} per kWh (sample)",
    )


def _statuses(random: Random, count: int) -> tuple[EvseStatus, ...]:
    """States of a station's EVSEs; some stations report nothing at all."""
    if random.random() < _SILENT_SHARE:
        return (EvseStatus.UNKNOWN,) * count
    return tuple(random.choices(list(_STATUS_WEIGHTS), list(_STATUS_WEIGHTS.values()), k=count))


def _evses(random: Random, city: City) -> Iterator[Evse]:
    """Slow ones with one socket, or fast ones with one or two cables."""
    fast = random.random() < 0.35
    power_kw = random.choice(_DC_POWERS_KW if fast else _AC_POWERS_KW)
    for number in range(1, random.randint(2, 8) + 1):
        if fast:
            types = dict.fromkeys(random.choices(city.plugs.dc, k=2))
            cable, current = ConnectorFormat.CABLE, PowerType.DC
        else:
            types = {city.plugs.ac: None}
            cable, current = ConnectorFormat.SOCKET, PowerType.AC_3_PHASE
        connectors = tuple(Connector(type=t, power_kw=power_kw, format=cable, current=current) for t in types)
        yield Evse(uid=str(number), connectors=connectors)
