"""The search against a brute force that shares none of its code, in easy and in hard places."""

import math
import os
import shutil
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.replica import Replica
from app.replica import replica as replica_module
from app.replica.replica import HAS_KERNEL
from app.stations.model import EvseState, StoredStation
from app.stations.query import StationQuery
from app.stations.status import in_station_words, station_status
from app.stations.vocabulary import ConnectorType, EvseStatus, StationStatus
from tests.make import evse_state, stored

EXAMPLES = int(os.environ.get("VOLTWAY_EXAMPLES", "150"))
HARD_LONGITUDES = (-180.0, -179.9999, -1e-9, 0.0, 1e-9, 90.0, 179.9999, 180.0)
HARD_LATITUDES = (-90.0, -89.9999, -1e-9, 0.0, 1e-9, 45.0, 89.9999, 90.0)
TYPES = (ConnectorType.CCS2, ConnectorType.TYPE2, ConnectorType.MCS)
POWERS = (None, 11.0, 22.0, 150.0)

ENGINES = (False, True) if HAS_KERNEL else (False,)
"""Whether the search is the compiled one."""

engines = st.sampled_from(ENGINES)
with_each_engine = pytest.mark.parametrize("compiled", ENGINES, ids=["arrays", "compiled"][: len(ENGINES)])
longitudes = st.sampled_from(HARD_LONGITUDES) | st.floats(-180, 180)
latitudes = st.sampled_from(HARD_LATITUDES) | st.floats(-90, 90)
near_each_other = st.tuples(st.floats(13.3, 13.5), st.floats(52.4, 52.6))
places = st.tuples(longitudes, latitudes) | near_each_other
evses = st.lists(
    st.tuples(
        st.sampled_from(list(EvseStatus)),
        st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from(POWERS)), max_size=3),
    ),
    max_size=4,
)
filters = st.fixed_dictionaries(
    {},
    optional={
        "connector": st.lists(st.sampled_from(TYPES), min_size=1, max_size=2),
        "min_power_kw": st.sampled_from((0, 11, 22, 50, 150.001)),
        "status": st.sampled_from(list(StationStatus)),
        "operator": st.sampled_from(("Alpha", "beta", "nobody")),
        "country": st.sampled_from(("DE", "fr", "XX")),
        "q": st.sampled_from(("station 1", "ALPHA", "nothing")),
        "bbox": st.sampled_from(("-10,-10,10,10", "170,-90,-170,90", "13.35,52.45,13.45,52.55", "0,0,0,0")),
    },
)
radii = st.none() | st.sampled_from((0.001, 1.0, 50.0, 5_000.0, 20_037.0))


@st.composite
def catalogues(draw: st.DrawFn) -> list[StoredStation]:
    made = draw(st.lists(st.tuples(places, evses, st.sampled_from(("Alpha", "Beta", None))), max_size=60))
    repeated = draw(st.integers(1, 3))
    return [
        _station(number, place, operator, equipment)
        for number, (place, equipment, operator) in enumerate(made * repeated, start=1)
    ]


def _station(
    number: int, place: tuple[float, float], operator: str | None, equipment: list[tuple[EvseStatus, Any]]
) -> StoredStation:
    states = [evse_state(str(n), status, *connectors) for n, (status, connectors) in enumerate(equipment)]
    return stored(number, *place, states, operator=operator, country="DE" if number % 2 else "FR")


def _replica(stations: list[StoredStation], compiled: bool) -> Replica:
    replica = Replica(lambda station: b'{"id":%d}' % station.id, compiled)
    for start in range(0, len(stations), 7):
        replica.put(stations[start : start + 7])
    return replica


def _distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Vincenty's formula for the sphere, from longitude and latitude in degrees."""
    (lon1, lat1), (lon2, lat2) = ((math.radians(lon), math.radians(lat)) for lon, lat in (a, b))
    east = lon2 - lon1
    y = math.hypot(
        math.cos(lat2) * math.sin(east),
        math.cos(lat1) * math.sin(lat2) - math.sin(lat1) * math.cos(lat2) * math.cos(east),
    )
    x = math.sin(lat1) * math.sin(lat2) + math.cos(lat1) * math.cos(lat2) * math.cos(east)
    return math.atan2(y, x) * 6371.0088


def _matches(station: StoredStation, query: StationQuery) -> bool:
    text = "\n".join(part for part in (station.title, station.operator) if part).casefold()
    inside = True
    if query.bbox is not None:
        west, south, east, north = map(float, query.bbox.split(","))
        in_east = west <= station.longitude <= east
        if west > east:
            in_east = station.longitude >= west or station.longitude <= east
        inside = in_east and south <= station.latitude <= north
    return (
        inside
        and (query.q is None or query.q.casefold() in text)
        and (query.operator is None or query.operator.casefold() == (station.operator or "").casefold())
        and (query.country is None or query.country == station.country)
        and _has_evse(station, query)
    )


def _has_evse(station: StoredStation, query: StationQuery) -> bool:
    status = station_status(evse.status for evse in station.evses)
    if query.status is not None and status is not query.status:
        return False
    if not query.connector and query.min_power_kw is None and (query.status is None or not station.evses):
        return True
    return any(_evse_matches(evse, query) for evse in station.evses)


def _evse_matches(evse: EvseState, query: StationQuery) -> bool:
    if query.status is not None and in_station_words(evse.status) is not query.status:
        return False
    if not query.connector and query.min_power_kw is None:
        return True
    return any(
        (not query.connector or connector["type"] in query.connector)
        and (query.min_power_kw is None or connector.get("power_kw", -1) >= query.min_power_kw)
        for connector in evse.connectors
    )


def _check(replica: Replica, stations: list[StoredStation], query: StationQuery) -> None:
    """The answer has the right distances in the right order, ties by id, and no station that it should not have."""
    assert query.longitude is not None
    assert query.latitude is not None
    origin = (query.longitude, query.latitude)
    distance = {s.id: _distance_km(origin, (s.longitude, s.latitude)) for s in stations if _matches(s, query)}
    if query.radius_km is not None:
        distance = {station_id: km for station_id, km in distance.items() if km <= query.radius_km + 1e-6}
    expected = sorted(distance.values())[query.skip : query.skip + query.limit]
    answer = replica.search(query)
    items = orjson.loads(answer.body)
    assert [item["distance_km"] for item in items] == pytest.approx(expected, abs=2e-6)
    assert [(item["distance_km"], item["id"]) for item in items] == sorted(
        (item["distance_km"], item["id"]) for item in items
    )
    assert len({item["id"] for item in items}) == len(items)
    for item in items:
        assert item["distance_km"] == pytest.approx(distance[item["id"]], abs=2e-6)
    assert answer.more == (query.skip + query.limit < len(distance))
    assert answer.total == (None if query.radius_km is None else len(distance))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    stations=catalogues(),
    origin=places,
    wanted=filters,
    radius_km=radii,
    skip=st.sampled_from((0, 0, 1, 20, 100_000)),
    limit=st.sampled_from((1, 5, 1000)),
    compiled=engines,
)
def test_nearest_equals_brute_force(
    stations: list[StoredStation],
    origin: tuple[float, float],
    wanted: dict[str, Any],
    radius_km: float | None,
    skip: int,
    limit: int,
    compiled: bool,
) -> None:
    longitude, latitude = origin
    query = StationQuery(
        longitude=longitude, latitude=latitude, radius_km=radius_km, skip=skip, limit=limit, **wanted
    )
    _check(_replica(stations, compiled), stations, query)


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(stations=catalogues(), wanted=filters, skip=st.sampled_from((0, 3)), limit=st.sampled_from((1, 1000)))
def test_a_list_without_position_is_by_id(
    stations: list[StoredStation], wanted: dict[str, Any], skip: int, limit: int
) -> None:
    query = StationQuery(skip=skip, limit=limit, **wanted)
    expected = [station.id for station in stations if _matches(station, query)]
    answer = _replica(stations, ENGINES[0]).search(query)
    assert [item["id"] for item in orjson.loads(answer.body)] == expected[skip : skip + limit]
    assert (answer.total, answer.more) == (len(expected), skip + limit < len(expected))


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(stations=catalogues(), data=st.data())
def test_a_changed_catalogue_is_searched_as_a_new_one(stations: list[StoredStation], data: st.DataObject) -> None:
    """Whatever is replaced, moved, added or removed, and whenever the index is rebuilt."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replica_module, "_MIN_UNINDEXED", data.draw(st.sampled_from((0, 5, 1000))))
        replica = _replica(stations, data.draw(engines))
        present = {station.id: station for station in stations}
        for place in data.draw(st.lists(places, max_size=20)):
            number = data.draw(st.integers(1, len(stations) + 3))
            if data.draw(st.booleans()):
                present[number] = _station(number, place, "Alpha", [(EvseStatus.AVAILABLE, [])])
                replica.put([present[number]])
            else:
                present.pop(number, None)
                replica.remove([number])
        assert len(replica) == len(present)
        _check(replica, list(present.values()), StationQuery(longitude=13.4, latitude=52.5, limit=1000))


@with_each_engine
def test_thousands_at_one_point_come_by_id(compiled: bool) -> None:
    stations = [stored(number, 13.4, 52.5, []) for number in range(5000, 0, -1)] + [stored(9000, 13.4, 52.6, [])]
    replica = _replica(stations, compiled)
    _check(replica, stations, StationQuery(longitude=13.4, latitude=52.5, skip=1990, limit=20))
    _check(replica, stations, StationQuery(longitude=13.4, latitude=52.5, skip=4995, limit=20))
    first = replica.search(StationQuery(longitude=-50, latitude=10, limit=3))
    assert [item["id"] for item in orjson.loads(first.body)] == [1, 2, 3]


@with_each_engine
def test_an_empty_catalogue_has_empty_answers(compiled: bool) -> None:
    replica = _replica([], compiled)
    for query in (
        StationQuery(),
        StationQuery(longitude=0, latitude=0),
        StationQuery(longitude=0, latitude=90, radius_km=20_000),
    ):
        answer = replica.search(query)
        assert (answer.body, answer.total or 0, answer.more) == (b"[]", 0, False)


@with_each_engine
def test_180_degrees_east_and_west_are_one_meridian(compiled: bool) -> None:
    replica = _replica([stored(1, 180.0, 0.0, []), stored(2, -180.0, 0.0, []), stored(3, 0.0, 0.0, [])], compiled)
    for box in ("-180,-20,-179,10", "179,-20,180,10", "179,-20,-179,10"):
        for position in ({}, {"latitude": 0, "longitude": 180}):
            answer = replica.search(StationQuery(bbox=box, **position))
            assert [item["id"] for item in orjson.loads(answer.body)] == [1, 2]


@with_each_engine
def test_connector_power_and_status_must_hold_on_one_evse(compiled: bool) -> None:
    apart = stored(
        1,
        0,
        0,
        [
            evse_state("1", EvseStatus.CHARGING, (ConnectorType.CCS2, 150)),
            evse_state("2", EvseStatus.AVAILABLE, (ConnectorType.TYPE2, 22)),
        ],
    )
    together = stored(2, 0, 1, [evse_state("1", EvseStatus.AVAILABLE, (ConnectorType.CCS2, 150))])
    query = StationQuery(
        longitude=0,
        latitude=0,
        connector=[ConnectorType.CCS2],
        min_power_kw=50,
        status=StationStatus.AVAILABLE,
    )
    answer = _replica([apart, together], compiled).search(query)
    assert [item["id"] for item in orjson.loads(answer.body)] == [2]


@pytest.mark.skipif(not HAS_KERNEL, reason="the search kernel is not built")
def test_both_engines_agree_on_thousands() -> None:
    random = Random(7)  # noqa: S311 - not for secrets
    centres = [(random.uniform(-180, 180), random.uniform(-90, 90)) for _ in range(30)] + [(180.0, 0.0), (0.0, 90.0)]

    def place() -> tuple[float, float]:
        longitude, latitude = random.choice(centres)
        east = (longitude + random.gauss(0, 0.5) + 180) % 360 - 180
        return east, min(90.0, max(-90.0, latitude + random.gauss(0, 0.5)))

    def equipment() -> list[tuple[EvseStatus, Any]]:
        return [(random.choice(list(EvseStatus)), [(random.choice(TYPES), random.choice(POWERS))])]

    stations = [_station(n, place(), random.choice(("Alpha", "Beta")), equipment()) for n in range(1, 5_001)]
    arrays, compiled = _replica(stations, False), _replica(stations, True)
    for _ in range(300):
        longitude, latitude = place()
        asked = {
            "radius_km": random.choice((None, 1.0, 100.0, 20_000.0)),
            "connector": random.choice(([], [ConnectorType.CCS2])),
            "status": random.choice((None, StationStatus.AVAILABLE)),
            "limit": random.choice((1, 20, 1000)),
            "skip": random.choice((0, 0, 30)),
        }
        query = StationQuery(longitude=longitude, latitude=latitude, **asked)
        one, other = arrays.search(query), compiled.search(query)
        assert (one.total, one.more, one.version) == (other.total, other.more, other.version)
        assert orjson.loads(one.body) == orjson.loads(other.body)


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler (cc) to build the kernel with")
def test_where_there_is_a_compiler_the_search_is_compiled() -> None:
    assert HAS_KERNEL
