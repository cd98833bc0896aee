"""AFDC alternative fuel stations, from the CSV download or the JSON of the API: one record is one station.

Both forms carry the same fields under different names, and give equal stations, except that only the JSON form has
`ev_charging_units` and so the power. The names in this package are those of the JSON form.
"""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, BinaryIO

from app.errors import SourceFormatError
from app.sources.afdc.codes import COUNTRIES, ELECTRIC, LIMITED_ACCESS
from app.sources.afdc.evses import evses_of
from app.sources.json_stream import read_json_records
from app.sources.records import (
    Outcome,
    Position,
    Rejection,
    SkipRecord,
    SourceFacts,
    convert_records,
)
from app.sources.tabular import read_table
from app.sources.values import degrees, required, text
from app.stations.model import StationCreate
from app.stations.vocabulary import Access

FACTS = SourceFacts(
    name="afdc",
    title="Alternative Fueling Station Locator (United States and Canada)",
    homepage="https://afdc.energy.gov/stations",
    licence="AFDC Data Download Terms and Conditions",
    licence_url="https://afdc.energy.gov/data_download",
    attribution="Alternative Fuels Data Center, U.S. Department of Energy",
    cadence=timedelta(days=1),
    record_noun="stations",
)

CSV_COLUMNS = {
    "id": "ID",
    "fuel_type_code": "Fuel Type Code",
    "status_code": "Status Code",
    "station_name": "Station Name",
    "street_address": "Street Address",
    "city": "City",
    "zip": "ZIP",
    "country": "Country",
    "latitude": "Latitude",
    "longitude": "Longitude",
    "access_code": "Access Code",
    "access_detail_code": "Access Detail Code",
    "restricted_access": "Restricted Access",
    "groups_with_access_code": "Groups With Access Code",
    "access_days_time": "Access Days Time",
    "ev_pricing": "EV Pricing",
    "ev_network": "EV Network",
    "ev_connector_types": "EV Connector Types",
    "ev_level1_evse_num": "EV Level1 EVSE Num",
    "ev_level2_evse_num": "EV Level2 EVSE Num",
    "ev_dc_fast_num": "EV DC Fast Count",
}

_REQUIRED_COLUMNS = {CSV_COLUMNS[name] for name in ("id", "fuel_type_code", "station_name", "latitude", "longitude")}

Record = dict[str, Any]


def parse(file: BinaryIO) -> Iterator[Outcome]:
    """Read the CSV or the JSON form, whichever the first character says."""
    start = file.read(1024).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    file.seek(0)
    if start in b"[{":
        records = read_json_records(file, list_keys={"fuel_stations"})
        return convert_records(records, _station, _external_id)
    return _parse_csv(file)


def _parse_csv(file: BinaryIO) -> Iterator[Outcome]:
    for outcome in convert_records(_csv_records(file), _station, _external_id):
        if isinstance(outcome, Rejection):
            yield replace(outcome, field=CSV_COLUMNS.get(outcome.field, outcome.field))
        else:
            yield outcome


def _csv_records(file: BinaryIO) -> Iterator[tuple[Position, Record] | Rejection]:
    for item in read_table(file, delimiters=",", is_header=_is_header):
        if isinstance(item, Rejection):
            yield item
        else:
            position, row = item
            yield position, {name: row.get(column) for name, column in CSV_COLUMNS.items()}


def _is_header(names: Sequence[str]) -> bool:
    if "EV J1772 Connector Count" in names:
        raise SourceFormatError(
            "This is AFDC's file of charging ports, with several rows for a station. "
            "Download the stations as CSV, or as JSON, which includes the ports."
        )
    return _REQUIRED_COLUMNS.issubset(names)


def _external_id(record: Record) -> str | None:
    return text(record.get("id"), 200)


def _station(record: Record, notes: list[str]) -> StationCreate:
    fuel = required("fuel_type_code", text(record.get("fuel_type_code"), 20))
    if fuel != ELECTRIC:
        raise SkipRecord(f"fuel {fuel}")
    return StationCreate(
        source=FACTS.name,
        external_id=required("id", text(record.get("id"), 200)),
        title=required("station_name", text(record.get("station_name"))),
        operator=_operator(record),
        address=text(record.get("street_address")),
        city=text(record.get("city")),
        postal_code=text(record.get("zip"), 20),
        country=_country(record, notes),
        longitude=degrees("longitude", record.get("longitude"), 180),
        latitude=degrees("latitude", record.get("latitude"), 90),
        evses=evses_of(record, notes),
        access=_access(record, notes),
        opening_hours=_opening_hours(record),
        price=text(record.get("ev_pricing"), 2_000),
    )


def _operator(record: Record) -> str | None:
    """The network; `Non-Networked` (`NON_NETWORKED` in some editions) says that there is none."""
    network = text(record.get("ev_network"))
    letters = "".join(filter(str.isalpha, network or ""))
    return None if letters.casefold() == "nonnetworked" else network


def _country(record: Record, notes: list[str]) -> str | None:
    country = text(record.get("country"), 20)
    if country is None or country in COUNTRIES:
        return country
    notes.append(f"country {country} unknown, not stored")
    return None


def _access(record: Record, notes: list[str]) -> Access | None:
    """From `access_code`; editions without it tell by the text `Public - Call ahead`, `PLANNED - ... (Private)`."""
    stated = (text(record.get("access_code")) or text(record.get("groups_with_access_code")) or "").casefold()
    if "private" in stated:
        return Access.PRIVATE
    if "public" in stated:
        is_restricted = str(record.get("restricted_access")).casefold() == "true"
        is_limited = text(record.get("access_detail_code")) in LIMITED_ACCESS
        return Access.RESTRICTED if is_restricted or is_limited else Access.PUBLIC
    if stated:
        notes.append(f"access code {stated[:20]} unknown, not stored")
    return None


def _opening_hours(record: Record) -> str | None:
    hours = text(record.get("access_days_time"), 2_000)
    return "24/7" if hours and hours.casefold() == "24 hours daily" else hours
