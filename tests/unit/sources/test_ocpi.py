"""The OCPI adapter: locations in, stations and what was seen of their EVSEs out."""

import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SourceFormatError
from app.sources.ocpi import parse
from app.sources.records import Outcome, Parsed, Position, Rejection, Seen, Skip
from app.stations.model import Connector
from app.stations.vocabulary import ConnectorFormat, ConnectorType, EvseStatus, PowerType
from tests.conftest import DATA
from tests.unit.sources.mutations import mutated

LOCATIONS = DATA / "ocpi" / "locations.json"
NOON = "2026-06-01T12:00:00Z"
AT_NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def outcomes_of(path: Path) -> list[Outcome]:
    with path.open("rb") as file:
        return list(parse(file))


def read(document: object) -> list[Outcome]:
    return list(parse(io.BytesIO(json.dumps(document).encode())))


def parsed(record: object) -> Parsed:
    (outcome,) = read([record])
    assert isinstance(outcome, Parsed), outcome
    return outcome


def refused(record: object) -> Rejection:
    (outcome,) = read([record])
    assert isinstance(outcome, Rejection), outcome
    return outcome


def location(*evses: object, **members: Any) -> dict[str, Any]:
    """One with as little as may be."""
    where = {"latitude": "52.5", "longitude": "13.25"}
    return {"id": "L", "name": "Site", "coordinates": where, "evses": list(evses), "last_updated": NOON} | members


def evse(*connectors: object, **members: Any) -> dict[str, Any]:
    return {"uid": "1", "evse_id": "DE*ABC*E1", "connectors": list(connectors)} | members


def connector(**members: Any) -> tuple[Connector, tuple[str, ...]]:
    """What becomes of a Type 2 connector, and the notes."""
    found = parsed(location(evse({"standard": "IEC_62196_T2"} | members)))
    ((only,),) = [each.connectors for each in found.station.evses]
    return only, found.notes


# --- what a location becomes


def test_a_location_becomes_a_station() -> None:
    first = outcomes_of(LOCATIONS)[0]
    assert isinstance(first, Parsed)
    assert first.station.model_dump(exclude_none=True) == {
        "source": "ocpi",
        "external_id": "NL*ALL*LOC1",
        "title": "Harbour car park",
        "operator": "Example Energy",
        "address": "Quay Street 1",
        "city": "Exampleton",
        "postal_code": "1234 AB",
        "country": "NL",
        "longitude": 5.25,
        "latitude": 52.125,
        "opening_hours": "Mo-Tu 07:00-18:00; Sa 09:00-24:00",
        "evses": (
            {
                "uid": "3256",
                "evse_id": "NL*ALL*E041503001",
                "connectors": (
                    {
                        "type": ConnectorType.CCS2,
                        "power_kw": 150.0,
                        "format": ConnectorFormat.CABLE,
                        "current": PowerType.DC,
                        "voltage_v": 1000,
                        "amperage_a": 400,
                    },
                    {
                        "type": ConnectorType.TYPE2,
                        "power_kw": 22.08,
                        "format": ConnectorFormat.SOCKET,
                        "current": PowerType.AC_3_PHASE,
                        "voltage_v": 230,
                        "amperage_a": 32,
                    },
                ),
            },
            {"uid": "3257", "evse_id": "NL*ALL*E041503002", "connectors": ()},
        ),
    }
    assert first.notes == ("power computed from voltage and amperage", "removed EVSE left out")


def test_states_are_told_with_the_time_of_their_evse() -> None:
    first = outcomes_of(LOCATIONS)[0]
    assert isinstance(first, Parsed)
    assert first.seen == (
        Seen("3256", EvseStatus.AVAILABLE, datetime(2026, 6, 1, 9, 58, tzinfo=UTC)),
        Seen("3257", EvseStatus.OUTOFORDER, datetime(2026, 5, 30, 6, tzinfo=UTC)),
    )


def test_every_location_is_accounted_for() -> None:
    outcomes = outcomes_of(LOCATIONS)
    assert [(type(outcome).__name__, outcome.position.record) for outcome in outcomes] == [
        ("Parsed", 1), ("Skip", 2), ("Skip", 3), ("Rejection", 4), ("Rejection", 5), ("Rejection", 6),
    ]  # fmt: skip
    assert [(skip.reason, skip.gone_id) for skip in outcomes if isinstance(skip, Skip)] == [
        ("not to be published", "NL*ALL*HOME"),
        ("every EVSE removed", "GONE"),
    ]
    assert [(r.field, r.reason, r.external_id) for r in outcomes if isinstance(r, Rejection)] == [
        ("coordinates.longitude", "missing", "NOWHERE"),
        ("id", "missing", None),
        ("record", "not_an_object", None),
    ]


# --- the forms it comes in


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda locations: locations,
        lambda locations: {"data": locations},
        lambda locations: {"data": locations, "status_code": 1000, "timestamp": NOON},
        lambda locations: {"status_code": "1000", "status_message": "Success", "data": locations},
    ],
    ids=["bare list", "data alone", "envelope", "envelope that begins with the status"],
)
def test_every_form_of_an_answer_gives_the_same(wrapped: Any) -> None:
    locations = json.loads(LOCATIONS.read_text())["data"]
    assert read(wrapped(locations)) == outcomes_of(LOCATIONS)


def test_a_single_location_is_read_bare_and_enveloped() -> None:
    assert read(location()) == read({"data": location(), "status_code": 1000}) == read([location()])


@pytest.mark.parametrize("data", [None, []])
def test_an_answer_without_locations_is_no_error(data: object) -> None:
    assert read({"data": data, "status_code": 1000, "timestamp": NOON}) == []


def test_an_answer_without_data_is_no_error() -> None:
    assert read({"status_code": 1000, "timestamp": NOON}) == []


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 2001, "status_message": "Invalid token", "timestamp": NOON},
        {"status_message": "Invalid token", "status_code": "2001", "data": []},
        {"data": [], "status_code": 2001, "status_message": "Invalid token"},
        {"data": "none", "status_code": 2001, "status_message": "Invalid token"},
        {"data": [location()], "status_code": 2001, "status_message": "Invalid token"},
    ],
    ids=["no data", "empty list", "status behind", "data is text", "status behind a location"],
)
def test_an_error_of_the_server_is_named(answer: object) -> None:
    with pytest.raises(SourceFormatError, match=r"status_code 2001: Invalid token\.$"):
        read(answer)


def test_what_is_no_location_in_an_envelope_is_rejected() -> None:
    (outcome,) = read({"data": "oops", "status_code": 1000})
    assert isinstance(outcome, Rejection)
    assert (outcome.reason, outcome.value) == ("not_an_object", '"oops"')


@pytest.mark.parametrize(
    ("members", "external_id"),
    [
        ({}, "L"),
        ({"id": 17}, "17"),
        ({"country_code": "NL", "party_id": "ALL"}, "NL*ALL*L"),
        ({"country_code": "NL", "party_id": None}, "L"),
        ({"party_id": "ALL"}, "L"),
    ],
)
def test_the_party_is_part_of_the_id_where_it_is_named(members: dict[str, Any], external_id: str) -> None:
    assert parsed(location(**members)).station.external_id == external_id


# --- live states


@pytest.mark.parametrize("status", ["AVAILABLE", "BLOCKED", "CHARGING", "RESERVED", "UNKNOWN"])
def test_a_live_state_is_seen_and_not_part_of_the_station(status: str) -> None:
    found = parsed(location(evse(status=status, last_updated=NOON)))
    assert found.seen == (Seen("1", EvseStatus(status), AT_NOON),)
    assert found.station.evses[0].status is None


@pytest.mark.parametrize("status", [EvseStatus.INOPERATIVE, EvseStatus.OUTOFORDER, EvseStatus.PLANNED])
def test_a_lasting_state_is_seen_if_its_time_is_known_else_stated(status: EvseStatus) -> None:
    dated = parsed(location(evse(status=status.value, last_updated=NOON)))
    undated = parsed(location(evse(status=status.value), last_updated=None))
    assert (dated.seen, dated.station.evses[0].status) == ((Seen("1", status, AT_NOON),), None)
    assert (undated.seen, undated.station.evses[0].status) == ((), status)


def test_a_live_state_of_unknown_age_is_not_used() -> None:
    found = parsed(location(evse(status="AVAILABLE"), last_updated=None))
    assert (found.seen, found.station.evses[0].status) == ((), None)
    assert found.notes == ("status without a time, stored only if it lasts",)


def test_the_location_s_time_stands_in_for_the_evse_s() -> None:
    found = parsed(location(evse(status="CHARGING", last_updated="soon")))
    assert found.seen == (Seen("1", EvseStatus.CHARGING, AT_NOON),)
    assert found.notes == ("last_updated is no time of our century, not used",)


@pytest.mark.parametrize(
    ("written", "notes"),
    [
        ("2026-06-01T12:00:00Z", ()),
        ("2026-06-01T12:00:00.000Z", ()),
        ("2026-06-01T14:00:00+02:00", ()),
        ("2026-06-01T12:00:00", ("last_updated without a zone, read as UTC",)),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(written: str, notes: tuple[str, ...]) -> None:
    found = parsed(location(evse(status="CHARGING", last_updated=written)))
    assert (found.seen, found.notes) == ((Seen("1", EvseStatus.CHARGING, AT_NOON),), notes)


def test_a_time_in_the_future_is_left_as_it_is() -> None:
    found = parsed(location(evse(status="CHARGING", last_updated="2091-01-01T00:00:00Z")))
    assert found.seen[0].observed_at == datetime(2091, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 1764000000, True, {}, "24h"])
def test_what_is_no_time_of_our_century_is_not_used(written: object) -> None:
    found = parsed(location(evse(status="CHARGING", last_updated=written), last_updated=None))
    assert found.seen == ()
    assert "last_updated is no time of our century, not used" in found.notes


@pytest.mark.parametrize(
    ("written", "status", "notes"),
    [
        ("CHARGING ", EvseStatus.CHARGING, ("status 'CHARGING ' read as CHARGING",)),
        ("Out_Of_Order", EvseStatus.OUTOFORDER, ("status 'Out_Of_Order' read as OUTOFORDER",)),
        ("DANCING", EvseStatus.UNKNOWN, ("status 'DANCING' unknown",)),
    ],
)
def test_states_are_read_leniently(written: str, status: EvseStatus, notes: tuple[str, ...]) -> None:
    found = parsed(location(evse(status=written, last_updated=NOON)))
    assert (found.seen, found.notes) == ((Seen("1", status, AT_NOON),), notes)


def test_an_evse_without_a_state_tells_nothing() -> None:
    found = parsed(location(evse(last_updated=NOON)))
    assert (found.seen, found.notes, found.station.evses[0].status) == ((), (), None)


# --- EVSEs


def test_an_evse_without_uid_goes_by_its_evse_id() -> None:
    found = parsed(location(evse(uid=None, status="CHARGING")))
    assert (found.station.evses[0].uid, found.seen[0].evse_uid) == ("DE*ABC*E1", "DE*ABC*E1")
    assert found.notes == ("uid missing, evse_id in its place",)


def test_an_evse_that_cannot_be_named_is_left_out() -> None:
    found = parsed(location(evse(uid="", evse_id=None), evse(uid="2")))
    assert [each.uid for each in found.station.evses] == ["2"]
    assert found.notes == ("EVSE without uid and evse_id left out",)


def test_of_two_evses_with_one_uid_the_first_counts() -> None:
    found = parsed(location(evse(status="CHARGING"), evse(status="AVAILABLE", evse_id="DE*ABC*E2")))
    assert [each.evse_id for each in found.station.evses] == ["DE*ABC*E1"]
    assert found.seen == (Seen("1", EvseStatus.CHARGING, AT_NOON),)
    assert found.notes == ("EVSE with the uid of an earlier one left out",)


@pytest.mark.parametrize(
    "evse_id", ["DE*ABC*E840*6487", "NLFASE3100201", "fr-abc-e1-2", "PL-97453", "+49*810*000*438"]
)
def test_a_public_id_is_kept_as_given(evse_id: str) -> None:
    found = parsed(location(evse(evse_id=evse_id)))
    assert (found.station.evses[0].evse_id, found.notes) == (evse_id, ())


@pytest.mark.parametrize("evse_id", ["1", "1210", "Bay 3", "A-1"])
def test_a_number_on_the_device_is_no_public_id(evse_id: str) -> None:
    found = parsed(location(evse(evse_id=evse_id)))
    assert (found.station.evses[0].evse_id, found.notes) == (None, ("evse_id that names no country left out",))


def test_an_evse_may_lack_a_public_id() -> None:
    found = parsed(location({"uid": "1", "connectors": []}))
    assert (found.station.evses[0].evse_id, found.notes) == (None, ("evse_id missing",))


def test_what_is_no_evse_costs_no_other() -> None:
    found = parsed(location("?", evse(connectors="?"), evse({"standard": "MCS"}, None, uid="2")))
    assert [len(each.connectors) for each in found.station.evses] == [0, 1]
    assert found.notes == (
        "EVSE that is no object left out",
        "connectors are no list, left out",
        "connector that is no object left out",
    )


@pytest.mark.parametrize(
    ("evses", "reason"),
    [({"uid": "1"}, "not_a_list"), ([evse(uid=str(n)) for n in range(2_001)], "count_not_plausible")],
)
def test_evses_that_cannot_be_are_refused(evses: object, reason: str) -> None:
    assert refused(location(evses=evses)).reason == reason


# --- connectors


@pytest.mark.parametrize(
    ("standard", "expected", "notes"),
    [
        ("CHADEMO", ConnectorType.CHADEMO, ()),
        ("GBT_DC", ConnectorType.GBT_DC, ()),
        ("CHAOJI", ConnectorType.CHAOJI, ()),
        ("DOMESTIC_E", ConnectorType.SCHUKO, ()),
        ("DOMESTIC_G", ConnectorType.DOMESTIC, ()),
        ("NEMA_14_50", ConnectorType.DOMESTIC, ()),
        ("IEC_60309_2_single_16", ConnectorType.CEE_BLUE, ()),
        ("SAE_J3400", ConnectorType.NACS, ()),
        ("MCS", ConnectorType.MCS, ()),
        ("TESLA_R", ConnectorType.OTHER, ()),
        ("GB/T (DC)", ConnectorType.GBT_DC, ("standard 'GB/T (DC)' read as GBT_DC",)),
        ("iec_62196_t2", ConnectorType.TYPE2, ("standard 'iec_62196_t2' read as IEC_62196_T2",)),
        ("Type 2", ConnectorType.TYPE2, ("standard 'Type 2' read as IEC_62196_T2",)),
        ("Inductive", ConnectorType.OTHER, ("standard 'Inductive' unknown",)),
        (None, ConnectorType.OTHER, ("standard missing, stored as other",)),
    ],
)
def test_standards_are_read_leniently(standard: object, expected: ConnectorType, notes: tuple[str, ...]) -> None:
    found, remarks = connector(standard=standard)
    assert (found.type, remarks) == (expected, notes)


COMPUTED = "power computed from voltage and amperage"
IN_KW = "max_electric_power below 1,000, taken for kW"


@pytest.mark.parametrize(
    ("members", "power_kw", "notes"),
    [
        ({"max_electric_power": 22_000}, 22, ()),
        ({"max_electric_power": "7400"}, 7.4, ()),
        ({"max_electric_power": 22}, 22, (IN_KW,)),
        ({"max_electric_power": 3.7}, 3.7, (IN_KW,)),
        ({"max_electric_power": None}, None, ()),
        ({"max_electric_power": 0}, None, ("max_electric_power of 0, left out",)),
        ({"max_electric_power": -5}, None, ("max_electric_power implausible, left out",)),
        ({"max_electric_power": "much"}, None, ("max_electric_power implausible, left out",)),
        ({"max_electric_power": 22_000_000}, None, ("max_electric_power implausible, left out",)),
        ({"voltage": 230, "amperage": 16, "power_type": "AC_1_PHASE"}, 3.68, (COMPUTED,)),
        ({"voltage": 230, "amperage": 32, "power_type": "AC_3_PHASE"}, 22.08, (COMPUTED,)),
        ({"max_voltage": 400, "max_amperage": 32, "power_type": "AC_3_PHASE"}, 22.17, (COMPUTED,)),
        ({"voltage": 230, "amperage": 16, "power_type": "AC_2_PHASE"}, 7.36, (COMPUTED,)),
        ({"voltage": 240, "amperage": 30, "power_type": "AC_2_PHASE_SPLIT"}, 7.2, (COMPUTED,)),
        ({"voltage": 400, "amperage": 125, "power_type": "DC"}, 50, (COMPUTED,)),
        ({"voltage": 400, "amperage": 125}, None, ()),
        ({"voltage": 9_000, "amperage": 9_000, "power_type": "DC"}, None,
         ("voltage and amperage give an implausible power, left out",)),
        ({"max_electric_power": 0, "max_voltage": 400, "max_amperage": 125, "power_type": "DC"}, 50,
         ("max_electric_power of 0, left out", COMPUTED)),
    ],
)  # fmt: skip
def test_power_is_stated_or_computed(members: dict[str, Any], power_kw: float | None, notes: tuple[str, ...]) -> None:
    found, remarks = connector(**members)
    assert found.power_kw == (None if power_kw is None else pytest.approx(power_kw, abs=0.001))
    assert remarks == notes


@pytest.mark.parametrize(
    ("written", "notes"),
    [("DC", ()), (None, ()), ("AC_3_PHASE", ("power_type AC of a DC connector, stored as DC",))],
)
def test_a_connector_made_for_direct_current_has_it(written: object, notes: tuple[str, ...]) -> None:
    found, remarks = connector(standard="CHADEMO", power_type=written)
    assert (found.current, remarks) == (PowerType.DC, notes)


def test_figures_that_cannot_be_are_left_out() -> None:
    found, remarks = connector(max_voltage=-1, max_amperage="many", format="WIRE", power_type="?")
    assert found == Connector(type=ConnectorType.TYPE2)
    assert sorted(remarks) == [
        "format 'WIRE' unknown",
        "max_amperage implausible, left out",
        "max_voltage implausible, left out",
        "power_type '?' unknown",
    ]


def test_connectors_beyond_reason_are_left_out() -> None:
    found = parsed(location(evse(*[{"standard": "MCS"}] * 60)))
    assert (len(found.station.evses[0].connectors), found.notes) == (50, ("connectors beyond 50 left out",))


# --- the place


@pytest.mark.parametrize(
    ("written", "country", "notes"),
    [
        ("DEU", "DE", ()),
        (None, None, ()),
        ("RU", "RU", ("country 'RU' read as RU",)),
        ("nld", "NL", ()),
        ("Polska", "PL", ("country 'Polska' read as PL",)),
        ("United Kingdom", "GB", ("country 'United Kingdom' read as GB",)),
        ("Atlantis", None, ("country 'Atlantis' unknown, left out",)),
    ],
)
def test_the_country_is_an_iso_code_or_left_out(written: object, country: str | None, notes: tuple[str, ...]) -> None:
    found = parsed(location(country=written, country_code="FR", party_id="ABC"))
    assert (found.station.country, found.notes) == (country, notes)


def test_coordinates_may_be_numbers() -> None:
    station = parsed(location(coordinates={"latitude": 40.579958, "longitude": -8.581911})).station
    assert (station.latitude, station.longitude) == (40.579958, -8.581911)


@pytest.mark.parametrize(
    ("coordinates", "field", "reason"),
    [
        (None, "coordinates.longitude", "missing"),
        ({"latitude": "52.5"}, "coordinates.longitude", "missing"),
        ({"latitude": "fifty", "longitude": "5"}, "coordinates.latitude", "not_a_number"),
        ({"latitude": "95", "longitude": "5"}, "coordinates.latitude", "coordinates_out_of_range"),
    ],
)
def test_a_location_needs_coordinates(coordinates: object, field: str, reason: str) -> None:
    found = refused(location(coordinates=coordinates))
    assert (found.field, found.reason, found.external_id) == (field, reason, "L")


@pytest.mark.parametrize(
    ("members", "title"),
    [({"name": "", "address": "High Street 1"}, "High Street 1"), ({"name": None}, "Location L")],
)
def test_a_location_without_a_name_is_named_after_its_address_or_id(members: dict[str, Any], title: str) -> None:
    found = parsed(location(**members))
    assert (found.station.title, found.notes) == (title, ("name missing, made from address or id",))


def test_a_postal_code_that_cannot_be_one_is_left_out() -> None:
    found = parsed(location(postal_code="please ask at the reception"))
    assert (found.station.postal_code, found.notes) == (None, ("postal_code too long, left out",))


def hours(*days: int, begin: str = "08:00", end: str = "20:00") -> dict[str, Any]:
    return {"regular_hours": [{"weekday": day, "period_begin": begin, "period_end": end} for day in days]}


@pytest.mark.parametrize(
    ("opening_times", "expected", "notes"),
    [
        ({"twentyfourseven": True}, "24/7", ()),
        (hours(1, 2, 3, 4, 5), "Mo-Fr 08:00-20:00", ()),
        (hours(7, begin="8:00"), "Su 08:00-20:00", ()),
        (hours(1, 2, 3, 4, 5, 6, 7, begin="00:00", end="23:59"), "24/7", ()),
        (hours(6, end="00:00"), "Sa 08:00-24:00", ()),
        (hours(6, begin="22:00", end="06:00"), "Sa 22:00-06:00", ()),
        (hours(8), None, ("regular_hours not understood, left out",)),
        (hours(1, end="late"), None, ("regular_hours not understood, left out",)),
        ({"regular_hours": ["always"]}, None, ("regular_hours not understood, left out",)),
        ({"regular_hours": []}, None, ()),
        ({"twentyfourseven": False}, None, ()),
        (None, None, ()),
        ({"twentyfourseven": True, "exceptional_closings": [{}]}, "24/7", ("exceptional opening times left out",)),
    ],
)
def test_opening_times_follow_openstreetmap(
    opening_times: object, expected: str | None, notes: tuple[str, ...]
) -> None:
    found = parsed(location(opening_times=opening_times))
    assert (found.station.opening_hours, found.notes) == (expected, notes)


@pytest.mark.parametrize("publish", [False, "false"])
def test_a_location_that_is_not_to_be_published_is_withdrawn(publish: object) -> None:
    (outcome,) = read([location(publish=publish)])
    assert outcome == Skip(Position(1), "not to be published", gone_id="L")


@pytest.mark.parametrize("publish", [True, None])
def test_a_location_is_published_unless_it_says_otherwise(publish: object) -> None:
    assert parsed(location(publish=publish)).station.external_id == "L"


# --- whatever comes

_WORDS = ["AVAILABLE", "REMOVED", "DC", "IEC_62196_T2", NOON, "NLD", "52.5", "DE*ABC*E1", "08:00"]


@given(mutated(json.loads(LOCATIONS.read_text()), _WORDS))
def test_no_document_ends_the_run_but_one_that_cannot_be_read(document: dict[str, Any]) -> None:
    try:
        outcomes = read(document)
    except SourceFormatError as error:
        assert "status_code" in str(error)  # noqa: PT017 - the one way for this document
        return
    locations = document["data"]
    count = len(locations) if isinstance(locations, list) else int(locations is not None)
    assert [outcome.position.record for outcome in outcomes] == list(range(1, count + 1))
    for outcome in outcomes:
        if isinstance(outcome, Parsed):
            assert {each.evse_uid for each in outcome.seen} <= {each.uid for each in outcome.station.evses}
            assert all(each.observed_at.tzinfo for each in outcome.seen)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_what_is_no_json_is_refused_as_such(content: bytes) -> None:
    try:
        outcomes = list(parse(io.BytesIO(content)))
    except SourceFormatError:
        return
    assert all(isinstance(outcome, Rejection) for outcome in outcomes)


def test_a_cut_off_answer_yields_what_came_before() -> None:
    outcomes = parse(io.BytesIO(LOCATIONS.read_bytes()[:-40]))
    assert isinstance(next(outcomes), Parsed)
    with pytest.raises(SourceFormatError, match="cut off"):
        list(outcomes)


# --- real files


def stations(outcomes: list[Outcome]) -> list[Parsed]:
    return [outcome for outcome in outcomes if isinstance(outcome, Parsed)]


def states(outcomes: list[Outcome]) -> Counter[str]:
    return Counter(seen.status.value for outcome in stations(outcomes) for seen in outcome.seen)


def notes(outcomes: list[Outcome]) -> Counter[str]:
    return Counter(note for outcome in stations(outcomes) for note in outcome.notes)


def evse_count(outcomes: list[Outcome]) -> int:
    return sum(len(outcome.station.evses) for outcome in stations(outcomes))


def test_malaysia_2025(real_data: Path) -> None:
    outcomes = outcomes_of(real_data / "ocpi" / "chargesini-2.2.json")
    assert (len(outcomes), len(stations(outcomes)), evse_count(outcomes)) == (448, 372, 1_144)
    skips = [outcome for outcome in outcomes if isinstance(outcome, Skip)]
    assert Counter(skip.reason for skip in skips) == {"not to be published": 76}
    assert states(outcomes) == {
        "AVAILABLE": 989, "CHARGING": 77, "INOPERATIVE": 53, "BLOCKED": 10, "OUTOFORDER": 9, "RESERVED": 3,
        "UNKNOWN": 3,
    }  # fmt: skip
    assert notes(outcomes) == {"standard 'GB/T (DC)' read as GBT_DC": 1}
    assert {found.station.opening_hours for found in stations(outcomes)} == {"24/7"}


def test_brazil_2025(real_data: Path) -> None:
    outcomes = outcomes_of(real_data / "ocpi" / "ezvolt-2.2.json")
    assert (len(outcomes), len(stations(outcomes)), evse_count(outcomes)) == (91, 91, 222)
    assert states(outcomes) == {"AVAILABLE": 144, "OUTOFORDER": 54, "CHARGING": 24}
    assert notes(outcomes) == {
        "evse_id that names no country left out": 222,
        "power_type AC of a DC connector, stored as DC": 70,
    }


def test_fastned_2019(real_data: Path) -> None:
    outcomes = outcomes_of(real_data / "ocpi" / "fastned-2.1.1.json")
    assert (len(outcomes), len(stations(outcomes)), evse_count(outcomes)) == (106, 106, 273)
    assert states(outcomes) == {"UNKNOWN": 252, "AVAILABLE": 20, "CHARGING": 1}
    assert notes(outcomes) == {COMPUTED: 655}
    assert Counter(found.station.country for found in stations(outcomes)) == {"NL": 91, "DE": 14, "GB": 1}
    powers = {
        each.power_kw for found in stations(outcomes) for evse in found.station.evses for each in evse.connectors
    }
    assert powers == {22.08, 37.95, 43.47, 44.85, 50, 120, 174.75}


@pytest.mark.parametrize("version", ["2.2.1", "2.3.0"])
def test_the_specification_s_own_examples(real_data: Path, version: str) -> None:
    found = {}
    for path in sorted((real_data / "ocpi" / f"spec-{version}").glob("location_example*.json")):
        (outcome,) = outcomes_of(path)
        found[path.stem.removeprefix("location_example")] = (
            len(outcome.seen) if isinstance(outcome, Parsed) else type(outcome).__name__
        )
    assert found == {
        "": 2,
        "_parking_garage_opening_hours": 1,
        "_uc2_destination_charger": 1,
        "_uc3_destination_charger_not_published": "Skip",
        "_uc4_limited_visibility": "Skip",
        "_uc5_home_charge_point": "Skip",
    }


def test_bad_records_of_other_feeds(real_data: Path) -> None:
    groups = json.loads((real_data / "oddities" / "ocpi-oddities.json").read_text())

    def outcomes(group: str) -> list[Outcome]:
        return read(groups[group]["records"])

    (poland,) = outcomes("ocpi_country_not_iso")
    assert isinstance(poland, Parsed)
    assert (poland.station.country, poland.station.external_id) == ("PL", "DQOW9LNYYH")
    assert Counter(poland.notes) == {
        "country 'Polska' read as PL": 1,
        "last_updated without a zone, read as UTC": 1,
        IN_KW: 2,
    }
    (portugal,) = outcomes("ocpi_no_country_float_coords")
    assert isinstance(portugal, Parsed)
    assert (portugal.station.country, portugal.station.longitude) == (None, -8.581911)
    assert portugal.notes == ("evse_id missing", COMPUTED)
    assert all(isinstance(outcome, Parsed) for outcome in outcomes("ocpi_zero_lat"))  # judged by the import
    assert all(isinstance(outcome, Parsed) for outcome in outcomes("ocpi_coords_outside_country"))
    assert all(isinstance(outcome, Skip) for outcome in outcomes("ocpi_no_evses"))
    for group, expected in (
        ("ocpi_nonstandard_standard", ConnectorType.CHAOJI),
        ("ocpi_odd_standard_name", ConnectorType.GBT_DC),
    ):
        found = parsed(location(evse(*groups[group]["records"])))
        assert {each.type for each in found.station.evses[0].connectors} == {expected}
