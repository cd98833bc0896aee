"""Counting what is free, against a count in plain Python."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.replica import Replica
from app.replica.availability import Availability
from app.replica.slots import Fragment
from app.stations.model import EvseState, StoredStation
from app.stations.query import Box
from app.stations.status import in_station_words, station_status
from app.stations.vocabulary import ConnectorType, EvseStatus
from tests.make import NOW, evse_state, stored

POWERS = {
    None: "unknown", 3.7: "under 7.4", 7.399: "under 7.4", 7.4: "7.4 to 22", 22.0: "7.4 to 22", 22.1: "22 to 50",
    49.9: "22 to 50", 50.0: "50 to 150", 150.0: "150 to 350", 349.9: "150 to 350", 350.0: "350 and over",
    1_000.0: "350 and over",
}  # fmt: skip
INSIDE, OUTSIDE = (5.0, 5.0), (50.0, 50.0)


@st.composite
def evses(draw: st.DrawFn) -> EvseState:
    kinds = st.tuples(st.sampled_from(list(ConnectorType)[:3]), st.sampled_from(list(POWERS)))
    evse = evse_state("1", draw(st.sampled_from(list(EvseStatus))), *draw(st.lists(kinds, max_size=3)))
    evse.observed_at = draw(st.none() | st.integers(0, 60).map(lambda minutes: NOW - timedelta(minutes=minutes)))
    if evse.observed_at and draw(st.booleans()):
        evse.stale_since = NOW
    return evse


@st.composite
def catalogues(draw: st.DrawFn) -> list[StoredStation]:
    made = draw(st.lists(st.tuples(st.sampled_from([INSIDE, OUTSIDE]), st.lists(evses(), max_size=3)), max_size=8))
    return [stored(number, *place, equipment) for number, (place, equipment) in enumerate(made, start=1)]


def _plain(stations: list[StoredStation]) -> tuple[Counter[str], Counter[tuple[str, str, str]], set[float]]:
    connectors: Counter[tuple[str, str, str]] = Counter()
    seen = set()
    for station in stations:
        for evse in station.evses:
            word = in_station_words(evse.status)
            for each in evse.connectors:
                connectors[each["type"], POWERS[each.get("power_kw")], word] += 1
                if evse.observed_at and not evse.stale_since:
                    seen.add(evse.observed_at.timestamp())
    return Counter(station_status(e.status for e in s.evses).value for s in stations), connectors, seen


def _found(availability: Availability) -> tuple[Counter[str], Counter[tuple[str, str, str]], set[float]]:
    """Of the times only the newest and the oldest of each group."""
    connectors: Counter[tuple[str, str, str]] = Counter()
    for group in availability.connectors:
        for status, count in group.by_status.items():
            connectors[group.type, group.power_class, status] += count
    times = {t for g in availability.connectors for t in (g.newest_seen_s, g.oldest_seen_s) if t is not None}
    return Counter({s.value: n for s, n in availability.stations.items()}), connectors, {float(t) for t in times}


def _assert_same(found: Availability, stations: list[StoredStation]) -> None:
    (statuses, connectors, times), (expected, expected_connectors, seen) = _found(found), _plain(stations)
    assert +statuses == expected
    assert +connectors == expected_connectors
    assert times <= seen
    assert (min(times, default=0), max(times, default=0)) == (min(seen, default=0), max(seen, default=0))


@given(catalogues())
def test_counts_are_those_of_a_plain_count(stations: list[StoredStation]) -> None:
    replica = Replica(lambda station: Fragment(b"{", b""))
    replica.put(stations)
    together, apart = replica.availability_of([*range(1, 100), 1])
    _assert_same(together, stations)
    assert list(apart) == [station.id for station in stations]
    for station in stations:
        _assert_same(apart[station.id], [station])
    inside = replica.availability_in(Box(0.0, 0.0, 10.0, 10.0), most=100)
    assert isinstance(inside, Availability)
    _assert_same(inside, [station for station in stations if station.longitude == INSIDE[0]])


@pytest.mark.parametrize("most", [0, 1])
def test_too_many_stations_are_only_counted(most: int) -> None:
    replica = Replica(lambda station: Fragment(b"{", b""))
    replica.put([stored(n, *INSIDE, []) for n in (1, 2)])
    assert replica.availability_in(Box(0.0, 0.0, 10.0, 10.0), most) == 2
