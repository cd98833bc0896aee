"""AFDC stations: the CSV and the JSON form."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import SourceFormatError
from app.sources.afdc import FACTS, parse
from app.sources.afdc.adapter import CSV_COLUMNS
from app.sources.records import Outcome, Parsed, Position, Rejection, Skip
from app.stations.model import Connector, StationCreate
from app.stations.vocabulary import Access, ConnectorType, EvseStatus, PowerType

DATA = Path(__file__).parents[2] / "data" / "afdc"

STATION: dict[str, Any] = {
    "id": 7,
    "fuel_type_code": "ELEC",
    "status_code": "E",
    "station_name": "City Hall",
    "latitude": 47.5,
    "longitude": -122.25,
    "country": "US",
    "access_code": "public",
    "ev_network": "ChargePoint Network",
    "ev_connector_types": ["J1772"],
    "ev_level2_evse_num": 1,
}


def outcomes(*records: object) -> list[Outcome]:
    return list(parse(io.BytesIO(json.dumps({"total_results": len(records), "fuel_stations": records}).encode())))


def csv_outcomes(*records: dict[str, Any]) -> list[Outcome]:
    file = io.StringIO()
    writer = csv.DictWriter(file, CSV_COLUMNS.values())
    writer.writeheader()
    for record in records:
        cells = {name: " ".join(cell) if isinstance(cell, list) else cell for name, cell in record.items()}
        writer.writerow({CSV_COLUMNS[name]: cell for name, cell in cells.items()})
    return list(parse(io.BytesIO(file.getvalue().encode())))


def parsed(**changes: object) -> Parsed:
    (outcome,) = outcomes(STATION | changes)
    assert isinstance(outcome, Parsed), outcome
    return outcome


def rejected(**changes: object) -> Rejection:
    (outcome,) = outcomes(STATION | changes)
    assert isinstance(outcome, Rejection), outcome
    return outcome


def plugs(station: StationCreate) -> dict[str, list[str]]:
    return {evse.uid: [connector.type.value for connector in evse.connectors] for evse in station.evses}


def stations(found: Iterable[Outcome]) -> list[StationCreate]:
    return [outcome.station for outcome in found if isinstance(outcome, Parsed)]


@pytest.mark.parametrize("name", ["stations.csv", "stations.json"])
def test_both_forms_give_the_same_outcomes(name: str) -> None:
    with (DATA / name).open("rb") as file:
        library, hotel, depot, e85, nowhere = parse(file)
    assert isinstance(library, Parsed)
    assert library.notes == ()
    assert library.station.model_dump(exclude_none=True, exclude={"evses"}) == {
        "source": "afdc",
        "external_id": "1001",
        "title": "Library Garage",
        "operator": "ChargePoint Network",
        "address": "12 Main St",
        "city": "Springfield",
        "postal_code": "98001",
        "country": "US",
        "longitude": -122.25,
        "latitude": 47.5,
        "access": Access.PUBLIC,
        "opening_hours": "24/7",
        "price": "$0.25 per kWh",
    }
    assert plugs(library.station) == {"l2-1": ["type1"], "l2-2": ["type1"], "dc-1": ["chademo", "ccs1"]}
    assert isinstance(hotel, Parsed)
    assert (hotel.station.title, hotel.station.country, hotel.station.postal_code) == (
        "Hôtel du Fleuve",
        "CA",
        "G1K 3X2",
    )
    assert (hotel.station.access, hotel.station.opening_hours) == (Access.RESTRICTED, "Guests only; 8am-10pm")
    assert {evse.status for evse in hotel.station.evses} == {EvseStatus.INOPERATIVE}
    assert plugs(hotel.station) == {"l2-1": ["type1", "nacs"], "l2-2": ["type1", "nacs"]}
    assert isinstance(depot, Parsed)
    assert (depot.station.access, depot.station.operator) == (Access.PRIVATE, None)
    assert {evse.status for evse in depot.station.evses} == {EvseStatus.PLANNED}
    assert plugs(depot.station) == {"l1-1": ["type1", "domestic"], "l2-1": ["type1"]}
    assert isinstance(e85, Skip)
    assert (e85.reason, e85.gone_id) == ("fuel E85", None)
    assert isinstance(nowhere, Rejection)
    assert (nowhere.field.casefold(), nowhere.reason, nowhere.external_id) == ("longitude", "missing", "1005")


def test_stations_of_both_forms_are_equal() -> None:
    with (DATA / "stations.csv").open("rb") as as_csv, (DATA / "stations.json").open("rb") as as_json:
        assert stations(parse(as_csv)) == stations(parse(as_json))


def test_csv_rejections_name_the_column_and_the_line() -> None:
    first, second = csv_outcomes(STATION, STATION | {"latitude": "95"})
    assert isinstance(first, Parsed)
    assert first.position == Position(1, 2)
    assert isinstance(second, Rejection)
    assert (second.position, second.field, second.value) == (Position(2, 3), "Latitude", "95")


@pytest.mark.parametrize(("code", "status"), [("E", None), ("P", "PLANNED"), ("T", "INOPERATIVE"), ("", None)])
def test_status_code_is_the_state_of_every_evse(code: str, status: str | None) -> None:
    outcome = parsed(status_code=code, ev_level2_evse_num=3)
    assert [evse.status for evse in outcome.station.evses] == [status] * 3
    assert outcome.notes == ()


def test_an_unknown_status_code_is_noted() -> None:
    outcome = parsed(status_code="X")
    assert outcome.station.evses[0].status is None
    assert outcome.notes == ("status code X unknown",)


@pytest.mark.parametrize(
    ("changes", "access"),
    [
        ({"access_code": "public"}, Access.PUBLIC),
        ({"access_code": "private", "restricted_access": True}, Access.PRIVATE),
        ({"access_code": "public", "restricted_access": True}, Access.RESTRICTED),
        ({"access_code": "public", "restricted_access": False}, Access.PUBLIC),
        ({"access_code": "public", "access_detail_code": "KEY_ALWAYS"}, Access.PUBLIC),
        ({"access_code": "public", "access_detail_code": "FLEET"}, Access.RESTRICTED),
        ({"access_code": None, "groups_with_access_code": "Public - Card key at all times"}, Access.PUBLIC),
        ({"access_code": None, "groups_with_access_code": "PLANNED - not yet accessible (Private)"}, Access.PRIVATE),
        ({"access_code": None}, None),
    ],
)
def test_access(changes: dict[str, object], access: Access | None) -> None:
    assert parsed(**changes).station.access == access


@pytest.mark.parametrize(
    ("network", "operator"),
    [
        ("eVgo Network", "eVgo Network"),
        ("Non-Networked", None),
        ("NON_NETWORKED", None),
        ("non networked", None),
        ("", None),
    ],
)
def test_operator_is_the_network_if_there_is_one(network: str, operator: str | None) -> None:
    assert parsed(ev_network=network).station.operator == operator


@pytest.mark.parametrize(
    ("codes", "counts", "expected"),
    [
        (["NEMA520"], (1, 0, 0), {"l1-1": ["domestic"]}),
        (["NEMA1450"], (1, 0, 0), {"l1-1": ["domestic"]}),
        (["TESLA"], (0, 1, 0), {"l2-1": ["nacs"]}),
        (["J3400"], (0, 0, 1), {"dc-1": ["nacs"]}),
        (["J1772", "J1772COMBO", "TESLA"], (0, 1, 1), {"l2-1": ["type1"], "dc-1": ["ccs1", "nacs"]}),
        (["CHADEMO", "J1772", "J1772COMBO"], (0, 1, 1), {"l2-1": ["type1"], "dc-1": ["chademo", "ccs1"]}),
        (["J3271"], (0, 0, 2), {"dc-1": ["mcs"], "dc-2": ["mcs"]}),
    ],
)
def test_each_level_gets_the_connectors_that_occur_at_it(
    codes: list[str], counts: tuple[int, int, int], expected: dict[str, list[str]]
) -> None:
    level_1, level_2, dc = counts
    outcome = parsed(
        ev_connector_types=codes, ev_level1_evse_num=level_1, ev_level2_evse_num=level_2, ev_dc_fast_num=dc
    )
    assert plugs(outcome.station) == expected
    assert outcome.notes == ()


def test_nacs_at_a_tesla_destination_site_is_level_2() -> None:
    outcome = parsed(
        ev_network="Tesla Destination",
        ev_connector_types=["TESLA", "J1772COMBO"],
        ev_level2_evse_num=1,
        ev_dc_fast_num=1,
    )
    assert plugs(outcome.station) == {"l2-1": ["nacs"], "dc-1": ["ccs1"]}


def test_current_follows_the_level_and_power_is_unknown() -> None:
    station = parsed(ev_connector_types=["J1772", "CHADEMO"], ev_dc_fast_num=1).station
    assert [evse.connectors for evse in station.evses] == [
        (Connector(type=ConnectorType.TYPE1, current=PowerType.AC_1_PHASE),),
        (Connector(type=ConnectorType.CHADEMO, current=PowerType.DC),),
    ]


def test_what_is_unknown_or_missing_becomes_other_and_is_noted() -> None:
    unknown = parsed(ev_connector_types=["J1772", "J9999"])
    assert plugs(unknown.station) == {"l2-1": ["type1", "other"]}
    assert unknown.notes == ("connector code J9999 unknown, stored as other",)
    unfit = parsed(ev_connector_types=["J1772"], ev_level2_evse_num=None, ev_dc_fast_num=1)
    assert plugs(unfit.station) == {"dc-1": ["other"]}
    assert unfit.notes == ("no connector of level dc_fast listed, stored as other",)


def test_a_station_without_counts_has_no_evses() -> None:
    outcome = parsed(ev_level2_evse_num=None)
    assert (outcome.station.evses, outcome.notes) == ((), ("no EVSE counted",))


def test_counts_from_a_spreadsheet_and_negative_ones() -> None:
    assert len(parsed(ev_level2_evse_num="3.0").station.evses) == 3
    negative = parsed(ev_level1_evse_num=-2)
    assert (len(negative.station.evses), negative.notes) == (1, ("negative count read as none",))


@pytest.mark.parametrize("count", [501, 1e9, 2.5, "many", True])
def test_an_absurd_count_rejects_the_station(count: object) -> None:
    outcome = rejected(ev_dc_fast_num=count)
    assert (outcome.field, outcome.value, outcome.external_id) == ("ev_dc_fast_num", str(count), "7")
    assert outcome.reason in {"count_not_plausible", "not_a_number"}


def unit(level: str, port_count: int | None, **connectors: tuple[float | None, int]) -> dict[str, object]:
    """A charging unit as the API gives it, all connector types listed with their counts."""
    absent = {code: {"power_kw": None, "port_count": 0} for code in ("J1772", "TESLA", "CHADEMO", "J1772COMBO")}
    present = {code: {"power_kw": power_kw, "port_count": count} for code, (power_kw, count) in connectors.items()}
    return {"network": "FLO", "charging_level": level, "port_count": port_count, "connectors": absent | present}


def powers(station: StationCreate) -> dict[str, list[tuple[str, float | None]]]:
    return {evse.uid: [(each.type.value, each.power_kw) for each in evse.connectors] for evse in station.evses}


def test_charging_units_give_each_port_its_connectors_and_power() -> None:
    outcome = parsed(
        ev_connector_types=["J1772", "J1772COMBO", "CHADEMO"],
        ev_level2_evse_num=2,
        ev_dc_fast_num=3,
        ev_charging_units=[
            unit("dc_fast", 1, J1772COMBO=(350, 1), CHADEMO=(100, 1)),
            unit("2", 2, J1772=(6.5, 2)),
            unit("dc_fast", 2, J1772COMBO=(150, 1), CHADEMO=(50, 1)),
            unit("legacy", 1),
        ],
    )
    assert powers(outcome.station) == {
        "l2-1": [("type1", 6.5)],
        "l2-2": [("type1", 6.5)],
        "dc-1": [("ccs1", 150)],
        "dc-2": [("chademo", 50)],
        "dc-3": [("chademo", 100), ("ccs1", 350)],
    }
    assert outcome.notes == ()


def test_the_order_of_charging_units_does_not_matter() -> None:
    units = [
        unit("dc_fast", 1, TESLA=(250, 1)),
        unit("dc_fast", 1, TESLA=(150, 1)),
        unit("dc_fast", 1, CHADEMO=(50, 1)),
    ]
    changes = {"ev_connector_types": ["TESLA", "CHADEMO"], "ev_level2_evse_num": 0, "ev_dc_fast_num": 3}
    assert (
        parsed(**changes, ev_charging_units=units).station == parsed(**changes, ev_charging_units=units[::-1]).station
    )


def test_charging_units_that_do_not_add_up_are_not_used() -> None:
    outcome = parsed(ev_level2_evse_num=3, ev_charging_units=[unit("2", 2, J1772=(6.5, 2))])
    assert powers(outcome.station) == {f"l2-{n}": [("type1", None)] for n in (1, 2, 3)}
    assert outcome.notes == ("charging units do not add up to the EVSE count, their power is not stored",)


def test_a_unit_that_does_not_tell_its_connectors_has_those_of_the_station() -> None:
    outcome = parsed(ev_level2_evse_num=2, ev_charging_units=[unit("2", 1), unit("2", None, J1772=(7.2, 1))])
    assert powers(outcome.station) == {"l2-1": [("type1", None)], "l2-2": [("type1", 7.2)]}


@pytest.mark.parametrize("power_kw", [0, -5, 50_000, "fast"])
def test_an_implausible_power_is_noted_and_unknown(power_kw: float) -> None:
    outcome = parsed(ev_charging_units=[unit("2", 1, J1772=(power_kw, 1))])
    assert powers(outcome.station) == {"l2-1": [("type1", None)]}
    assert outcome.notes == ("power not plausible, not stored",)


@pytest.mark.parametrize("name", ["id", "fuel_type_code", "station_name", "latitude", "longitude"])
def test_a_station_needs_its_id_name_and_position(name: str) -> None:
    outcome = rejected(**{name: None})
    assert (outcome.field, outcome.reason) == (name, "missing")


def test_an_unknown_country_does_not_cost_the_station() -> None:
    outcome = parsed(country="Mexico")
    assert (outcome.station.country, outcome.notes) == (None, ("country Mexico unknown, not stored",))


def test_the_file_of_charging_ports_is_refused_with_advice() -> None:
    header = b"Fuel Type Code,Station Name,Latitude,Longitude,ID,EV J1772 Connector Count\n"
    with pytest.raises(SourceFormatError, match="charging ports"):
        list(parse(io.BytesIO(header)))


@pytest.mark.parametrize("content", [b"", b"Name,Lat,Lon\n1,2,3\n", b'{"fuel_stations": [{"id": 1'])
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(SourceFormatError):
        list(parse(io.BytesIO(content)))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["port_count", "J1772"]), inner),
    max_leaves=5,
)
ANY_UNIT = st.dictionaries(st.sampled_from(["connectors", "port_count"]), ANY_JSON).map(
    lambda unit: unit | {"charging_level": "2"}
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*CSV_COLUMNS]), ANY_JSON), st.lists(ANY_UNIT | ANY_JSON, max_size=3))
def test_no_content_of_a_record_ends_the_run(changes: dict[str, object], units: list[object]) -> None:
    found = outcomes(STATION | {"ev_charging_units": units} | changes, STATION)
    assert len(found) == 2
    assert isinstance(found[1], Parsed)


def test_new_york(real_data: Path) -> None:
    with (real_data / "afdc" / "new-york-2025-04.csv").open("rb") as file:
        found = list(parse(file))
    assert len(found) == 4_857
    assert Counter(outcome.reason for outcome in found if isinstance(outcome, Skip)) == {
        "fuel E85": 74, "fuel CNG": 23, "fuel LPG": 19, "fuel BD": 4, "fuel RD": 1,
    }  # fmt: skip
    kept = stations(found)
    assert len(kept) == len({station.external_id for station in kept}) == 4_736
    assert sum(len(station.evses) for station in kept) == 16_788
    assert [outcome.notes for outcome in found if isinstance(outcome, Parsed) and outcome.notes] == []


def test_washington(real_data: Path) -> None:
    with (real_data / "afdc" / "washington-2025-11.csv").open("rb") as file:
        found = list(parse(file))
    assert len(found) == len(stations(found)) == 2_963
    evses = [evse for station in stations(found) for evse in station.evses]
    assert Counter(evse.status for evse in evses) == {
        None: 8_281,
        EvseStatus.INOPERATIVE: 125,
        EvseStatus.PLANNED: 45,
    }
    assert Counter(evse.uid.split("-")[0] for evse in evses) == {"l1": 134, "l2": 6_425, "dc": 1_892}
    assert Counter(station.access for station in stations(found)) == {
        Access.PUBLIC: 2_765, Access.RESTRICTED: 45, Access.PRIVATE: 153,
    }  # fmt: skip
    assert [outcome.notes for outcome in found if isinstance(outcome, Parsed) and outcome.notes] == [
        ("no EVSE counted",)
    ]


def test_facts_name_the_source() -> None:
    assert (FACTS.name, FACTS.record_noun) == ("afdc", "stations")


def test_units_that_add_up_to_too_many_ports_are_refused_at_once() -> None:
    unit = {"charging_level": "2", "port_count": 500, "connectors": {"J1772": {"port_count": 500}}}
    record = {
        "id": 1, "fuel_type_code": "ELEC", "station_name": "x", "latitude": 47.6, "longitude": -122.3,
        "ev_charging_units": [unit] * 50,
    }  # fmt: skip
    (outcome,) = parse(io.BytesIO(json.dumps([record]).encode()))
    assert isinstance(outcome, Rejection)
    assert (outcome.field, outcome.reason) == ("ev_charging_units", "count_not_plausible")
