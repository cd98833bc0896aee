"""What drivers ask: the same mix of searches every time."""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any
from urllib.parse import urlencode

from app.stations.query import StationQuery
from benchmarks.catalogue import OPERATORS, Map, Zipf

_PATH = "/api/v1/stations"
_FILTERS = ("connector", "min_power_kw", "status", "operator")


def mix(count: int) -> list[StationQuery]:
    """Around larger cities more often; the half within 5 to 50 km, the half with one or two filters, each half for 20
    stations and for 100."""
    return list(islice(_mix(), count))


def _mix() -> Iterator[StationQuery]:
    random = Random(3)  # noqa: S311 - not for secrets
    ground, operators = Map(random), Zipf(len(OPERATORS))
    while True:
        longitude, latitude = ground.place()
        asked: dict[str, Any] = {"longitude": longitude, "latitude": latitude, "limit": random.choice((20, 100))}
        if random.random() < 0.5:
            asked["radius_km"] = round(random.uniform(5, 50), 1)
        if random.random() < 0.5:
            values = {
                "connector": random.choice((["ccs2"], ["type2"], ["chademo"], ["ccs2", "type2"])),
                "min_power_kw": random.choice((11, 22, 50, 150)),
                "status": "available",
                "operator": OPERATORS[operators.choose(random)],
            }
            asked |= {name: values[name] for name in random.sample(_FILTERS, random.choice((1, 2)))}
        yield StationQuery(**asked)


def path_of(query: StationQuery) -> str:
    """The query as a client writes it."""
    return f"{_PATH}?{urlencode(query.model_dump(mode='json', exclude_defaults=True), doseq=True)}"


def is_plain(query: StationQuery) -> bool:
    """Whether it asks for no more than a place, a radius and a number."""
    return not any(query.model_fields_set & {*_FILTERS})
