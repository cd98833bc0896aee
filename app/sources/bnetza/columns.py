"""The register's columns: today's names, and the names that its older editions and copies of it give them.

The register has no published format description. Editions compared: 2019 (address and town in one column each,
`Breitengrad [DG]`, no plug columns beyond 4), 2020 to 2023 (`Anschlussleistung`, `P1 [kW]`, the misspelt
`Art der Ladeeinrichung`), 2024 (6 charge points, `Anzeigename (Karte)`), 2025 and 2026 (47 columns with
`Ladeeinrichtungs-ID`, `Status`, `EVSE-ID1`).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

MAX_SLOTS = 10
"""Charge points of one row: 4 until 2023, 6 since; the register's map service has columns for 10."""

SLOTS = [
    (str(slot), f"Steckertypen{slot}", f"Nennleistung Stecker{slot}", f"EVSE-ID{slot}")
    for slot in range(1, MAX_SLOTS + 1)
]
"""Number of the charge point, and its columns for plugs, powers in kW, and id."""

_TODAY = [
    "Ladeeinrichtungs-ID", "Betreiber", "Anzeigename (Karte)", "Status", "Anzahl Ladepunkte", "Inbetriebnahmedatum",
    "Straße", "Hausnummer", "Adresszusatz", "Postleitzahl", "Ort", "Breitengrad", "Längengrad", "Standortbezeichnung",
    "Informationen zum Parkraum", "Bezahlsysteme", "Öffnungszeiten", "Öffnungszeiten: Wochentage",
    "Öffnungszeiten: Tageszeiten", *(name for _, *names in SLOTS for name in names),
]  # fmt: skip
"""The columns that are read."""

_OLDER = {
    "Adresse": "Straße",
    "Postleitzahl Ort": "Postleitzahl Ort",
    "Breitengrad [DG]": "Breitengrad",
    "Längengrad [DG]": "Längengrad",
    **{f"P{slot} [kW]": power for slot, _, power, _ in SLOTS},
    **{f"{power} [kW]": power for _, _, power, _ in SLOTS},
}

_INDISPENSABLE = {"Betreiber", "Breitengrad", "Längengrad"}
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ö": "Oe", "ß": "ss"})


def _bare(name: str) -> str:
    """Leave only what survives mojibake and a change of case, blanks and punctuation: `lngengrad`."""
    return re.sub("[^a-z0-9]", "", unicodedata.normalize("NFC", name).lower())


_NAMES = {
    _bare(spelling): today
    for name, today in [*zip(_TODAY, _TODAY, strict=True), *_OLDER.items()]
    for spelling in (name, name.translate(_SPELT_OUT))
}


def is_header(names: Sequence[str]) -> bool:
    return layout(names).keys() >= _INDISPENSABLE


def layout(names: Iterable[str]) -> dict[str, str]:
    """Return the file's own column name for each of today's names that the file has."""
    found: dict[str, str] = {}
    for name in names:
        if today := _NAMES.get(_bare(name)):
            found.setdefault(today, name)
    return found
