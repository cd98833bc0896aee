"""The demo network is sound, the same every time, and says that it is made up."""

from app.ingest.coordinates import check_coordinates
from app.sources.demo import FACTS, network
from app.sources.demo.cities import CITIES
from app.stations.status import station_status
from app.stations.vocabulary import StationStatus


def test_it_is_deterministic_and_large_enough() -> None:
    stations = list(network())
    assert stations == list(network())
    assert len(stations) == 2_000
    assert len(CITIES) == len({demo.station.city for demo in stations}) == 40
    assert len({demo.station.external_id for demo in stations}) == 2_000


def test_it_is_labelled_as_sample_data() -> None:
    for demo in network():
        assert demo.station.source == FACTS.name == "demo"
        assert demo.station.title.startswith("[Sample] ")
        assert demo.station.operator is not None
        assert demo.station.operator.endswith("(sample)")
    assert "do not exist" in FACTS.attribution


def test_its_places_and_states_are_plausible() -> None:
    seen = set()
    for demo in network():
        station = demo.station
        assert check_coordinates(station.longitude, station.latitude, station.country) is None
        assert len(demo.statuses) == len(station.evses) >= 1
        assert all(evse.connectors for evse in station.evses)
        seen.add(station_status(demo.statuses))
    assert seen == set(StationStatus)
