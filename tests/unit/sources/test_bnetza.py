"""The German register: today's 47 columns, its older editions, and what operators write into them."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SourceFormatError
from app.sources.bnetza import FACTS, parse
from app.sources.bnetza.identity import MAX_REMEMBERED, DerivedIds
from app.sources.bnetza.opening_hours import opening_hours
from app.sources.records import Outcome, Parsed, Rejection
from app.stations.model import Connector, Evse, StationCreate
from app.stations.vocabulary import Access, ConnectorFormat, ConnectorType, EvseStatus, PowerType
from tests.conftest import DATA

T = ConnectorType
CABLE, SOCKET = ConnectorFormat.CABLE, ConnectorFormat.SOCKET
DC, ONE, THREE = PowerType.DC, PowerType.AC_1_PHASE, PowerType.AC_3_PHASE

TODAY = (
    "Ladeeinrichtungs-ID;Betreiber;Anzeigename (Karte);Status;Art der Ladeeinrichtung;Anzahl Ladepunkte;"
    "Nennleistung Ladeeinrichtung [kW];Inbetriebnahmedatum;Straße;Hausnummer;Adresszusatz;Postleitzahl;Ort;"
    "Kreis/kreisfreie Stadt;Bundesland;Breitengrad;Längengrad;Standortbezeichnung;Informationen zum Parkraum;"
    "Bezahlsysteme;Öffnungszeiten;Öffnungszeiten: Wochentage;Öffnungszeiten: Tageszeiten;"
    + ";".join(f"Steckertypen{i};Nennleistung Stecker{i};EVSE-ID{i};Public Key{i}" for i in range(1, 7))
).split(";")

DEVICE = {
    "Ladeeinrichtungs-ID": "1010338",
    "Betreiber": "Albwerk GmbH",
    "Status": "In Betrieb",
    "Straße": "Am Berg",
    "Hausnummer": "1",
    "Postleitzahl": "72535",
    "Ort": "Heroldstatt",
    "Breitengrad": "48,442398",
    "Längengrad": "9,659075",
    "Öffnungszeiten": "Keine Angabe",
    "Steckertypen1": "AC Typ 2 Steckdose",
    "Nennleistung Stecker1": "22",
}


def table(*rows: Mapping[str, str], columns: list[str] = TODAY, delimiter: str = ";") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter=delimiter, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def outcomes(content: bytes) -> list[Outcome]:
    return list(parse(io.BytesIO(content)))


def device(**changes: str) -> tuple[StationCreate, tuple[str, ...]]:
    """Parse one row, with cells named in transliteration changed: `Nennleistung_Stecker1`."""
    names = {name.replace(" ", "_").replace(":", "").replace("-", "_"): name for name in TODAY}
    (outcome,) = outcomes(table(DEVICE | {names[name]: cell for name, cell in changes.items()}))
    assert isinstance(outcome, Parsed)
    return outcome.station, outcome.notes


def connectors(plugs: str, powers: str) -> tuple[tuple[Connector, ...], tuple[str, ...]]:
    station, notes = device(Steckertypen1=plugs, Nennleistung_Stecker1=powers)
    return station.evses[0].connectors, notes


def test_a_row_becomes_a_station() -> None:
    station, notes = device(
        EVSE_ID1="DEAEWE002501\n",
        Public_Key1="3059\n3013",
        Steckertypen2="DC Fahrzeugkupplung Typ Combo 2 (CCS)",
        Nennleistung_Stecker2="150",
        Anzahl_Ladepunkte="2",
        Adresszusatz="Tiefgarage",
        Öffnungszeiten="247",
    )
    assert notes == ()
    assert station == StationCreate(
        source="bnetza",
        external_id="1010338",
        title="Albwerk GmbH, Am Berg 1",
        operator="Albwerk GmbH",
        address="Am Berg 1, Tiefgarage",
        city="Heroldstatt",
        postal_code="72535",
        country="DE",
        longitude=9.659075,
        latitude=48.442398,
        access=Access.PUBLIC,
        opening_hours="24/7",
        evses=(
            Evse(
                uid="1",
                evse_id="DEAEWE002501",
                connectors=(Connector(type=T.TYPE2, power_kw=22, format=SOCKET, current=THREE),),
            ),
            Evse(uid="2", connectors=(Connector(type=T.CCS2, power_kw=150, format=CABLE, current=DC),)),
        ),
    )


def test_facts_say_what_the_licence_asks() -> None:
    assert FACTS.licence == "CC-BY-4.0"
    assert FACTS.attribution == "Bundesnetzagentur.de"


@pytest.mark.parametrize(
    ("plug", "expected"),
    [
        ("AC Typ 2 Steckdose", (T.TYPE2, SOCKET, THREE)),
        ("AC Steckdose Typ 2", (T.TYPE2, SOCKET, THREE)),
        ("AC Typ 2 Fahrzeugkupplung", (T.TYPE2, CABLE, THREE)),
        ("AC Kupplung Typ 2", (T.TYPE2, CABLE, THREE)),
        ("Typ 2", (T.TYPE2, None, None)),
        ("AC Typ 1 Steckdose", (T.TYPE1, SOCKET, ONE)),
        ("AC Typ 1 Fahrzeugkupplung", (T.TYPE1, CABLE, ONE)),
        ("Adapter Typ1 \xa0Auto auf Typ2 Fahrzeugkupplung", (T.TYPE1, CABLE, ONE)),
        ("AC Schuko", (T.SCHUKO, SOCKET, ONE)),
        ("AC CEE 3-polig", (T.CEE_BLUE, SOCKET, ONE)),
        ("AC CEE 3 polig", (T.CEE_BLUE, SOCKET, ONE)),
        ("AC CEE 5-polig", (T.CEE_RED, SOCKET, THREE)),
        ("AC CEE 5 polig", (T.CEE_RED, SOCKET, THREE)),
        ("DC Fahrzeugkupplung Typ Combo 2 (CCS)", (T.CCS2, CABLE, DC)),
        ("DC Kupplung Combo", (T.CCS2, CABLE, DC)),
        ("dc kupplung  combo", (T.CCS2, CABLE, DC)),
        ("DC CHAdeMO", (T.CHADEMO, CABLE, DC)),
        ("DC Megawatt Charging System (MCS)", (T.MCS, CABLE, DC)),
        ("DC Tesla Fahrzeugkupplung (Typ 2)", (T.TYPE2, CABLE, DC)),
        ("DC Kupplung Tesla Typ 2", (T.TYPE2, CABLE, DC)),
        ("Typ 2 / Tesla", (T.TYPE2, CABLE, None)),
        ("Tesla", (T.TYPE2, CABLE, None)),
        ("Kabellos/Induktiv", (T.OTHER, None, None)),
    ],
)
def test_plugs_of_all_years(plug: str, expected: tuple[object, ...]) -> None:
    (connector,), notes = connectors(plug, "22")
    assert (connector.type, connector.format, connector.current) == expected
    assert notes == ()


@pytest.mark.parametrize("plug", ["AC / CEE", "NACS (SAE J3400)"])
def test_an_unknown_plug_is_stored_as_other(plug: str) -> None:
    assert connectors(plug, "22") == (
        (Connector(type=T.OTHER, power_kw=22),),
        (f"plug {plug!r} unknown, stored as other",),
    )


@pytest.mark.parametrize(("power", "current"), [("3,7", ONE), ("4,6", ONE), ("7,4", None), ("11", THREE), ("", None)])
def test_the_phases_of_a_type_2_plug_follow_from_its_power(power: str, current: PowerType | None) -> None:
    (connector,), _ = connectors("AC Typ 2 Steckdose", power)
    assert connector.current == current


@pytest.mark.parametrize(
    ("plugs", "powers", "expected"),
    [
        ("AC Typ 2 Steckdose; DC CHAdeMO", "22; 50", [22, 50]),
        ("AC Typ 2 Steckdose;DC CHAdeMO", "22,5;49,5", [22.5, 49.5]),
        ("AC Steckdose Typ 2, AC Schuko", "22, 3,7", [22, 3.7]),
        ("AC Typ 2 Steckdose; DC CHAdeMO", "11", [None, 11]),
        ("AC Typ 2 Steckdose, DC CHAdeMO", "50,5", [None, 50.5]),
        ("AC Typ 2 Steckdose; DC CHAdeMO", "", [None, None]),
        ("AC Typ 2 Steckdose;", "22;", [22]),
        ("AC Typ 2 Steckdose; DC CHAdeMO", "; 50", [None, 50]),
        ("AC Typ 2 Steckdose", "1.000,5", [1000.5]),
    ],
)
def test_plugs_and_powers_are_paired(plugs: str, powers: str, expected: list[float | None]) -> None:
    found, notes = connectors(plugs, powers)
    assert [connector.power_kw for connector in found] == expected
    assert notes == ()


@pytest.mark.parametrize(
    ("plugs", "powers", "note"),
    [
        ("AC Typ 2 Steckdose; DC CHAdeMO; AC Schuko", "22; 50", "powers do not match the plugs, stored as unknown"),
        ("AC Typ 2 Steckdose", "0", "power implausible, stored as unknown"),
        ("AC Typ 2 Steckdose", "-22", "power implausible, stored as unknown"),
        ("AC Typ 2 Steckdose", "22000", "power implausible, stored as unknown"),
        ("AC Typ 2 Steckdose", "bis 22", "power unreadable, stored as unknown"),
        ("AC Typ 2 Steckdose", "nan", "power unreadable, stored as unknown"),
    ],
)
def test_a_doubtful_power_is_unknown(plugs: str, powers: str, note: str) -> None:
    found, notes = connectors(plugs, powers)
    assert {connector.power_kw for connector in found} == {None}
    assert notes == (note,)


def test_a_power_without_a_plug_is_a_connector_of_unknown_type() -> None:
    assert connectors("", "22") == ((Connector(type=T.OTHER, power_kw=22),), ("plug type missing, stored as other",))


def test_an_id_without_plug_and_power_is_an_evse_without_connectors() -> None:
    station, notes = device(Steckertypen1="", Nennleistung_Stecker1="", EVSE_ID1="DE*AB7*E1")
    assert station.evses == (Evse(uid="1", evse_id="DE*AB7*E1"),)
    assert notes == ()


@pytest.mark.parametrize(
    "written",
    ["DE*AB7*E840*6487", "DEAB7E8406487", "de*ab7*e1", "DE-ACO-E10202-U2-01-1", "DEALLEGO003422_1", "DE*GMS*259628",
     "DE*ELD*ESGGX", "+49*810*000*438"],
)  # fmt: skip
def test_evse_ids_are_kept_as_written(written: str) -> None:
    station, notes = device(EVSE_ID1=f" {written}\t")
    assert station.evses[0].evse_id == written
    assert notes == ()


@pytest.mark.parametrize(
    "written",
    ["1 Ladepunkt mit 11 kW", "6952605", "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", "ausstehend", "x" * 5000,
     "DE*BEC*H001301-2\nDE*BEC*H001301-3"],
)  # fmt: skip
def test_free_text_is_no_evse_id(written: str) -> None:
    station, notes = device(EVSE_ID1=written)
    assert station.evses[0].evse_id is None
    assert notes == ("EVSE-ID is not of the form of one, ignored",)


def test_slots_keep_their_number() -> None:
    station, notes = device(Steckertypen4="DC CHAdeMO", Nennleistung_Stecker4="50", Anzahl_Ladepunkte="2")
    assert [evse.uid for evse in station.evses] == ["1", "4"]
    assert notes == ()


def test_charge_points_that_are_only_claimed_are_evses_without_connectors() -> None:
    station, notes = device(Steckertypen2="AC Schuko", Anzahl_Ladepunkte="12", Status="In Wartung")
    assert [evse.uid for evse in station.evses] == [str(uid) for uid in range(1, 13)]
    assert [len(evse.connectors) for evse in station.evses] == [1, 1] + [0] * 10
    assert {evse.status for evse in station.evses} == {EvseStatus.INOPERATIVE}
    assert notes == ("charge points beyond those described, stored without plugs",)


@pytest.mark.parametrize("claimed", ["zwei", "-1", "4400"])
def test_an_implausible_number_of_charge_points_is_ignored(claimed: str) -> None:
    station, notes = device(Anzahl_Ladepunkte=claimed)
    assert len(station.evses) == 1
    assert notes == ("number of charge points implausible, ignored",)


@pytest.mark.parametrize(
    ("word", "status"),
    [("In Betrieb", None), ("", None), ("In Wartung", EvseStatus.INOPERATIVE),
     ("Außer Betrieb", EvseStatus.OUTOFORDER), ("AUSSER BETRIEB", EvseStatus.OUTOFORDER),
     ("Geplant", EvseStatus.PLANNED)],
)  # fmt: skip
def test_status(word: str, status: EvseStatus | None) -> None:
    station, notes = device(Status=word)
    assert station.evses[0].status == status
    assert notes == ()


def test_an_unknown_status_is_ignored() -> None:
    station, notes = device(Status="Im Umbau")
    assert station.evses[0].status is None
    assert notes == ("status 'Im Umbau' unknown, ignored",)


@pytest.mark.parametrize(
    ("words", "access"),
    [("", Access.PUBLIC), ("Keine Beschränkung", Access.PUBLIC), ("keine Beschränkung", Access.PUBLIC),
     ("Nur für Kunden/Besucher", Access.RESTRICTED)],
)  # fmt: skip
def test_access_follows_the_parking_space(words: str, access: Access) -> None:
    station, notes = device(Informationen_zum_Parkraum=words)
    assert station.access == access
    assert notes == ()


def test_an_unknown_parking_rule_leaves_access_open() -> None:
    station, notes = device(Informationen_zum_Parkraum="Nur Taxis")
    assert station.access is None
    assert notes == ("parking 'Nur Taxis' unknown, access left open",)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"Anzeigename_(Karte)": "Lidl"}, "Lidl, Am Berg 1"),
        ({"Standortbezeichnung": "Motel One Berlin Hauptbahnhof"}, "Albwerk GmbH, Motel One Berlin Hauptbahnhof"),
        ({"Standortbezeichnung": "S-6HKYC5"}, "Albwerk GmbH, Am Berg 1"),
        ({"Standortbezeichnung": "4460_Kland_Berlin Prenzlauer Berg"}, "Albwerk GmbH, Am Berg 1"),
        ({"Hausnummer": "0"}, "Albwerk GmbH, Am Berg"),
        ({"Hausnummer": ""}, "Albwerk GmbH, Am Berg"),
        ({"Straße": "", "Hausnummer": ""}, "Albwerk GmbH, Heroldstatt"),
        ({"Betreiber": ""}, "Am Berg 1"),
        ({"Betreiber": "", "Straße": "", "Hausnummer": "0", "Ort": ""}, "Ladeeinrichtung 1010338"),
    ],
)
def test_the_title_names_brand_and_place(changes: dict[str, str], title: str) -> None:
    station, _ = device(**changes)
    assert station.title == title


@pytest.mark.parametrize(
    ("systems", "price"),
    [("Kostenlos", "Kostenlos"), ("Kostenlos (Registrierung)", "Kostenlos (Registrierung)"), ("", None),
     ("Onlinezahlungsverfahren;RFID-Karte", None), ("Kostenlos;RFID-Karte", None)],
)  # fmt: skip
def test_only_what_is_free_has_a_price(systems: str, price: str | None) -> None:
    station, _ = device(Bezahlsysteme=systems)
    assert station.price == price


WEEK = "Montag; Dienstag; Mittwoch; Donnerstag; Freitag; Samstag; Sonntag"


@pytest.mark.parametrize(
    ("stated", "days", "times", "hours"),
    [
        ("247", WEEK, "; ".join(["00:00-23:59"] * 7), "24/7"),
        ("247", "", "", "24/7"),
        ("24/7", "", "", "24/7"),
        ("Keine Angabe", "", "", None),
        ("", "", "", None),
        ("Eingeschränkt", "", "", "Eingeschränkt"),
        ("Eingeschränkt", WEEK, "; ".join(["06:00-22:00"] * 7), "Mo-Su 06:00-22:00"),
        ("Eingeschränkt", WEEK, "; ".join(["00:00-23:59"] * 7), "24/7"),
        ("Eingeschränkt", WEEK, "06:00-23:59", "Mo-Su 06:00-24:00"),
        ("Eingeschränkt", "Samstag; Sonntag", "10:00-17:00; 10:00-17:00", "Sa-Su 10:00-17:00"),
        ("Eingeschränkt", "Montag; Mittwoch", "11:00-17:00; 11:00-17:00", "Mo 11:00-17:00; We 11:00-17:00"),
        ("Eingeschränkt", "Freitag; Freitag; Samstag", "08:00-12:00; 13:00-18:00; 08:00-12:00",
         "Fr 08:00-12:00,13:00-18:00; Sa 08:00-12:00"),
        ("Eingeschränkt", "Montag", "22:00-06:00", "Mo 22:00-06:00"),
    ],
)  # fmt: skip
def test_opening_hours(stated: str, days: str, times: str, hours: str | None) -> None:
    assert opening_hours(stated, days, times) == (hours, True)
    station, notes = device(Öffnungszeiten=stated, Öffnungszeiten_Wochentage=days, Öffnungszeiten_Tageszeiten=times)
    assert station.opening_hours == hours
    assert notes == ()


@pytest.mark.parametrize(
    ("days", "times"),
    [("Montag; Dienstag", "08:00-12:00; 08:00-12:00; 08:00-12:00"), ("Feiertag", "08:00-12:00"),
     ("Montag", "vormittags"), ("Montag", ""), ("", "08:00-12:00")],
)  # fmt: skip
def test_opening_hours_that_are_not_understood_stay_as_written(days: str, times: str) -> None:
    station, notes = device(
        Öffnungszeiten="Eingeschränkt", Öffnungszeiten_Wochentage=days, Öffnungszeiten_Tageszeiten=times
    )
    assert station.opening_hours == f"{days} {times}".strip()
    assert notes == ("opening hours not understood, stored as written",)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Breitengrad", "", "missing"),
        ("Längengrad", "unbekannt", "not_a_number"),
        ("Breitengrad", "52.516.197", "not_a_number"),
        ("Breitengrad", "48442398", "coordinates_out_of_range"),
        ("Längengrad", "-180,5", "coordinates_out_of_range"),
    ],
)
def test_a_row_without_a_position_is_rejected_and_the_next_is_read(column: str, value: str, reason: str) -> None:
    bad, good = outcomes(table(DEVICE | {column: value}, DEVICE | {"Ladeeinrichtungs-ID": "2"}))
    assert isinstance(bad, Rejection)
    assert (bad.field, bad.value, bad.reason, bad.external_id) == (column, value, reason, "1010338")
    assert (bad.position.record, bad.position.line) == (1, 2)
    assert isinstance(good, Parsed)


def test_a_row_of_another_width_is_rejected_and_the_next_is_read() -> None:
    header, row, _ = table(DEVICE).split(b"\r\n")
    bad, good = outcomes(b"\n".join([header, b"1;A;B;C", row]))
    assert isinstance(bad, Rejection)
    assert bad.reason == "column_count"
    assert isinstance(good, Parsed)
    assert good.position.record == 2


def test_an_edition_of_2019_in_windows_1252() -> None:
    with (DATA / "bnetza" / "2019-four-points.csv").open("rb") as file:
        first, second = parse(file)
    assert isinstance(first, Parsed)
    assert isinstance(second, Parsed)
    station = first.station
    assert station.title == "Stadtwerke Beispiel, Marktstraße 49"
    assert (station.address, station.postal_code, station.city) == ("Marktstraße 49", "68159", "Mannheim am Rhein")
    assert (station.longitude, station.latitude) == (8.46764, 49.4947)
    assert [[(c.type, c.power_kw) for c in evse.connectors] for evse in station.evses] == [
        [(T.TYPE2, 22), (T.SCHUKO, 3.7)],
        [(T.TYPE2, 22)],
    ]
    assert first.notes == ()
    assert second.station.postal_code == "01067"
    assert [[(c.type, c.power_kw, c.current) for c in evse.connectors] for evse in second.station.evses] == [
        [(T.TYPE2, 135, None)],
        [(T.TYPE2, 135, DC)],
        [(T.TYPE2, 135, None)],
        [(T.OTHER, 22, None)],
        *[[]] * 4,
    ]
    assert second.notes == (
        "plug 'AC / CEE' unknown, stored as other",
        "charge points beyond those described, stored without plugs",
    )


def test_an_edition_without_ids_separated_by_commas() -> None:
    content = (DATA / "bnetza" / "2022-without-ids.csv").read_bytes()
    found = outcomes(content)
    stations = [outcome.station for outcome in found if isinstance(outcome, Parsed)]
    assert len(stations) == 4
    assert [station.address for station in stations] == ["Am Markt", "Am Markt", "Am Markt 2", "Am Markt"]
    assert {station.postal_code for station in stations} == {"01067"}
    assert (stations[2].longitude, stations[2].latitude) == (13.7374, 51.0505)
    assert [c.type for c in stations[2].evses[0].connectors] == [T.CCS2, T.CHADEMO]
    first, second, other, third = (station.external_id for station in stations)
    assert (second, third) == (f"{first}-2", f"{first}-3"), "equal devices are told apart by their order"
    assert len(first) == 16
    assert first[:16] != other[:16]
    rejected = found[4]
    assert isinstance(rejected, Rejection)
    assert (rejected.field, rejected.reason) == ("Breitengrad", "missing")
    assert rejected.external_id is not None
    assert found == outcomes(content), "the next import gives the same ids"


def test_derived_ids_do_not_depend_on_the_spelling_of_numbers_or_other_rows() -> None:
    row = {"Betreiber": "A", "Breitengrad": "52,5", "Längengrad": "13,4"}
    assert DerivedIds().id_of(row) == DerivedIds().id_of(row | {"Breitengrad": "52.5", "Steckertypen1": "AC Schuko"})
    assert DerivedIds().id_of(row) != DerivedIds().id_of(row | {"Betreiber": "B"})


def test_the_memory_for_derived_ids_is_bounded() -> None:
    ids = DerivedIds()
    for number in range(MAX_REMEMBERED + 100):
        ids.id_of({"Betreiber": str(number)})
    assert len(ids._seen) == MAX_REMEMBERED


@pytest.mark.parametrize(
    "spelling",
    [
        str.upper,
        lambda name: name.replace(" ", "").replace("-", "_"),
        lambda name: name.encode().decode("cp1252", errors="replace"),
        lambda name: name.encode("ascii", errors="replace").decode().replace("?", "\ufffd"),
        lambda name: name.replace("ä", "ae").replace("Ö", "Oe").replace("ß", "ss"),
        lambda name: name.replace("ä", "a\u0308").replace("Ö", "O\u0308"),
        lambda name: f" {name} ",
    ],
)
def test_column_names_may_be_mangled(spelling: Callable[[str], str]) -> None:
    columns = [spelling(name) for name in TODAY]
    row = DEVICE | {"Öffnungszeiten": "247", "EVSE-ID1": "DE*AB7*E1"}
    (outcome,) = outcomes(table({spelling(name): cell for name, cell in row.items()}, columns=columns))
    assert outcome == outcomes(table(row))[0]
    assert isinstance(outcome, Parsed)
    assert outcome.station.opening_hours == "24/7"
    assert outcome.station.evses[0].evse_id == "DE*AB7*E1"


def test_a_station_needs_no_more_than_operator_and_position() -> None:
    (outcome,) = outcomes("Betreiber;Breitengrad;Längengrad\nA;52,5;13,4\n".encode())
    assert isinstance(outcome, Parsed)
    assert (outcome.station.title, outcome.station.evses, outcome.notes) == ("A", (), ())


@pytest.mark.parametrize("content", [b"", b"Ladestation;Ort\nA;B\n", b"Betreiber;Breitengrad\nA;1\n"])
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(SourceFormatError):
        outcomes(content)


@given(st.lists(st.dictionaries(st.sampled_from(TODAY), st.text(max_size=30)), max_size=5))
def test_every_row_has_one_outcome_whatever_it_says(changes: list[dict[str, str]]) -> None:
    rows = [
        DEVICE | {name: cell.replace('"', "").replace("\r", " ") for name, cell in row.items()} for row in changes
    ]
    found = outcomes(table(*rows))
    assert [outcome.position.record for outcome in found] == list(range(1, len(rows) + 1))
    assert sum(outcome.records for outcome in found) == len(rows)


def test_the_whole_of_berlin(real_data: Path) -> None:
    with (real_data / "bnetza" / "berlin-2025.csv").open("rb") as file:
        found = list(parse(file))
    stations = [outcome.station for outcome in found if isinstance(outcome, Parsed)]
    assert len(found) == len(stations) == 4528
    assert len({station.external_id for station in stations}) == 4528
    evses = [evse for station in stations for evse in station.evses]
    assert len(evses) == 7019
    assert sum(evse.evse_id is not None for evse in evses) == 1440
    assert Counter(connector.type for evse in evses for connector in evse.connectors) == {
        T.TYPE2: 5935,
        T.CCS2: 1210,
        T.CHADEMO: 108,
        T.SCHUKO: 3,
    }
    assert all(connector.power_kw for evse in evses for connector in evse.connectors)
    assert Counter(station.access for station in stations) == {Access.PUBLIC: 4401, Access.RESTRICTED: 127}
    hours = Counter(station.opening_hours for station in stations)
    assert (hours[None], hours["24/7"], hours["Eingeschränkt"], len(hours)) == (3496, 959, 14, 21)
    assert Counter(station.price for station in stations) == {None: 4475, "Kostenlos": 53}
    notes = Counter(note for outcome in found if isinstance(outcome, Parsed) for note in outcome.notes)
    assert notes == {"EVSE-ID is not of the form of one, ignored": 24}


def test_an_edition_as_downloaded(real_data: Path) -> None:
    with (real_data / "bnetza" / "excerpt-2026-09-with-preamble.csv").open("rb") as file:
        found = list(parse(file))
    stations = {outcome.station.external_id: outcome for outcome in found if isinstance(outcome, Parsed)}
    assert len(found) == len(stations) == 11
    assert found[0].position.line == 12
    maintained = stations["1084823"].station
    assert {evse.status for evse in maintained.evses} == {EvseStatus.INOPERATIVE}
    (truck,) = stations["1150139"].station.evses
    assert [(c.type, c.power_kw) for c in truck.connectors] == [(T.MCS, 1000), (T.CCS2, 600)]
    cee, _ = stations["1137340"].station.evses[0].connectors
    assert (cee.type, cee.current) == (T.CEE_RED, THREE)
    assert stations["1137340"].station.access is Access.RESTRICTED
    assert stations["1142486"].station.evses[0].evse_id == "DEQRMEMJPPC11"
    assert stations["1125796"].station.opening_hours == "Mo-Su 06:00-22:00"
    assert stations["1125796"].station.title == "ALDI SÜD, Lerchenbergstr. 8"
    assert {key: item.notes for key, item in stations.items() if item.notes} == {
        "1148160": ("EVSE-ID is not of the form of one, ignored",)
    }
