"""The charging-station register of the Bundesnetzagentur (Ladesäulenregister), in its monthly CSV form."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import BinaryIO

from app.sources.bnetza.charge_points import Row, evses_of
from app.sources.bnetza.codes import ACCESS
from app.sources.bnetza.columns import is_header, layout
from app.sources.bnetza.identity import DerivedIds
from app.sources.bnetza.opening_hours import opening_hours
from app.sources.records import Outcome, Position, Rejection, SourceFacts, convert_records
from app.sources.tabular import read_table
from app.sources.values import degrees, text
from app.stations.model import StationCreate
from app.stations.vocabulary import Access

FACTS = SourceFacts(
    name="bnetza",
    title="Ladesäulenregister der Bundesnetzagentur",
    homepage="https://www.bundesnetzagentur.de/DE/Fachthemen/ElektrizitaetundGas/E-Mobilitaet/Ladesaeulenkarte/start.html",
    licence="CC-BY-4.0",
    licence_url="https://creativecommons.org/licenses/by/4.0/",
    attribution="Bundesnetzagentur.de",
    cadence=timedelta(days=30),
    record_noun="charging devices",
)

_PLACE_NAME = re.compile(r"(?!.*(?:_|\d{4}))(?=.*[a-zäöüß]{3}).* .*")
"""A `Standortbezeichnung` for people (`Motel One Berlin Hauptbahnhof`), not an internal number (`S-6HKYC5`)."""


def parse(file: BinaryIO) -> Iterator[Outcome]:
    """Yield one outcome per row, which is one charging device (Ladeeinrichtung) and one station.

    Raises SourceFormatError if no header row is found among the first 100 lines."""
    rows = read_table(file, delimiters=";,", is_header=is_header)
    return convert_records(_with_names_of_today(rows), _station, lambda row: row["Ladeeinrichtungs-ID"])


def _with_names_of_today(
    rows: Iterator[tuple[Position, dict[str, str]] | Rejection],
) -> Iterator[tuple[Position, Row] | Rejection]:
    """Name the columns as today's edition does, and give an id to the devices without one."""
    ids = DerivedIds()
    columns: dict[str, str] = {}
    for item in rows:
        if isinstance(item, Rejection):
            yield item
            continue
        position, cells = item
        columns = columns or layout(cells)
        row = {name: cells[column] for name, column in columns.items()}
        row["Ladeeinrichtungs-ID"] = text(row.get("Ladeeinrichtungs-ID"), max_length=200) or ids.id_of(row)
        yield position, row


def _station(row: Row, notes: list[str]) -> StationCreate:
    postal_code, city = _town(row, notes)
    return StationCreate(
        source=FACTS.name,
        external_id=row["Ladeeinrichtungs-ID"],
        title=_title(row),
        operator=text(row["Betreiber"]),
        address=_address(row),
        city=city,
        postal_code=postal_code,
        country="DE",
        longitude=degrees("Längengrad", row["Längengrad"], 180, decimal_comma=True),
        latitude=degrees("Breitengrad", row["Breitengrad"], 90, decimal_comma=True),
        evses=tuple(evses_of(row, notes)),
        access=_access(row, notes),
        opening_hours=_opening_hours(row, notes),
        price=_price(row),
    )


def _title(row: Row) -> str:
    """Brand (else operator) and place: the site's name if it has one that people use, else the street."""
    site = text(row.get("Standortbezeichnung"))
    place = site if site and _PLACE_NAME.fullmatch(site) else _street(row) or text(row.get("Ort"))
    parts = [text(row.get("Anzeigename (Karte)"), 200) or text(row["Betreiber"], 200), place]
    return ", ".join(part for part in parts if part)[:500] or f"Ladeeinrichtung {row['Ladeeinrichtungs-ID']}"


def _street(row: Row) -> str | None:
    """Street and house number; the number 0 stands for none."""
    house_number = row.get("Hausnummer", "")
    return text(f"{row.get('Straße', '')} {house_number if house_number != '0' else ''}", 300)


def _address(row: Row) -> str | None:
    return ", ".join(filter(None, (_street(row), text(row.get("Adresszusatz"), 190)))) or None


def _town(row: Row, notes: list[str]) -> tuple[str | None, str | None]:
    """Return postal code and town; a postal code that a spreadsheet took for a number gets back its leading zero."""
    postal_code, city = row.get("Postleitzahl", ""), row.get("Ort", "")
    if both := row.get("Postleitzahl Ort"):
        postal_code, _, city = both.partition(" ")
    if len(postal_code) == 4 and postal_code.isdecimal():
        notes.append("postal code of four digits, stored with a leading zero")
        postal_code = f"0{postal_code}"
    return text(postal_code, 20), text(city)


def _access(row: Row, notes: list[str]) -> Access | None:
    words = row.get("Informationen zum Parkraum", "")
    try:
        return ACCESS[words.casefold()]
    except KeyError:
        notes.append(f"parking {words[:60]!r} unknown, access left open")
        return None


def _opening_hours(row: Row, notes: list[str]) -> str | None:
    hours, understood = opening_hours(
        row.get("Öffnungszeiten", ""),
        row.get("Öffnungszeiten: Wochentage", ""),
        row.get("Öffnungszeiten: Tageszeiten", ""),
    )
    if not understood:
        notes.append("opening hours not understood, stored as written")
    return text(hours, 2_000)


def _price(row: Row) -> str | None:
    """`Kostenlos` where no other means of payment is listed beside it; the register has no prices."""
    systems = row.get("Bezahlsysteme", "")
    free = systems and all(system.strip().lower().startswith("kostenlos") for system in systems.split(";"))
    return text(systems) if free else None
