"""The search against a brute force that shares none of its code, in easy and in hard places."""

import math
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.v1 import render
from app.errors import TooDearError
from app.replica import Replica, limits
from app.replica.replica import HAS_KERNEL
from app.replica.slots import Fragment
from app.replica.states import instant, microseconds
from app.stations.model import EvseObservation, EvseState, StoredStation
from app.stations.query import StationQuery
from app.stations.status import in_station_words, station_status
from app.stations.vocabulary import ConnectorType, EvseStatus, StationStatus
from tests.make import evse_state, stored

EXAMPLES = int(os.environ.get("VOLTWAY_EXAMPLES", "150"))
HARD_LONGITUDES = (-180.0, -179.9999, -1e-9, 0.0, 1e-9, 90.0, 179.9999, 180.0)
HARD_LATITUDES = (-90.0, -89.9999, -1e-9, 0.0, 1e-9, 45.0, 89.9999, 90.0)
TYPES = (ConnectorType.CCS2, ConnectorType.TYPE2, ConnectorType.MCS, ConnectorType.THREE_PHASE, ConnectorType.OTHER)
POWERS = (None, 11.0, 22.0, 50.0, 149.999, 150.0)

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
    stated = [evse_state(str(n), status, *connectors) for n, (status, connectors) in enumerate(equipment)]
    states = [replace(evse, stated_status=evse.status) for evse in stated]
    return stored(number, *place, states, operator=operator, country="DE" if number % 2 else "FR")


def _replica(stations: list[StoredStation], compiled: bool) -> Replica:
    replica = Replica(lambda station: Fragment(b'{"id":%d' % station.id, b""), compiled)
    for start in range(0, len(stations), 7):
        replica.put(stations[start : start + 7])
        if start % 5 == 0:
            replica.rebuild()
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


@settings(max_examples=EXAMPLES // 15, deadline=None)
@given(seed=st.integers(0), compiled=engines)
def test_whoever_is_within_a_radius_is_counted_also_when_some_are_gone(seed: int, compiled: bool) -> None:
    """Of so many stations that whole parts of the tree are counted without a look at each."""
    random = Random(seed)  # noqa: S311 - not for secrets

    def some(number: int) -> StoredStation:
        place = (13.4, 52.5) if random.random() < 0.1 else (random.gauss(13.4, 0.3), random.gauss(52.5, 0.2))
        return stored(number, *place, [])

    present = {number: some(number) for number in range(1, 1_001)}
    replica = Replica(lambda station: Fragment(b'{"id":%d' % station.id, b""), compiled)
    replica.put(list(present.values()))
    replica.rebuild()
    for _ in range(3):
        moved = [some(number) for number in random.sample(range(1, 1_050), 30)]
        replica.put(moved)
        present |= {station.id: station for station in moved}
        gone = random.sample(sorted(present), 30)
        replica.remove(gone)
        for number in gone:
            del present[number]
        for radius_km in (0.001, 1, 5, 20, 60, 20_000):
            longitude, latitude = random.choice(((13.4, 52.5), (random.gauss(13.4, 0.3), random.gauss(52.5, 0.2))))
            query = StationQuery(longitude=longitude, latitude=latitude, radius_km=radius_km, limit=20)
            _check(replica, list(present.values()), query)


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


@settings(max_examples=EXAMPLES, deadline=None)
@given(stations=catalogues(), data=st.data())
def test_a_changed_catalogue_is_as_a_new_one(stations: list[StoredStation], data: st.DataObject) -> None:
    """Whatever is replaced, moved, added, removed or observed, and while the index is made anew."""
    engine = data.draw(engines)
    replica = Replica(render.summary, engine)
    replica.put(stations, _NOW)
    present = {station.id: station for station in stations}
    rebuild = None
    for place in data.draw(st.lists(places, max_size=25)):
        number = data.draw(st.integers(1, len(stations) + 3))
        match data.draw(st.sampled_from(("put", "remove", "observe", "observe", "begin", "work", "end"))):
            case "put":
                present[number] = _station(number, place, "Alpha", data.draw(evses))
                replica.put([present[number]], _NOW)
            case "remove":
                present.pop(number, None)
                replica.remove([number])
            case "observe":
                ids = data.draw(st.sets(st.integers(1, len(stations) + 3), max_size=4))
                seen = [_observation(each, str(uid), data) for each in ids for uid in data.draw(st.sets(_UIDS))]
                whole = {each for each in ids if data.draw(st.booleans())}
                replica.observe(seen, _NOW, whole)
                present |= {each: _observed(present[each], seen, each in whole) for each in ids if each in present}
            case "begin" if rebuild is None:
                rebuild = replica.begin_rebuild()
            case "work" if rebuild is not None:
                rebuild.work(_NOW)
            case "end" if rebuild is not None:
                rebuild.work(_NOW)
                replica.end_rebuild(rebuild)
                rebuild = None
    new = Replica(render.summary, not engine and HAS_KERNEL)
    new.put(list(present.values()), _NOW)
    new.rebuild(_NOW)
    assert len(replica) == len(present)
    for asked in ({}, {"longitude": 13.4, "latitude": 52.5}, {"bbox": "13,52,14,53"}, {"status": "available"}):
        query = StationQuery(limit=1000, **asked)
        one, other = replica.search(query), new.search(query)
        assert (orjson.loads(one.body), one.version) == (orjson.loads(other.body), other.version)
        if query.longitude is not None:
            _check(replica, list(present.values()), query)


_NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
_UIDS = st.integers(0, 5)


def _observation(station_id: int, uid: str, data: st.DataObject) -> EvseObservation:
    expiries = st.sampled_from((None, _NOW, _NOW + timedelta(hours=1), _NOW - timedelta(hours=1)))
    observed_at = data.draw(st.datetimes(timezones=st.just(UTC)))
    until = data.draw(expiries)
    status = data.draw(st.sampled_from((*EvseStatus, None)))
    expires_us = None if until is None else microseconds(until)
    return EvseObservation(station_id, uid, status, microseconds(observed_at), expires_us)


def _observed(station: StoredStation, seen: list[EvseObservation], whole: bool) -> StoredStation:
    newest = {(each.station_id, each.evse_uid): each for each in seen}
    evses = []
    for evse in station.evses:
        of_evse = newest.get((station.id, evse.uid))
        stated = EvseStatus(evse.stated_status or EvseStatus.UNKNOWN)
        bare = replace(evse, status=stated, observed_at=None, expires_at=None, stale_since=None)
        if of_evse is None:
            evses.append(bare if whole else evse)
        elif of_evse.status is None:
            evses.append(bare)
        else:
            seen_at = instant(of_evse.observed_us)
            until = None if of_evse.expires_us is None else instant(of_evse.expires_us)
            if until is None or until > _NOW:
                evses.append(replace(bare, status=EvseStatus(of_evse.status), observed_at=seen_at, expires_at=until))
            else:
                evses.append(replace(bare, observed_at=seen_at, stale_since=until))
    return replace(station, evses=evses)


@with_each_engine
def test_what_would_hold_up_others_is_refused(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TEXTS", 50)
    monkeypatch.setattr(limits, "MAX_SKIP", 50)
    replica = _replica([stored(n, n / 100, 0, [], country="DE" if n % 2 else "FR") for n in range(1, 101)], compiled)
    position = {"longitude": 0, "latitude": 0}
    for where in ({}, position):
        for asked in ({"q": "nothing"}, {"skip": 51}):
            with pytest.raises(TooDearError, match=next(iter(asked))):
                replica.search(StationQuery(**where, **asked))
        assert replica.search(StationQuery(q="nothing", country="FR", **where)).body == b"[]"
        assert len(orjson.loads(replica.search(StationQuery(skip=50, **where)).body)) == 50
        assert replica.search(StationQuery(skip=100, **where)).body == b"[]"
    assert replica.search(StationQuery(skip=100, radius_km=500, **position)).total == 100


@with_each_engine
def test_of_very_many_within_a_radius_only_the_nearest_are_looked_at(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_COUNTED", 50)
    stations = [stored(n, n / 100, 0, [], country="DE" if n % 2 else "FR") for n in range(1, 101)]
    replica = _replica(stations, compiled)
    replica.rebuild()
    for radius_km, total in ((55.7, 50), (56.8, None), (20_000, None)):
        for skip in (0, 20, 45, 99, 100, 1000):
            asked = StationQuery(longitude=0, latitude=0, radius_km=radius_km, limit=10, skip=skip)
            answer = replica.search(asked)
            inside = range(1, (total or min(100, int(radius_km / 1.11))) + 1)
            assert [item["id"] for item in orjson.loads(answer.body)] == list(inside[skip : skip + 10])
            assert (answer.total, answer.more) == (total, skip + 10 < len(inside))
    of_half = StationQuery(longitude=0, latitude=0, radius_km=20_000, country="FR")
    assert replica.search(of_half).total == 50


@with_each_engine
def test_states_cease_to_hold_by_themselves(compiled: bool) -> None:
    replica = Replica(render.summary, compiled)
    stations = [_station(n, (0, n / 100), None, [(EvseStatus.UNKNOWN, [])]) for n in range(1, 101)]
    replica.put(stations, _NOW)
    replica.rebuild()
    for station in stations:
        until = _NOW + timedelta(minutes=station.id)
        replica.observe(
            [EvseObservation(station.id, "0", "AVAILABLE", microseconds(_NOW), microseconds(until))], _NOW
        )
    free = StationQuery(longitude=0, latitude=0, status=StationStatus.AVAILABLE, limit=1000)
    for minutes in (0, 1, 50, 99, 100):
        aged = replica.age(_NOW + timedelta(minutes=minutes))
        found = [item["id"] for item in orjson.loads(replica.search(free).body)]
        assert found == list(range(minutes + 1, 101))
        assert not set(aged) & set(found)


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
