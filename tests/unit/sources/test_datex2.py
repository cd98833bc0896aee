"""The DATEX II adapter: a table in, stations out; a status publication in, observations out."""

import io
import json
from collections import Counter
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SourceFormatError
from app.sources.datex2 import parse
from app.sources.datex2.codes import CONNECTOR_TYPES, FORMATS
from app.sources.records import Observed, Outcome, Parsed, Position, Rejection, Skip
from app.stations.model import Connector
from app.stations.vocabulary import ConnectorFormat, ConnectorType, EvseStatus, PowerType
from tests.conftest import DATA
from tests.unit.sources.mutations import mutated

TABLE = DATA / "datex2" / "table.json"
STATUS = DATA / "datex2" / "status.json"
UNNAMED = "name missing, made from additional information, address or id"


def outcomes_of(path: Path) -> list[Outcome]:
    with path.open("rb") as file:
        return list(parse(file))


def read(document: object) -> list[Outcome]:
    return list(parse(io.BytesIO(json.dumps(document).encode())))


def words(text: str) -> dict[str, Any]:
    return {"values": [{"lang": "de", "value": text}]}


def table(*sites: object) -> dict[str, Any]:
    """As DATEX II 3.7 itself has it, without a profile."""
    tables = [{"idG": "T", "energyInfrastructureSite": list(sites)}]
    publication = {"publicationTime": "2026-06-01T00:00:00Z", "energyInfrastructureTable": tables}
    return {"payload": {"modelBaseVersionG": "3", "egiEnergyInfrastructureTablePublication": publication}}


def site(*points: object, **members: Any) -> dict[str, Any]:
    where = {"pointByCoordinates": {"pointCoordinates": {"latitude": 52.5, "longitude": 13.25}}}
    stations = [{"idG": "D", "refillPoint": [{"egiElectricChargingPoint": point} for point in points]}]
    return {
        "idG": "S",
        "name": words("Site"),
        "locationReference": {"locPointLocation": where},
        "energyInfrastructureStation": stations,
    } | members


def point(*connectors: object, **members: Any) -> dict[str, Any]:
    return {"idG": "DE*ABC*E1", "connector": list(connectors)} | members


def parsed(record: object) -> Parsed:
    (outcome,) = read(table(record))
    assert isinstance(outcome, Parsed), outcome
    return outcome


def connector(of_point: dict[str, Any] | None = None, **members: Any) -> tuple[Connector, tuple[str, ...]]:
    """What becomes of a Type 2 connector, and the notes."""
    found = parsed(site(point({"connectorType": {"value": "iec62196T2"}} | members, **(of_point or {}))))
    ((only,),) = [each.connectors for each in found.station.evses]
    return only, found.notes


def status(*states: object, time: object = "2026-06-01T12:00:00Z", **site_members: Any) -> dict[str, Any]:
    stations = [{"refillPointStatus": [{"aegiRefillPointStatus": state} for state in states]}]
    site_status = {"energyInfrastructureStationStatus": stations} | site_members
    publication = {"publicationTime": time, "energyInfrastructureSiteStatus": [site_status]}
    return {"payload": [{"aegiEnergyInfrastructureStatusPublication": publication}]}


def state(**members: Any) -> dict[str, Any]:
    return {"reference": {"idG": "DE*ABC*E1"}, "status": {"value": "charging"}} | members


# --- the table


def test_a_site_becomes_a_station() -> None:
    first = outcomes_of(TABLE)[0]
    assert isinstance(first, Parsed)
    assert (first.position, first.records, first.notes, first.seen) == (Position(1), 2, (), ())
    assert first.station.model_dump(exclude_none=True) == {
        "source": "datex2",
        "external_id": "S1",
        "title": "Hafen",
        "operator": "Beispielstrom",
        "address": "Kaistraße 1a",
        "city": "Musterstadt",
        "postal_code": "01067",
        "country": "DE",
        "longitude": 13.25,
        "latitude": 52.125,
        "opening_hours": "Mo-Tu 06:00-24:00",
        "evses": (
            {
                "uid": "DE*ABC*E1*1",
                "evse_id": "DE*ABC*E1*1",
                "connectors": (
                    {
                        "type": ConnectorType.CCS2,
                        "power_kw": 150.0,
                        "format": ConnectorFormat.CABLE,
                        "current": PowerType.DC,
                        "voltage_v": 1000,
                    },
                ),
            },
            {
                "uid": "DE*ABC*E2*1",
                "evse_id": "DE*ABC*E2*1",
                "connectors": (
                    {
                        "type": ConnectorType.TYPE2,
                        "power_kw": 22.0,
                        "format": ConnectorFormat.SOCKET,
                        "current": PowerType.AC_3_PHASE,
                        "voltage_v": 400,
                        "amperage_a": 32,
                    },
                    {"type": ConnectorType.SCHUKO, "power_kw": 3.7, "current": PowerType.AC_1_PHASE},
                ),
            },
        ),
    }


def test_every_refill_point_of_the_table_is_accounted_for() -> None:
    outcomes = outcomes_of(TABLE)
    assert [(type(each).__name__, each.position.record, each.records) for each in outcomes] == [
        ("Parsed", 1, 2),
        ("Rejection", 3, 1),
        ("Skip", 4, 1),
        ("Rejection", 5, 1),
    ]
    _, nowhere, hydrogen, number = outcomes
    assert isinstance(nowhere, Rejection)
    assert (nowhere.field, nowhere.reason, nowhere.external_id) == ("locationReference", "missing", "S2")
    assert isinstance(hydrogen, Skip)
    assert (hydrogen.reason, hydrogen.gone_id) == ("no electric charging point", None)
    assert isinstance(number, Rejection)
    assert number.reason == "not_an_object"


def test_prefixes_of_packages_and_profiles_do_not_matter() -> None:
    text = TABLE.read_text().replace("aegi", "egi").replace("afac", "fac").replace("AnOrg", "Org")
    plain = list(parse(io.BytesIO(text.replace("facOrganisation", "facOrganisationSpecification").encode())))
    assert plain == outcomes_of(TABLE)


def test_a_list_of_one_may_come_without_its_list() -> None:
    one = site(point({"connectorType": {"value": "mcs"}}))
    flat = deepcopy(one)
    flat["energyInfrastructureStation"] = flat["energyInfrastructureStation"][0]
    flat["energyInfrastructureStation"]["refillPoint"] = flat["energyInfrastructureStation"]["refillPoint"][0]
    document = table()
    document["payload"]["egiEnergyInfrastructureTablePublication"]["energyInfrastructureTable"] = {
        "energyInfrastructureSite": flat
    }
    assert read(document) == read(table(one))


@pytest.mark.parametrize(
    ("members", "title"),
    [
        ({"additionalInformation": [words("EDEKA, Siemensstraße 10")]}, "EDEKA, Siemensstraße 10"),
        ({"additionalInformation": [words("long " * 30)]}, "Site S"),
        ({}, "Site S"),
    ],
    ids=["additional information", "prose", "nothing"],
)
def test_a_site_without_a_name_is_named_after_what_is_known(members: dict[str, Any], title: str) -> None:
    found = parsed(site(**members, name=None))
    assert (found.station.title, found.notes) == (title, (UNNAMED,))


def test_a_site_lies_where_its_first_station_is_if_it_does_not_say() -> None:
    where = {"locPointLocation": {"coordinatesForDisplay": {"latitude": "48.5", "longitude": "9.5"}}}
    stations = [{"idG": "D1"}, {"idG": "D2", "locationReference": where, "operatingHours": {"facOpenAllHours": {}}}]
    found = parsed(site(locationReference=None, energyInfrastructureStation=stations))
    assert (found.station.longitude, found.station.latitude, found.station.opening_hours) == (9.5, 48.5, "24/7")
    assert found.records == 1


def test_refill_points_that_cannot_be_told_apart_are_left_out() -> None:
    found = parsed(site(point(), point(), point(idG=None), {}))
    assert [each.uid for each in found.station.evses] == ["DE*ABC*E1"]
    assert found.records == 4
    assert sorted(found.notes) == [
        "refill point with the idG of an earlier one left out",
        "refill point without idG left out",
        "refill point without idG left out",
    ]


def test_a_site_of_too_many_refill_points_is_refused() -> None:
    (outcome,) = read(table(site(*[point()] * 2_001)))
    assert isinstance(outcome, Rejection)
    assert (outcome.reason, outcome.records, outcome.external_id) == ("count_not_plausible", 2_001, "S")


@pytest.mark.parametrize(
    ("written", "expected", "notes"),
    [
        ({"value": "chademo"}, ConnectorType.CHADEMO, ()),
        ({"value": "teslaConnectorEurope"}, ConnectorType.TYPE2, ()),
        ({"value": "cee5"}, ConnectorType.CEE_RED, ()),
        ({"value": "extendedG", "extendedValueG": "mcs"}, ConnectorType.MCS, ()),
        ("iec62196T2COMBO", ConnectorType.CCS2, ()),
        ({"value": "IEC62196T2"}, ConnectorType.TYPE2, ("connectorType 'IEC62196T2' read as iec62196T2",)),
        ({"value": "extendedG"}, ConnectorType.OTHER, ("connectorType 'extendedG' unknown",)),
        (None, ConnectorType.OTHER, ("connectorType missing, stored as other",)),
    ],
)
def test_connector_types(written: object, expected: ConnectorType, notes: tuple[str, ...]) -> None:
    found, remarks = connector(connectorType=written)
    assert (found.type, remarks) == (expected, notes)


@pytest.mark.parametrize(
    ("members", "of_point", "power_kw", "notes"),
    [
        ({"maxPowerAtSocket": 11_000.0}, {}, 11, ()),
        ({"maxPowerAtSocket": 0}, {"availableChargingPower": [11_000, 22_000]}, 22, ()),
        ({}, {}, None, ()),
        ({"maxPowerAtSocket": "strong"}, {}, None, ("maxPowerAtSocket implausible, left out",)),
        ({"maxPowerAtSocket": 22e6}, {}, None, ("maxPowerAtSocket implausible, left out",)),
    ],
)
def test_power_is_that_of_the_socket_else_of_the_point(
    members: dict[str, Any], of_point: dict[str, Any], power_kw: float | None, notes: tuple[str, ...]
) -> None:
    found, remarks = connector(of_point, **members)
    assert (found.power_kw, remarks) == (power_kw, notes)


def test_figures_of_a_point_are_not_those_of_several_connectors() -> None:
    both = [{"connectorType": {"value": "iec62196T2"}}, {"connectorType": {"value": "chademo"}}]
    (evse,) = parsed(site(point(*both, availableChargingPower=[50_000], availableVoltage=[500]))).station.evses
    assert [(each.power_kw, each.voltage_v) for each in evse.connectors] == [(None, None)] * 2


@pytest.mark.parametrize(
    ("current", "mode", "expected"),
    [
        ("dc", None, PowerType.DC),
        ("ac", "mode3AC3p", PowerType.AC_3_PHASE),
        ("ac", "mode1AC1p", PowerType.AC_1_PHASE),
        ("ac", None, None),
        (None, None, None),
    ],
)
def test_current_follows_from_point_and_mode(current: object, mode: object, expected: PowerType | None) -> None:
    found, _ = connector({"currentType": {"value": current}, "chargingMode": {"value": mode}})
    assert found.current is expected


def hours(*periods: object) -> dict[str, Any]:
    return {"facOperatingHoursSpecification": {"overallPeriod": {"validPeriod": list(periods)}}}


def period(begin: str, end: str, *days: str) -> dict[str, Any]:
    week = [{"comDayWeekMonth": {"applicableDay": [{"value": day} for day in days]}}]
    times = [{"startTimeOfPeriod": begin, "endTimeOfPeriod": end}]
    return {"recurringTimePeriodOfDay": times} | ({"recurringDayWeekMonthPeriod": week} if days else {})


NOT_UNDERSTOOD = ("operating hours not understood, left out",)


@pytest.mark.parametrize(
    ("written", "expected", "notes"),
    [
        ({"facOpenAllHours": {}}, "24/7", ()),
        ({"facUnknownOperatingHours": {}}, None, ()),
        (None, None, ()),
        (hours(period("08:00:00+01:00", "21:15:00+01:00", "saturday")), "Sa 08:00-21:15", ()),
        (hours(period("08:00:00", "20:00:00")), "Mo-Su 08:00-20:00", ()),
        (hours(period("08:00", "20:00", "friday"), period("10:00", "12:00", "sunday")),
         "Fr 08:00-20:00; Su 10:00-12:00", ()),
        (hours({}), "24/7", ()),
        (hours(), None, ()),
        (hours(period("08:00", "late")), None, NOT_UNDERSTOOD),
        (hours(period("08:00", "20:00", "someday")), None, NOT_UNDERSTOOD),
        (hours({"startOfPeriod": "2026-06-01T00:00:00Z"}), None, NOT_UNDERSTOOD),
        (hours({"recurringDayWeekMonthPeriod": [{"comCalendarWeekWithinMonth": {}}]}), None, NOT_UNDERSTOOD),
    ],
)  # fmt: skip
def test_operating_hours_follow_openstreetmap(written: object, expected: str | None, notes: tuple[str, ...]) -> None:
    found = parsed(site(operatingHours=written))
    assert (found.station.opening_hours, found.notes) == (expected, notes)


# --- the status publication


def test_a_status_publication_becomes_observations() -> None:
    first, second, third = outcomes_of(STATUS)
    assert first == Observed(
        "DE*ABC*E1*1", EvseStatus.AVAILABLE, datetime(2026, 6, 1, 7, 58, tzinfo=UTC), Position(1)
    )
    assert second == Observed("DE*ABC*E2*1", EvseStatus.OUTOFORDER, datetime(2026, 6, 1, 8, tzinfo=UTC), Position(2))
    assert isinstance(third, Rejection)
    assert (third.position, third.field, third.reason) == (Position(3), "reference.idG", "missing")


def test_a_state_names_its_refill_point_as_the_table_does() -> None:
    evse_ids = {
        evse.evse_id
        for outcome in outcomes_of(TABLE)
        if isinstance(outcome, Parsed)
        for evse in outcome.station.evses
    }
    assert {outcome.evse_id for outcome in outcomes_of(STATUS) if isinstance(outcome, Observed)} == evse_ids


@pytest.mark.parametrize(
    ("written", "expected", "notes"),
    [
        ("available", EvseStatus.AVAILABLE, ()),
        ("blocked", EvseStatus.BLOCKED, ()),
        ("charging", EvseStatus.CHARGING, ()),
        ("occupied", EvseStatus.CHARGING, ()),
        ("faulted", EvseStatus.OUTOFORDER, ()),
        ("outOfOrder", EvseStatus.OUTOFORDER, ()),
        ("outOfStock", EvseStatus.INOPERATIVE, ()),
        ("inoperative", EvseStatus.INOPERATIVE, ()),
        ("unavailable", EvseStatus.INOPERATIVE, ()),
        ("planned", EvseStatus.PLANNED, ()),
        ("removed", EvseStatus.REMOVED, ()),
        ("reserved", EvseStatus.RESERVED, ()),
        ("unknown", EvseStatus.UNKNOWN, ()),
        ("OUT_OF_ORDER", EvseStatus.OUTOFORDER, ("status 'OUT_OF_ORDER' read as outOfOrder",)),
        ("asleep", EvseStatus.UNKNOWN, ("status 'asleep' unknown",)),
    ],
)
def test_words_of_status(written: str, expected: EvseStatus, notes: tuple[str, ...]) -> None:
    (outcome,) = read(status(state(status={"value": written})))
    assert isinstance(outcome, Observed)
    assert (outcome.status, outcome.notes) == (expected, notes)


@pytest.mark.parametrize(
    ("members", "of_site", "hour", "notes"),
    [
        ({"lastUpdated": "2026-06-01T10:00:00Z"}, {"lastUpdated": "2026-06-01T11:00:00Z"}, 10, ()),
        ({}, {"lastUpdated": "2026-06-01T11:00:00Z"}, 11, ()),
        ({}, {}, 12, ()),
        ({"lastUpdated": "2026-06-01T10:00:00"}, {}, 10, ("lastUpdated without a zone, read as UTC",)),
    ],
)
def test_a_state_is_as_old_as_it_says_or_what_holds_it(
    members: dict[str, Any], of_site: dict[str, Any], hour: int, notes: tuple[str, ...]
) -> None:
    (outcome,) = read(status(state(**members), **of_site))
    assert isinstance(outcome, Observed)
    assert (outcome.observed_at, outcome.notes) == (datetime(2026, 6, 1, hour, tzinfo=UTC), notes)


@pytest.mark.parametrize(
    ("members", "field", "reason"),
    [
        ({"reference": None}, "reference.idG", "missing"),
        ({"status": None}, "status", "missing"),
        ({"lastUpdated": "yesterday"}, "lastUpdated", "time_unreadable"),
        ({"lastUpdated": "1970-01-01T00:00:00Z"}, "lastUpdated", "time_unlikely"),
        ({}, "lastUpdated", "missing"),
    ],
)
def test_a_state_that_cannot_be_used_is_rejected(members: dict[str, Any], field: str, reason: str) -> None:
    (outcome,) = read(status(state(**members), time=None))
    assert isinstance(outcome, Rejection)
    assert (outcome.field, outcome.reason) == (field, reason)


def test_what_is_no_state_costs_no_other() -> None:
    document = status(state())
    publication = document["payload"][0]["aegiEnergyInfrastructureStatusPublication"]
    (station,) = publication["energyInfrastructureSiteStatus"][0]["energyInfrastructureStationStatus"]
    station["refillPointStatus"].insert(0, "available")
    assert [type(outcome) for outcome in read(document)] == [Rejection, Observed]


# --- whatever comes


@pytest.mark.parametrize("document", [{}, [], {"payload": {}}, {"data": [{"id": "L"}]}, [[[1]]]])
def test_a_document_of_another_kind_is_refused(document: object) -> None:
    with pytest.raises(SourceFormatError, match="neither a table nor a status publication"):
        read(document)


def test_a_publication_without_news_is_no_error() -> None:
    publication = {"publicationTime": "2026-06-01T00:00:00Z", "energyInfrastructureSiteStatus": []}
    assert read({"payload": [{"aegiEnergyInfrastructureStatusPublication": publication}]}) == []


def test_the_xml_form_is_named() -> None:
    with pytest.raises(SourceFormatError, match="XML"):
        list(parse(io.BytesIO(b'<?xml version="1.0"?><d2:payload/>')))


_WORDS = ["available", "dc", "mcs", "extendedG", "monday", "08:00", "2026-06-01T12:00:00"]


@given(
    st.sampled_from([TABLE, STATUS]).flatmap(
        lambda path: mutated(json.loads(path.read_text(encoding="utf-8")), _WORDS)
    )
)
def test_no_document_ends_the_run_but_one_of_another_kind(document: object) -> None:
    try:
        outcomes = read(document)
    except SourceFormatError as error:
        assert "neither a table nor a status publication" in str(error)  # noqa: PT017 - the one way here
        return
    next_record = 1
    for outcome in outcomes:
        assert outcome.position.record == next_record
        next_record += outcome.records
        if isinstance(outcome, Observed):
            assert outcome.observed_at.tzinfo


# --- real files


def test_enbw_2026(real_data: Path) -> None:
    sites = outcomes_of(real_data / "datex2" / "enbw-static.json")
    states = outcomes_of(real_data / "datex2" / "enbw-realtime.json")
    stations = [outcome for outcome in sites if isinstance(outcome, Parsed)]
    assert (len(sites), len(stations), sum(outcome.records for outcome in sites)) == (10, 10, 57)
    evses = [evse for outcome in stations for evse in outcome.station.evses]
    assert Counter((each.type, each.power_kw) for evse in evses for each in evse.connectors) == {
        (ConnectorType.CCS2, 100): 8,
        (ConnectorType.CCS2, 150): 16,
        (ConnectorType.CCS2, 200): 4,
        (ConnectorType.CCS2, 300): 12,
        (ConnectorType.CCS2, 400): 4,
        (ConnectorType.TYPE2, 11): 10,
        (ConnectorType.TYPE2, 22): 3,
    }
    assert Counter(note for outcome in stations for note in outcome.notes) == {UNNAMED: 10}
    assert Counter(outcome.station.opening_hours for outcome in stations) == {
        "24/7": 9,
        "Mo-Fr 08:00-21:15; Sa 08:00-20:15": 1,
    }
    observed = [outcome for outcome in states if isinstance(outcome, Observed)]
    assert len(states) == len(observed) == 11
    assert Counter(outcome.status.value for outcome in observed) == {"AVAILABLE": 7, "CHARGING": 3, "OUTOFORDER": 1}
    assert {outcome.evse_id for outcome in observed} <= {evse.evse_id for evse in evses}


def test_the_tables_hold_the_words_of_the_schema(real_data: Path) -> None:
    schema = json.loads(
        (real_data / "datex2" / "schema-v3.7" / "DATEXII_3_EnergyInfrastructure.json").read_text(encoding="utf-8-sig")
    )["$defs"]
    extra = {"extendedG"}
    assert set(schema["ConnectorTypeEnum"]["enum"]) - extra == CONNECTOR_TYPES.meanings.keys() - {"mcs"}
    assert set(schema["ConnectorFormatTypeEnum"]["enum"]) - extra == FORMATS.meanings.keys()
