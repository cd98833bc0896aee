"""The demo network's life, over hours that pass at once."""

from collections import Counter
from datetime import timedelta

from app.ingest.simulation import Simulation
from app.sources.demo import network
from app.stations.vocabulary import EvseStatus
from tests.make import NOW

STATES = {
    (number, evse.uid): status
    for number, demo in enumerate(network(), start=1)
    for evse, status in zip(demo.station.evses, demo.statuses, strict=True)
}


def test_something_happens_every_second_or_two() -> None:
    simulation = Simulation(STATES.items(), NOW)
    hours = 3
    counts = [len(simulation.changes(NOW + timedelta(seconds=n))) for n in range(hours * 3_600)]
    assert 0.5 < sum(counts) / len(counts) < 5
    assert max(counts) < 20


def test_states_follow_each_other_and_the_mixture_lasts() -> None:
    states = dict(STATES)
    simulation = Simulation(states.items(), NOW)
    last = NOW
    for hour in range(1, 13):
        for each in simulation.changes(NOW + timedelta(hours=hour)):
            place = each.station_id, each.evse_uid
            assert each.status is not states[place]
            assert last <= each.observed_at <= NOW + timedelta(hours=hour)
            states[place], last = each.status, each.observed_at
    before, after = Counter(STATES.values()), Counter(states.values())
    assert after[EvseStatus.UNKNOWN] == before[EvseStatus.UNKNOWN]
    assert 0.4 < after[EvseStatus.AVAILABLE] / len(states) < 0.8
    assert 0.1 < after[EvseStatus.CHARGING] / len(states) < 0.4
    assert after[EvseStatus.OUTOFORDER] / len(states) < 0.1


def test_it_is_the_same_every_time() -> None:
    one, other = (Simulation(STATES.items(), NOW).changes(NOW + timedelta(hours=1)) for _ in range(2))
    assert one == other != []
