"""French charge points (IRVE statique): rows in, stations out."""

import csv
import gzip
import io
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import SourceFormatError
from app.sources.irve import FACTS, parse
from app.sources.irve.columns import PointId, Site, Supply
from app.sources.records import Outcome, Parsed, Position, Rejection, Skip
from app.stations.model import Connector, StationCreate
from app.stations.vocabulary import Access, ConnectorFormat, ConnectorType, PowerType

DATA = Path(__file__).parents[2] / "data" / "irve"
COLUMNS = [*Site._fields, *PointId._fields, *Supply._fields]

ROW = {
    "nom_operateur": "Recharge Nord",
    "nom_enseigne": "Nordelec",
    "id_station_itinerance": "FRNRDP0001",
    "nom_station": "Gare",
    "implantation_station": "Voirie",
    "adresse_station": "1 place de la Gare 59000 Lille",
    "coordonneesXY": "[3.0706, 50.6366]",
    "id_pdc_itinerance": "FRNRDE00011",
    "puissance_nominale": "22.00",
    "prise_type_2": "true",
    "condition_acces": "Accès libre",
    "horaires": "24/7",
}
NO_PLUG = {"prise_type_2": "false"}


def outcomes(*rows: dict[str, str], delimiter: str = ",") -> list[Outcome]:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return list(parse(io.BytesIO(file.getvalue().encode())))


def parsed(*changes: dict[str, str]) -> Parsed:
    """The one station of rows that differ from ROW by `changes`."""
    (outcome,) = outcomes(*[ROW | change for change in changes or ({},)])
    assert isinstance(outcome, Parsed), outcome
    return outcome


def connectors(**changes: str) -> tuple[Connector, ...]:
    (evse,) = parsed(changes).station.evses
    return evse.connectors


def powers(**changes: str) -> dict[str, float | None]:
    return {connector.type.value: connector.power_kw for connector in connectors(**changes)}


def stations(found: list[Outcome]) -> list[StationCreate]:
    return [outcome.station for outcome in found if isinstance(outcome, Parsed)]


def test_a_file_becomes_stations_of_rows_that_stand_apart() -> None:
    with (DATA / "stations.csv").open("rb") as file:
        station, port, rejected, town_hall = parse(file)
    assert isinstance(station, Parsed)
    assert (station.position, station.records, station.notes) == (Position(1, 2), 3, ())
    assert station.station.model_dump(exclude_none=True, exclude={"evses"}) == {
        "source": "irve",
        "external_id": "FRNRDP0001",
        "title": "Gare",
        "operator": "Recharge Nord",
        "address": "1 place de la Gare 59000 Lille",
        "country": "FR",
        "longitude": 3.0706,
        "latitude": 50.6366,
        "access": Access.PUBLIC,
        "opening_hours": "24/7",
        "price": "0,40€ / kWh",
    }
    socket, cable = ConnectorFormat.SOCKET, ConnectorFormat.CABLE
    assert [(evse.uid, evse.evse_id, evse.connectors) for evse in station.station.evses] == [
        (uid, uid, expected)
        for uid, expected in {
            "FRNRDE00011": (Connector(type=ConnectorType.TYPE2, power_kw=22, format=socket),),
            "FRNRDE00012": (
                Connector(type=ConnectorType.SCHUKO, format=socket, current=PowerType.AC_1_PHASE),
                Connector(type=ConnectorType.TYPE2, power_kw=7.4, format=cable),
            ),
            "FRNRDE00013": (Connector(type=ConnectorType.CCS2, power_kw=150, format=cable, current=PowerType.DC),),
        }.items()
    ]
    assert isinstance(port, Parsed)
    assert (port.station.access, port.station.price) == (Access.RESTRICTED, "gratuit")
    assert (port.station.longitude, port.station.latitude) == (2.3768, 51.0344)
    assert isinstance(rejected, Rejection)
    assert (rejected.position, rejected.external_id) == (Position(4, 5), "FRNRDP0003")
    assert (rejected.field, rejected.value, rejected.reason) == ("coordonneesXY", "à préciser", "not_a_number")
    assert isinstance(town_hall, Parsed)
    assert town_hall.station.external_id == "17@Recharge Nord"
    assert [(evse.uid, evse.evse_id) for evse in town_hall.station.evses] == [("17-A", None)]
    assert town_hall.station.access == Access.RESTRICTED


def test_semicolons_delimit_as_well() -> None:
    (outcome,) = outcomes(ROW, delimiter=";")
    assert isinstance(outcome, Parsed)
    assert outcome.station == parsed().station


@pytest.mark.parametrize(
    "written",
    [
        "[3.0706, 50.6366]",
        "[3.0706,50.6366]",
        "3.0706,50.6366",
        " [3.0706 , 50.6366] ",
        "3.0706 50.6366",
        "3,0706;50,6366",
    ],
)
def test_coordinates_in_every_spelling(written: str) -> None:
    station = parsed({"coordonneesXY": written}).station
    assert (station.longitude, station.latitude) == (3.0706, 50.6366)


def test_consolidated_columns_stand_in_for_what_the_schema_lacks() -> None:
    consolidated = {
        "consolidated_longitude": "3.1",
        "consolidated_latitude": "50.7",
        "consolidated_code_postal": "59000",
        "consolidated_commune": "Lille",
    }
    both = parsed(consolidated).station
    assert (both.longitude, both.latitude, both.postal_code, both.city) == (3.0706, 50.6366, "59000", "Lille")
    alone = parsed(consolidated | {"coordonneesXY": ""}).station
    assert (alone.longitude, alone.latitude) == (3.1, 50.7)


@pytest.mark.parametrize(
    ("written", "field", "reason"),
    [
        ("", "consolidated_longitude", "missing"),
        ("[3.0706]", "coordonneesXY", "coordinates_unreadable"),
        ("[3,0706, 50,6366]", "coordonneesXY", "coordinates_unreadable"),
        ("[nord, est]", "coordonneesXY", "not_a_number"),
        ("[306.5, 50.6]", "coordonneesXY", "coordinates_out_of_range"),
        ("[3.0706, 506366]", "coordonneesXY", "coordinates_out_of_range"),
    ],
)
def test_unreadable_coordinates_reject_the_row(written: str, field: str, reason: str) -> None:
    (outcome,) = outcomes(ROW | {"coordonneesXY": written})
    assert isinstance(outcome, Rejection)
    assert (outcome.field, outcome.value, outcome.reason) == (field, written, reason)
    assert outcome.external_id == "FRNRDP0001"


def test_a_bad_row_is_rejected_alone_and_does_not_lead_its_station() -> None:
    bad = ROW | {"coordonneesXY": "?", "nom_station": "Wrong", "id_pdc_itinerance": "FRNRDE00010"}
    rejection, outcome = outcomes(bad, ROW, ROW | {"id_pdc_itinerance": "FRNRDE00012"})
    assert isinstance(rejection, Rejection)
    assert rejection.position == Position(1, 2)
    assert isinstance(outcome, Parsed)
    assert (outcome.position, outcome.records, outcome.notes) == (Position(2, 3), 2, ())
    assert outcome.station.title == "Gare"


def test_a_row_of_another_width_is_rejected_where_it_stands() -> None:
    content = (DATA / "stations.csv").read_bytes() + b"only,three,cells\n"
    rejection = next(parse(io.BytesIO(content)))
    assert isinstance(rejection, Rejection)
    assert (rejection.position, rejection.reason) == (Position(7, 8), "column_count")


@pytest.mark.parametrize(
    "none", ["", "Non concerné", "non concerne", "NON CONCERNÉ", "Non\N{NO-BREAK SPACE}concerné"]
)
def test_a_station_outside_roaming_goes_by_its_local_id_and_operator(none: str) -> None:
    station = parsed({"id_station_itinerance": none, "id_station_local": "17"}).station
    assert station.external_id == "17@Recharge Nord"


def test_the_same_local_id_of_two_operators_is_two_stations() -> None:
    local = ROW | {"id_station_itinerance": "Non concerné", "id_station_local": "17"}
    assert [station.external_id for station in stations(outcomes(local, local | {"nom_operateur": "Sud"}))] == [
        "17@Recharge Nord",
        "17@Sud",
    ]


def test_without_any_id_a_station_goes_by_name_and_place() -> None:
    nameless = {"id_station_itinerance": "Non concerné"}
    assert parsed(nameless).station.external_id == "Gare@3.0706,50.6366"
    spelled = parsed(nameless | {"coordonneesXY": "3.0706,50.6366"})
    assert spelled.station.external_id == "Gare@3.0706,50.6366"


def test_a_row_that_tells_neither_id_nor_place_is_rejected() -> None:
    (outcome,) = outcomes(ROW | {"id_station_itinerance": "", "coordonneesXY": ""})
    assert isinstance(outcome, Rejection)
    assert (outcome.field, outcome.reason, outcome.external_id) == ("id_station_itinerance", "missing", None)


def test_charge_points_without_any_id_are_numbered() -> None:
    outcome = parsed(*[{"id_pdc_itinerance": "Non concerné"}] * 3)
    assert [(evse.uid, evse.evse_id) for evse in outcome.station.evses] == [
        ("pdc-1", None), ("pdc-2", None), ("pdc-3", None),
    ]  # fmt: skip


def test_a_charge_point_repeated_is_skipped_if_equal_and_rejected_if_not() -> None:
    skip, rejection, outcome = outcomes(ROW, ROW, ROW | {"puissance_nominale": "11"})
    assert isinstance(skip, Skip)
    assert (skip.position, skip.gone_id) == (Position(2, 3), None)
    assert isinstance(rejection, Rejection)
    assert (rejection.position, rejection.field, rejection.reason) == (
        Position(3, 4), "id_pdc_itinerance", "charge_point_repeated",
    )  # fmt: skip
    assert isinstance(outcome, Parsed)
    assert outcome.records == 1
    assert outcome.station == parsed().station


def test_where_rows_disagree_on_the_station_the_first_holds_and_it_is_noted() -> None:
    outcome = parsed(
        {}, {"id_pdc_itinerance": "FRNRDE00012", "nom_station": "Gare SNCF", "coordonneesXY": "[3.1, 50.6366]"}
    )
    assert (outcome.station.title, outcome.station.longitude, len(outcome.station.evses)) == ("Gare", 3.0706, 2)
    assert outcome.notes == (
        "rows disagree on title, the first holds",
        "rows disagree on longitude, the first holds",
    )


def test_more_charge_points_than_a_station_may_have_are_rejected_not_the_station() -> None:
    *rejections, outcome = outcomes(*[ROW | {"id_pdc_itinerance": f"FRNRDE{n}"} for n in range(2_003)])
    assert {outcome.reason for outcome in rejections if isinstance(outcome, Rejection)} == {"too_many_charge_points"}
    assert len(rejections) == 3
    assert isinstance(outcome, Parsed)
    assert outcome.records == len(outcome.station.evses) == 2_000


@pytest.mark.parametrize("yes", ["True", "true", "TRUE", "1", "oui", "OUI", "vrai", "VRAI", " true "])
def test_booleans_in_every_spelling(yes: str) -> None:
    no = {"true": "false", "1": "0", "oui": "non", "vrai": "faux"}[yes.strip().casefold()]
    assert [each.type for each in connectors(prise_type_2=no, prise_type_combo_ccs=yes)] == [ConnectorType.CCS2]


def test_an_unreadable_boolean_is_noted_and_counts_as_not_stated() -> None:
    outcome = parsed({"prise_type_chademo": "peut-être"})
    assert [each.type for each in outcome.station.evses[0].connectors] == [ConnectorType.TYPE2]
    assert outcome.notes == ("prise_type_chademo is no boolean, read as not stated",)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("true", ConnectorFormat.CABLE), ("false", ConnectorFormat.SOCKET), ("", None)],
)
def test_cable_t2_attache_is_the_format_of_type_2(cell: str, expected: ConnectorFormat | None) -> None:
    (type_2,) = connectors(cable_t2_attache=cell)
    assert type_2.format == expected


@pytest.mark.parametrize(
    ("plugs", "power", "expected"),
    [
        ("2", "22", {"type2": 22}),
        ("2", "43", {"type2": 43}),
        ("ef", "2.3", {"schuko": 2.3}),
        ("ef 2", "22", {"schuko": None, "type2": 22}),
        ("ef 2", "3", {"schuko": 3, "type2": 3}),
        ("2 combo_ccs", "24", {"type2": None, "ccs2": 24}),
        ("ef 2 combo_ccs chademo", "50", {"schuko": None, "type2": None, "ccs2": 50, "chademo": 50}),
        ("combo_ccs chademo", "300", {"ccs2": 300, "chademo": None}),
        ("chademo", "100", {"chademo": 100}),
        ("2 chademo", "50", {"type2": None, "chademo": 50}),
        ("autre", "150", {"other": 150}),
        ("2 autre", "22", {"type2": 22, "other": None}),
    ],
)
def test_the_power_goes_to_the_connectors_that_deliver_it(
    plugs: str, power: str, expected: dict[str, float | None]
) -> None:
    stated = {f"prise_type_{plug}": "true" for plug in plugs.split()}
    outcome = parsed(NO_PLUG | stated | {"puissance_nominale": power})
    assert {each.type.value: each.power_kw for each in outcome.station.evses[0].connectors} == expected
    assert outcome.notes == ()


@pytest.mark.parametrize(("plug", "power"), [("ef", "7"), ("2", "150"), ("chademo", "500"), ("combo_ccs", "2300")])
def test_a_power_that_no_connector_can_carry_is_noted(plug: str, power: str) -> None:
    outcome = parsed(NO_PLUG | {f"prise_type_{plug}": "true", "puissance_nominale": power})
    assert [each.power_kw for each in outcome.station.evses[0].connectors] == [None]
    assert outcome.notes == ("puissance_nominale belongs to none of the connectors, not stored",)


def test_a_point_without_a_stated_plug_has_one_that_is_not_known() -> None:
    outcome = parsed(NO_PLUG | {"puissance_nominale": "150"})
    assert outcome.station.evses[0].connectors == (Connector(type=ConnectorType.OTHER, power_kw=150),)
    assert outcome.notes == ("no connector stated, stored as other",)


@pytest.mark.parametrize(
    ("written", "power_kw"),
    [
        ("22", 22),
        ("22.0", 22),
        ("7,4", 7.4),
        ("22 kW", 22),
        ("22kw", 22),
        ("22000 W", 22),
        ("2.299999952316284", 2.3),
        ("", None),
    ],
)
def test_power_in_every_spelling(written: str, power_kw: float | None) -> None:
    outcome = parsed({"puissance_nominale": written})
    assert (outcome.station.evses[0].connectors[0].power_kw, outcome.notes) == (power_kw, ())


@pytest.mark.parametrize(
    ("written", "note"),
    [
        ("22000", "puissance_nominale not plausible, not stored"),
        ("0", "puissance_nominale not plausible, not stored"),
        ("-7", "puissance_nominale not plausible, not stored"),
        ("22 kVA", "puissance_nominale is no power, not stored"),
        ("22/7", "puissance_nominale is no power, not stored"),
    ],
)
def test_an_implausible_power_is_noted_and_unknown(written: str, note: str) -> None:
    outcome = parsed({"puissance_nominale": written})
    assert (outcome.station.evses[0].connectors[0].power_kw, outcome.notes) == (None, (note,))


@pytest.mark.parametrize(
    ("changes", "operator"),
    [
        ({}, "Recharge Nord"),
        ({"nom_operateur": ""}, "Nordelec"),
        ({"nom_operateur": "", "nom_enseigne": ""}, "Ville"),
    ],
)
def test_operator_is_the_first_name_given(changes: dict[str, str], operator: str) -> None:
    assert parsed({"nom_amenageur": "Ville"} | changes).station.operator == operator


@pytest.mark.parametrize(
    ("condition", "implantation", "access", "notes"),
    [
        ("Accès libre", "Voirie", Access.PUBLIC, ()),
        ("acces libre", "Parking public", Access.PUBLIC, ()),
        ("Accès libre", "Parking privé réservé à la clientèle", Access.RESTRICTED, ()),
        ("Accès réservé", "Voirie", Access.RESTRICTED, ()),
        ("", "Voirie", None, ()),
        ("Sur rendez-vous", "Voirie", None, ("condition_acces unknown, not stored",)),
    ],
)
def test_access(condition: str, implantation: str, access: Access | None, notes: tuple[str, ...]) -> None:
    outcome = parsed({"condition_acces": condition, "implantation_station": implantation})
    assert (outcome.station.access, outcome.notes) == (access, notes)


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        ({"tarification": "0,40€ / kWh", "gratuit": "true"}, "0,40€ / kWh"),
        ({"gratuit": "true"}, "gratuit"),
        ({"gratuit": "false"}, None),
        ({}, None),
    ],
)
def test_price(changes: dict[str, str], price: str | None) -> None:
    assert parsed(changes).station.price == price


def test_a_station_without_a_name_is_called_by_its_network_or_address() -> None:
    assert parsed({"nom_station": ""}).station.title == "Nordelec"
    assert parsed({"nom_station": "", "nom_enseigne": ""}).station.title == "1 place de la Gare 59000 Lille"
    (outcome,) = outcomes(ROW | {"nom_station": "", "nom_enseigne": "", "adresse_station": ""})
    assert isinstance(outcome, Rejection)
    assert (outcome.field, outcome.reason) == ("nom_station", "missing")


@pytest.mark.parametrize("content", [b"", b"id_station,Xlongitude,Ylatitude\nFR1,3.1,50.7\n"])
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(SourceFormatError):
        list(parse(io.BytesIO(content)))


ANY_ROW = st.dictionaries(
    st.sampled_from(COLUMNS),
    st.sampled_from(["", "true", "Non concerné", "FRNRDP0002", "[3, 50]", "0,5", "-1", "W", "\x7f", "é" * 300])
    | st.text(st.characters(blacklist_characters='"\r\n', blacklist_categories=["Cs"]), max_size=5),
)


@settings(deadline=None)
@given(st.lists(ANY_ROW.map(lambda changes: ROW | changes), max_size=8))
def test_every_row_is_accounted_for_once_whatever_it_says(rows: list[dict[str, str]]) -> None:
    found = outcomes(*rows)
    assert sum(outcome.records for outcome in found) == len(rows)
    assert all(outcome.records == len(outcome.station.evses) for outcome in found if isinstance(outcome, Parsed))
    ids = [station.external_id for station in stations(found)]
    assert len(ids) == len(set(ids))


def test_national_file(real_data: Path) -> None:
    content = gzip.decompress((real_data / "irve" / "static-2026.csv.gz").read_bytes())
    found = list(parse(io.BytesIO(content)))
    assert len(found) == len(stations(found)) == 5_571
    assert sum(outcome.records for outcome in found) == 29_109
    assert Counter(note for outcome in found if isinstance(outcome, Parsed) for note in outcome.notes) == {
        "no connector stated, stored as other": 269,
        "puissance_nominale belongs to none of the connectors, not stored": 92,
        "rows disagree on price, the first holds": 14,
    }
    types = Counter(each.type for station in stations(found) for evse in station.evses for each in evse.connectors)
    assert types == {
        ConnectorType.CCS2: 17_935,
        ConnectorType.TYPE2: 9_866,
        ConnectorType.SCHUKO: 4_098,
        ConnectorType.CHADEMO: 2_880,
        ConnectorType.OTHER: 736 + 269,
    }
    assert Counter(station.access for station in stations(found)) == {Access.PUBLIC: 5_053, Access.RESTRICTED: 518}


def test_the_order_of_rows_does_not_matter_to_stations_without_contradictions(real_data: Path) -> None:
    content = gzip.decompress((real_data / "irve" / "static-2026.csv.gz").read_bytes())
    header, *lines = content.decode().splitlines(keepends=True)[:3_001]
    shuffled = sorted(lines, key=lambda line: sha256(line.encode()).digest())
    before, after = (list(parse(io.BytesIO("".join([header, *each]).encode()))) for each in (lines, shuffled))
    by_id = {outcome.station.external_id: outcome for outcome in after if isinstance(outcome, Parsed)}
    clean = [outcome for outcome in before if isinstance(outcome, Parsed) and not outcome.notes]
    assert len(clean) > 500
    assert [by_id[outcome.station.external_id].station for outcome in clean] == [outcome.station for outcome in clean]


def test_the_schemas_own_example(real_data: Path) -> None:
    with (real_data / "irve" / "example-static.csv").open("rb") as file:
        found = list(parse(file))
    assert [station.external_id for station in stations(found)] == ["FRA68P68021001", "ESZUNP395912133460086982"]


def test_facts_name_the_source() -> None:
    assert (FACTS.name, FACTS.licence, FACTS.record_noun) == ("irve", "etalab-2.0", "charge points")
