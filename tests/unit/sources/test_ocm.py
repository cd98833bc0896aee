"""The Open Charge Map adapter: file in, outcomes out."""

import io
import json
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.ocm import FACTS, parse
from app.sources.ocm.reference import (
    CONNECTION_TYPES,
    COUNTRIES,
    FIRST_DELISTED,
    OPERATORS,
    POWER_TYPES,
    PUBLISHED_SUBMISSIONS,
    STATUS_TYPES,
    TESLA_CONNECTION_TYPES,
    UNPUBLISHED_SUBMISSIONS,
    USAGE_TYPES,
)
from app.sources.records import Outcome, Parsed, Rejection, Skip
from app.stations.vocabulary import Access, ConnectorFormat, ConnectorType, EvseStatus, PowerType
from tests.conftest import DATA

SITES = DATA / "ocm" / "sites.json"


def outcomes_of(path: Path) -> list[Outcome]:
    with path.open("rb") as file:
        return list(parse(file))


def read(*records: object) -> list[Outcome]:
    return list(parse(io.BytesIO(json.dumps(records).encode())))


def parsed(record: object) -> Parsed:
    (outcome,) = read(record)
    assert isinstance(outcome, Parsed), outcome
    return outcome


def refused(record: object) -> Rejection:
    (outcome,) = read(record)
    assert isinstance(outcome, Rejection), outcome
    return outcome


def site(*connections: object, address: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """A compact site in Berlin with as little as may be."""
    where = {"Title": "Site", "CountryID": 87, "Latitude": 52.5, "Longitude": 13.25} | (address or {})
    return {"ID": 7, "AddressInfo": where, "Connections": list(connections)} | members


def connection(**members: Any) -> dict[str, Any]:
    return {"ID": 1, "ConnectionTypeID": 25} | members


def renamed(value: Any, rename: Any) -> Any:
    """The JSON value with every member's name passed through `rename`."""
    if isinstance(value, dict):
        return {rename(name): renamed(member, rename) for name, member in value.items()}
    return [renamed(item, rename) for item in value] if isinstance(value, list) else value


def in_camel_case(name: str) -> str:
    """As `camelcase=true` spells it: `powerKW`, `isoCode`, `id`."""
    upper = len(name) - len(name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    return name.lower() if upper == len(name) else name[: max(upper - 1, 1)].lower() + name[max(upper - 1, 1) :]


# --- what a site becomes


def test_a_compact_site_becomes_a_station() -> None:
    first = outcomes_of(SITES)[0]
    assert isinstance(first, Parsed)
    assert first.notes == ()
    assert first.station.model_dump(exclude_none=True) == {
        "source": "ocm",
        "external_id": "900001",
        "title": "Harbour car park",
        "operator": "POD Point (UK)",
        "address": "1 Quay Street, Level 2",
        "city": "Exampleton",
        "postal_code": "EX1 1AA",
        "country": "GB",
        "longitude": -0.25,
        "latitude": 51.5,
        "access": Access.PUBLIC,
        "opening_hours": "24/7",
        "price": "£0.45/kWh",
        "evses": (
            {
                "uid": "700001-1",
                "connectors": (
                    {
                        "type": ConnectorType.CCS2,
                        "power_kw": 50.0,
                        "current": PowerType.DC,
                        "voltage_v": 400,
                        "amperage_a": 125,
                    },
                ),
            },
            *(
                {
                    "uid": uid,
                    "status": EvseStatus.OUTOFORDER,
                    "connectors": (
                        {
                            "type": ConnectorType.TYPE2,
                            "power_kw": 7.4,
                            "format": ConnectorFormat.SOCKET,
                            "current": PowerType.AC_1_PHASE,
                            "voltage_v": 230,
                            "amperage_a": 32,
                        },
                    ),
                }
                for uid in ("700002-1", "700002-2")
            ),
        ),
    }


def test_a_verbose_site_becomes_a_station() -> None:
    second = outcomes_of(SITES)[1]
    assert isinstance(second, Parsed)
    assert second.notes == ()
    cable = {"type": ConnectorType.TYPE2, "format": ConnectorFormat.CABLE, "current": PowerType.AC_3_PHASE}
    assert second.station.model_dump(exclude_none=True) == {
        "source": "ocm",
        "external_id": "900002",
        "title": "Works canteen",
        "operator": "Example Energy",
        "country": "DE",
        "longitude": 13.5,
        "latitude": 52.25,
        "access": Access.RESTRICTED,
        "opening_hours": "Werktags 8 bis 17 Uhr",
        "evses": (
            {"uid": "700003-1", "status": EvseStatus.PLANNED, "connectors": (cable,)},
            {"uid": "700003-2", "status": EvseStatus.PLANNED, "connectors": (cable,)},
        ),
    }


def test_every_record_of_the_file_is_accounted_for() -> None:
    outcomes = outcomes_of(SITES)
    assert [outcome.position.record for outcome in outcomes] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [type(outcome).__name__ for outcome in outcomes] == ["Parsed"] * 2 + ["Skip"] * 3 + ["Rejection"] * 3
    assert [(skip.reason, skip.gone_id) for skip in outcomes if isinstance(skip, Skip)] == [
        ("status type 200, removed", "900003"),
        ("delisted as not public", "900004"),
        ("under review", None),
    ]
    assert [(r.field, r.value, r.reason, r.external_id) for r in outcomes if isinstance(r, Rejection)] == [
        ("AddressInfo.Longitude", "13,4", "not_a_number", "900006"),
        ("ID", "", "missing", None),
        ("record", '"no site at all"', "not_an_object", None),
    ]


# --- the forms it comes in


@pytest.mark.parametrize("rename", [str.lower, str.upper, in_camel_case])
def test_names_may_be_spelled_in_any_case(rename: Any) -> None:
    expected = outcomes_of(SITES)
    assert read(*renamed(json.loads(SITES.read_text()), rename)) == expected


def test_camel_case_of_this_test_is_that_of_the_api() -> None:
    names = ["ID", "PowerKW", "ISOCode", "AddressInfo", "UUID", "ConnectionTypeID"]
    assert [in_camel_case(name) for name in names] == [
        "id", "powerKW", "isoCode", "addressInfo", "uuid", "connectionTypeID",
    ]  # fmt: skip


def test_json_lines_are_read_like_an_array() -> None:
    lines = "\n".join(json.dumps(record) for record in json.loads(SITES.read_text())[:7])
    assert list(parse(io.BytesIO(lines.encode()))) == outcomes_of(SITES)[:7]


def test_numbers_may_be_text() -> None:
    figures = {"PowerKW": 22, "Voltage": 400, "Amps": 32, "Quantity": 2, "CurrentTypeID": 20, "StatusTypeID": 30}
    plain = site(connection(**figures), OperatorID=3, UsageTypeID=1, SubmissionStatusTypeID=200)
    written = deepcopy(plain)
    for holder in (written, written["AddressInfo"], written["Connections"][0]):
        for name, value in holder.items():
            if isinstance(value, int | float):
                holder[name] = str(value)
    assert parsed(written) == parsed(plain)
    assert len(parsed(plain).station.evses) == 2


def test_ids_may_be_given_by_the_embedded_objects_alone() -> None:
    record = site(
        {
            "ID": 1,
            "ConnectionType": {"ID": 33, "Title": "CCS (Type 2)"},
            "StatusType": {"ID": 100, "Title": "Not Operational"},
            "CurrentType": {"ID": 30, "Title": "DC"},
        },
        address={"CountryID": None, "Country": {"ID": 1, "ISOCode": "GB"}},
        OperatorInfo={"ID": 3, "Title": "Another title"},
        UsageType={"ID": 2},
        SubmissionStatus={"ID": 100, "IsLive": True},
    )
    station = parsed(record).station
    assert (station.country, station.operator, station.access) == ("GB", "POD Point (UK)", Access.PRIVATE)
    (evse,) = station.evses
    assert evse.status is EvseStatus.OUTOFORDER
    assert (evse.connectors[0].type, evse.connectors[0].current) == (ConnectorType.CCS2, PowerType.DC)


def test_ids_outrank_embedded_objects_so_that_both_forms_agree() -> None:
    record = site(OperatorID=3, OperatorInfo={"ID": 3, "Title": "A newer title"})
    assert parsed(record).station.operator == "POD Point (UK)"


def test_embedded_objects_serve_where_the_tables_end() -> None:
    found = parsed(
        site(
            connection(ConnectionTypeID=27),
            address={"CountryID": 9999, "Country": {"ID": 9999, "ISOCode": "xk", "ContinentCode": "EU"}},
            OperatorID=99999,
            OperatorInfo={"ID": 99999, "Title": " Example  Energy "},
            SubmissionStatusTypeID=300,
            SubmissionStatus={"ID": 300, "IsLive": True},
        )
    )
    assert (found.station.operator, found.station.country, found.notes) == ("Example Energy", "XK", ())
    assert found.station.evses[0].connectors[0].type is ConnectorType.TYPE2


def test_codes_unknown_to_tables_and_record_are_noted() -> None:
    strange = connection(ConnectionTypeID=9001, CurrentTypeID=40, StatusTypeID=60, Quantity=2)
    found = parsed(site(strange, address={"CountryID": 9999}, OperatorID=99999, UsageTypeID=77, StatusTypeID=65))
    assert (found.station.operator, found.station.country, found.station.access) == (None, None, None)
    assert [(e.status, e.connectors[0].type, e.connectors[0].current) for e in found.station.evses] == [
        (None, ConnectorType.OTHER, None)
    ] * 2
    assert sorted(found.notes) == [
        "connection type 9001 unknown, stored as other",
        "country 9999 unknown",
        "current type 40 unknown",
        "operator 99999 unknown",
        "status type 60 unknown",
        "status type 65 unknown",
        "usage type 77 unknown",
    ]


def test_what_changes_without_the_site_is_not_stored() -> None:
    once = site(connection(), address={"Distance": 1.5, "DistanceUnit": 2}, DateLastVerified="2020-01-01T00:00:00Z")
    again = site(
        connection(), address={"Distance": 88.0, "DistanceUnit": 1}, IsRecentlyVerified=True, UserComments=[{}]
    )
    assert parsed(once) == parsed(again)


# --- words


@pytest.mark.parametrize(
    ("address", "title", "notes"),
    [
        ({"Title": " Town\thall "}, "Town hall", ()),
        (
            {"Title": "", "AddressLine1": "High Street 1"},
            "High Street 1",
            ("title missing, made from address or ID",),
        ),
        ({"Title": None}, "OCM-7", ("title missing, made from address or ID",)),
    ],
)
def test_a_site_without_title_is_named_after_its_street_or_id(
    address: dict[str, Any], title: str, notes: tuple[str, ...]
) -> None:
    found = parsed(site(address=address))
    assert (found.station.title, found.notes) == (title, notes)


@pytest.mark.parametrize("operator_id", [0, 1, 44, 45, None])
def test_placeholders_for_an_operator_are_no_operator(operator_id: int | None) -> None:
    found = parsed(site(OperatorID=operator_id))
    assert (found.station.operator, found.notes) == (None, ())


def test_a_postal_code_that_cannot_be_one_is_left_out() -> None:
    found = parsed(site(address={"Postcode": "please ask at the reception"}))
    assert (found.station.postal_code, found.notes) == (None, ("postal code too long, left out",))


def test_long_text_is_cut_rather_than_refused() -> None:
    found = parsed(site(address={"Title": "T" * 900, "AccessComments": "c" * 9_000}, UsageCost="p" * 9_000))
    assert found.station.opening_hours is not None
    assert found.station.price is not None
    assert (len(found.station.title), len(found.station.opening_hours), len(found.station.price)) == (
        500,
        2_000,
        2_000,
    )


@pytest.mark.parametrize(
    ("usage_type", "access"),
    [
        (None, None),
        (0, None),
        (1, Access.PUBLIC),
        (2, Access.PRIVATE),
        (3, Access.RESTRICTED),
        (4, Access.PUBLIC),
        (5, Access.PUBLIC),
        (6, Access.RESTRICTED),
        (7, Access.PUBLIC),
    ],
)
def test_usage_type_says_who_may_charge(usage_type: int | None, access: Access | None) -> None:
    found = parsed(site(UsageTypeID=usage_type))
    assert (found.station.access, found.notes) == (access, ())


# --- equipment


@pytest.mark.parametrize(
    ("quantity", "points", "evses"),
    [(3, None, 3), (3, 8, 3), (None, None, 1), (0, 0, 1), (-2, None, 1), (None, 4, 4), (0, 4, 4), ("2.0", None, 2)],
)
def test_quantity_and_else_the_number_of_points_gives_evses(quantity: object, points: object, evses: int) -> None:
    found = parsed(site(connection(ID=30125, Quantity=quantity), NumberOfPoints=points))
    assert [evse.uid for evse in found.station.evses] == [f"30125-{n}" for n in range(1, evses + 1)]
    assert found.notes == ()


def test_the_number_of_points_says_nothing_of_several_connections() -> None:
    found = parsed(site(connection(ID=1), connection(ID=2), NumberOfPoints=8))
    assert [evse.uid for evse in found.station.evses] == ["1-1", "2-1"]


@pytest.mark.parametrize("members", [{"Quantity": 5_000}, {"NumberOfPoints": 5_000}])
def test_a_quantity_beyond_reason_is_cut(members: dict[str, Any]) -> None:
    found = parsed(site(connection() | members, **members))
    assert (len(found.station.evses), found.notes) == (200, ("quantity above 200 cut",))


@pytest.mark.parametrize(
    ("site_status", "connection_status", "expected"),
    [
        (None, None, None),
        (50, None, None),
        (75, None, None),
        (10, 20, None),
        (0, 30, EvseStatus.INOPERATIVE),
        (30, None, EvseStatus.INOPERATIVE),
        (50, 100, EvseStatus.OUTOFORDER),
        (150, 0, EvseStatus.PLANNED),
        (100, 50, None),
        (30, 100, EvseStatus.OUTOFORDER),
        (100, 60, EvseStatus.OUTOFORDER),
    ],
)
def test_a_connection_s_status_outranks_the_site_s(
    site_status: int | None, connection_status: int | None, expected: EvseStatus | None
) -> None:
    found = parsed(site(connection(StatusTypeID=connection_status), StatusTypeID=site_status))
    assert [evse.status for evse in found.station.evses] == [expected]
    assert found.notes == (("status type 60 unknown",) if connection_status == 60 else ())


@pytest.mark.parametrize("status", [200, 210])
def test_a_removed_site_is_gone(status: int) -> None:
    (outcome,) = read(site(connection(StatusTypeID=50), StatusTypeID=status))
    assert isinstance(outcome, Skip)
    assert (outcome.reason, outcome.gone_id) == (f"status type {status}, removed", "7")


@pytest.mark.parametrize("status", [200, 210])
def test_a_removed_connection_is_left_out(status: int) -> None:
    found = parsed(site(connection(ID=1, StatusTypeID=status), connection(ID=2)))
    assert [evse.uid for evse in found.station.evses] == ["2-1"]
    assert found.notes == ("removed connection left out",)


@pytest.mark.parametrize(
    ("country", "connection_type", "expected"),
    [
        (2, 27, ConnectorType.NACS),
        (2, 30, ConnectorType.NACS),
        (87, 27, ConnectorType.TYPE2),
        (87, 30, ConnectorType.TYPE2),
        (18, 30, ConnectorType.TYPE2),
    ],
    ids=["US-27", "US-30", "DE-27", "DE-30", "AU-30"],
)
def test_the_shape_of_tesla_s_connector_depends_on_where_it_is(
    country: int, connection_type: int, expected: ConnectorType
) -> None:
    found = parsed(site(connection(ConnectionTypeID=connection_type), address={"CountryID": country}))
    assert (found.station.evses[0].connectors[0].type, found.notes) == (expected, ())


@pytest.mark.parametrize("country", [114, 50, None], ids=["JP", "CN", "nowhere"])
def test_where_tesla_s_connector_has_several_shapes_it_is_other(country: int | None) -> None:
    found = parsed(site(connection(ConnectionTypeID=27), address={"CountryID": country}))
    assert found.station.evses[0].connectors[0].type is ConnectorType.OTHER
    assert found.notes == ("connection type 27 of unknown shape here, stored as other",)


@pytest.mark.parametrize(
    ("name", "attribute", "value", "stored"),
    [
        ("PowerKW", "power_kw", 350, 350.0),
        ("PowerKW", "power_kw", 0, None),
        ("PowerKW", "power_kw", "", None),
        ("Voltage", "voltage_v", 229.6, 230),
        ("Amps", "amperage_a", "16", 16),
        ("Amps", "amperage_a", 0, None),
    ],
)
def test_figures_of_a_connector(name: str, attribute: str, value: object, stored: float | None) -> None:
    found = parsed(site(connection(**{name: value})))
    assert getattr(found.station.evses[0].connectors[0], attribute) == stored
    assert found.notes == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PowerKW", 22_000),
        ("PowerKW", -1),
        ("PowerKW", "fast"),
        ("PowerKW", float("nan")),
        ("Voltage", 1e9),
        ("Amps", "1_6"),
        ("Amps", [16]),
    ],
)
def test_an_implausible_figure_costs_the_figure_not_the_site(name: str, value: object) -> None:
    found = parsed(site(connection(**{name: value})))
    connector = found.station.evses[0].connectors[0]
    assert (connector.power_kw, connector.voltage_v, connector.amperage_a) == (None, None, None)
    assert found.notes == (f"{name} implausible, left out",)


@pytest.mark.parametrize(
    ("connections", "uids", "notes"),
    [
        (None, [], ()),
        ([], [], ()),
        ({"ID": 1}, [], ("Connections is no list, left out",)),
        ([None, connection(ID=5), "x"], ["5-1"], ("empty connection left out",) * 2),
        ([connection(ID=5), connection(ID=5)], ["5-1"], ("repeated connection left out",)),
        ([{"ConnectionTypeID": 25}, connection(ID=0)], ["nth1-1", "nth2-1"], ()),
    ],
)
def test_odd_lists_of_connections(connections: object, uids: list[str], notes: tuple[str, ...]) -> None:
    found = parsed(site(Connections=connections))
    assert ([evse.uid for evse in found.station.evses], found.notes) == (uids, notes)


# --- what is not stored


@pytest.mark.parametrize(
    ("status", "reason", "gone_id"),
    [
        (1, "under review", None),
        (50, "import under review", None),
        (250, "submission rejected", None),
        (1000, "delisted", "7"),
        (1001, "delisted as duplicate", "7"),
        (1002, "delisted as no longer active", "7"),
        (1005, "delisted as superseded", "7"),
        (1010, "delisted as not public", "7"),
        (1020, "delisted by its data provider", "7"),
        (300, "submission status 300 unknown", None),
    ],
)
def test_what_is_not_published_is_skipped(status: int, reason: str, gone_id: str | None) -> None:
    (outcome,) = read(site(SubmissionStatusTypeID=status))
    assert isinstance(outcome, Skip)
    assert (outcome.reason, outcome.gone_id) == (reason, gone_id)


@pytest.mark.parametrize("status", [100, 200, None])
def test_what_is_published_is_stored(status: int | None) -> None:
    assert parsed(site(SubmissionStatusTypeID=status)).station.external_id == "7"


@pytest.mark.parametrize(
    ("record", "field", "value", "reason"),
    [
        (site(ID=None), "ID", "None", "missing"),
        (site(ID="seven"), "ID", "seven", "missing"),
        (site(address={"Latitude": None}), "AddressInfo.Latitude", "", "missing"),
        (site(address={"Longitude": "13,4"}), "AddressInfo.Longitude", "13,4", "not_a_number"),
        (site(address={"Latitude": 95}), "AddressInfo.Latitude", "95", "coordinates_out_of_range"),
        (site(address={"Longitude": -181.5}), "AddressInfo.Longitude", "-181.5", "coordinates_out_of_range"),
        (site(AddressInfo=None), "AddressInfo.Longitude", "", "missing"),
    ],
)
def test_what_cannot_be_used_is_rejected(record: dict[str, Any], field: str, value: str, reason: str) -> None:
    rejection = refused(record)
    assert (rejection.field, rejection.value, rejection.reason) == (field, value, reason)
    assert rejection.external_id == (None if field == "ID" else "7")


_ANYTHING: st.SearchStrategy[object] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([[], {}, [{}], {"ID": "x"}])
)


@given(
    members=st.dictionaries(
        st.sampled_from(["ID", "OperatorID", "AddressInfo", "Connections", "NumberOfPoints"]), _ANYTHING
    ),
    address=st.dictionaries(st.sampled_from(["Title", "CountryID", "Latitude", "Postcode"]), _ANYTHING),
    equipment=st.dictionaries(st.sampled_from(["ID", "ConnectionTypeID", "PowerKW", "Amps", "Quantity"]), _ANYTHING),
)
def test_no_record_ends_the_run(members: dict[str, Any], address: dict[str, Any], equipment: dict[str, Any]) -> None:
    outcomes = read(site(connection(**equipment), address=address) | members, site())
    assert len(outcomes) == 2
    assert isinstance(outcomes[1], Parsed)


# --- real data


def test_the_tables_hold_the_reference_data(real_data: Path) -> None:
    reference = json.loads((real_data / "ocm" / "reference-2026.json").read_text())

    def ids(name: str) -> set[int]:
        return {entry["ID"] for entry in reference[name]}

    assert ids("ConnectionTypes") - {0} == CONNECTION_TYPES.keys() | TESLA_CONNECTION_TYPES
    assert ids("StatusTypes") == STATUS_TYPES.keys()
    assert ids("UsageTypes") == USAGE_TYPES.keys()
    assert ids("CurrentTypes") == POWER_TYPES.keys()
    submissions = {entry["ID"]: entry for entry in reference["SubmissionStatusTypes"]}
    assert {code for code, entry in submissions.items() if entry["IsLive"]} == PUBLISHED_SUBMISSIONS
    assert {code for code, entry in submissions.items() if not entry["IsLive"]} == UNPUBLISHED_SUBMISSIONS.keys()
    assert all((code >= FIRST_DELISTED) == ("Delisted" in entry["Title"]) for code, entry in submissions.items())
    assert {entry["ID"]: " ".join(entry["Title"].split()) for entry in reference["Operators"]} == OPERATORS
    assert {e["ID"]: (e["ISOCode"], e["ContinentCode"] or "") for e in reference["Countries"]} == COUNTRIES


def test_compact_and_verbose_answers_give_equal_stations(real_data: Path) -> None:
    verbose = outcomes_of(real_data / "ocm" / "germany-verbose.json")
    compact = outcomes_of(real_data / "ocm" / "germany-compact.json")
    assert len(verbose) == 4
    assert all(isinstance(outcome, Parsed) for outcome in verbose)
    assert compact == verbose


def in_compact_form(record: dict[str, Any]) -> dict[str, Any]:
    """Without the objects that `compact=true` leaves out."""
    embedded = {"DataProvider", "OperatorInfo", "UsageType", "StatusType", "SubmissionStatus"}
    embedded |= {"Country", "ConnectionType", "Level", "CurrentType"}
    return {
        name: in_compact_form(value)
        if isinstance(value, dict)
        else [in_compact_form(item) for item in value]
        if name == "Connections"
        else value
        for name, value in record.items()
        if name not in embedded
    }


def test_a_verbose_answer_made_compact_loses_only_operators_newer_than_the_table(real_data: Path) -> None:
    verbose = json.loads((real_data / "ocm" / "austin-2026-verbose.json").read_text())
    differing = 0
    for full, short in zip(read(*verbose), read(*map(in_compact_form, verbose)), strict=True):
        assert isinstance(full, Parsed)
        assert isinstance(short, Parsed)
        if full != short:
            differing += 1
            assert short.station.model_copy(update={"operator": full.station.operator}) == full.station
            assert [note for note in short.notes if note.startswith("operator ")] != []
    assert differing == 17


def test_austin_2026(real_data: Path) -> None:
    outcomes = outcomes_of(real_data / "ocm" / "austin-2026-verbose.json")
    stations = [outcome.station for outcome in outcomes if isinstance(outcome, Parsed)]
    assert len(outcomes) == len(stations) == 684
    assert Counter(note for outcome in outcomes if isinstance(outcome, Parsed) for note in outcome.notes) == {
        "connection type 0 unknown, stored as other": 1
    }
    evses = [evse for station in stations for evse in station.evses]
    assert Counter(evse.connectors[0].type for evse in evses) == {
        ConnectorType.TYPE1: 1446,
        ConnectorType.NACS: 440,
        ConnectorType.CCS1: 111,
        ConnectorType.CHADEMO: 67,
        ConnectorType.DOMESTIC: 25,
        ConnectorType.OTHER: 1,
    }
    assert Counter(evse.status for evse in evses) == {None: 1978, EvseStatus.INOPERATIVE: 100, EvseStatus.PLANNED: 12}
    assert sum(evse.connectors[0].power_kw is None for evse in evses) == 6
    assert Counter(station.access for station in stations) == {
        Access.PUBLIC: 671,
        Access.PRIVATE: 9,
        Access.RESTRICTED: 4,
    }
    assert {station.country for station in stations} == {"US"}
    assert sum(station.operator is None for station in stations) == 31
    assert sum(station.opening_hours == "24/7" for station in stations) == 568


def test_london_2021(real_data: Path) -> None:
    outcomes = outcomes_of(real_data / "ocm" / "london-2021-compact.json")
    stations = [outcome.station for outcome in outcomes if isinstance(outcome, Parsed)]
    assert len(outcomes) == len(stations) == 100
    assert not any(outcome.notes for outcome in outcomes if isinstance(outcome, Parsed))
    evses = [evse for station in stations for evse in station.evses]
    assert Counter((evse.connectors[0].type, evse.connectors[0].format) for evse in evses) == {
        (ConnectorType.TYPE2, ConnectorFormat.SOCKET): 124,
        (ConnectorType.TYPE2, ConnectorFormat.CABLE): 1,
        (ConnectorType.DOMESTIC, None): 4,
        (ConnectorType.CHADEMO, None): 1,
        (ConnectorType.CCS2, None): 1,
    }
    assert Counter(station.access for station in stations) == {Access.PUBLIC: 95, Access.RESTRICTED: 5}
    assert {station.country for station in stations} == {"GB"}
    assert sum(station.address is None for station in stations) == 14
    assert all(station.operator for station in stations)


def test_the_licence_is_named_with_the_words_to_be_shown() -> None:
    assert (FACTS.name, FACTS.licence) == ("ocm", "CC-BY-4.0")
    assert "Open Charge Map" in FACTS.attribution


def test_connections_that_add_up_to_too_many_points_are_refused_at_once() -> None:
    address = {"Title": "x", "Latitude": 51.5, "Longitude": -0.1, "CountryID": 1}
    connections = [{"ID": n, "ConnectionTypeID": 25, "Quantity": 200} for n in range(1, 50)]
    poi = {"ID": 1, "AddressInfo": address, "Connections": connections}
    (outcome,) = parse(io.BytesIO(json.dumps([poi]).encode()))
    assert isinstance(outcome, Rejection)
    assert (outcome.field, outcome.reason) == ("Connections", "count_not_plausible")
