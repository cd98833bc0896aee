"""Open Charge Map's sites ("POI", point of interest) as stations.

Form: Open Charge Map API 3.0, OpenAPI definition at `/v3/openapi`, schemas `POI` and `AddressInfo`; a JSON array or
JSON Lines. Where a number and the object it stands for are both given the number counts, so that compact and verbose
answers make the same station; the object is used for numbers that the tables lack.

What depends on the question asked (`Distance`) or on people's visits (`DateLastVerified`, comments, check-ins) is not
read.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, BinaryIO

from app.sources.json_stream import read_json_records
from app.sources.ocm.equipment import evses_of, status_id_of
from app.sources.ocm.fields import Fields, folded, integer, line, reference_id
from app.sources.ocm.reference import (
    COUNTRIES,
    FIRST_DELISTED,
    NO_OPERATOR,
    OPERATORS,
    PUBLISHED_SUBMISSIONS,
    STATUS_TYPES,
    UNPUBLISHED_SUBMISSIONS,
    USAGE_TYPES,
    Country,
)
from app.sources.records import BadField, Outcome, SkipRecord, SourceFacts, convert_records
from app.sources.values import degrees
from app.stations.model import StationCreate
from app.stations.vocabulary import Access, EvseStatus

FACTS = SourceFacts(
    name="ocm",
    title="Open Charge Map",
    homepage="https://openchargemap.org",
    licence="CC-BY-4.0",
    licence_url="https://creativecommons.org/licenses/by/4.0/",
    attribution="Open Charge Map Contributors and data providers (openchargemap.org)",
    cadence=timedelta(days=1),
    record_noun="POIs",
)
"""The licence is that of what contributors wrote. Imported sites keep their data provider's own; asking the API with
`opendata=true` leaves out those that are not under an open one."""

ALWAYS_OPEN = "24 hours daily"
"""How the largest import words it."""
MAX_POSTAL_CODE_CHARACTERS = 20
_ISO_CODE = re.compile(r"[A-Z]{2}")


def parse(file: BinaryIO) -> Iterator[Outcome]:
    """Yield one outcome per POI. Raises SourceFormatError where the text is no JSON."""
    return convert_records(read_json_records(file), _station, _external_id)


def _external_id(record: dict[str, Any]) -> str | None:
    poi_id = integer(folded(record).get("id"))
    return str(poi_id) if poi_id else None


def _station(record: dict[str, Any], notes: list[str]) -> StationCreate:
    poi = folded(record)
    poi_id = _poi_id(poi)
    _skip_unpublished(poi)
    site_status_id = status_id_of(poi, notes)
    if STATUS_TYPES[site_status_id] is EvseStatus.REMOVED:
        raise SkipRecord(f"status type {site_status_id}, removed", gone=True)
    address = folded(poi.get("addressinfo"))
    country = _country(address, notes)
    return StationCreate(
        source=FACTS.name,
        external_id=str(poi_id),
        title=_title(address, poi_id, notes),
        operator=_operator(poi, notes),
        address=_street(address),
        city=line(address.get("town")),
        postal_code=_postal_code(address, notes),
        country=country.iso_code if country else None,
        longitude=degrees("AddressInfo.Longitude", address.get("longitude"), 180),
        latitude=degrees("AddressInfo.Latitude", address.get("latitude"), 90),
        evses=evses_of(poi, site_status_id, country.continent if country else "", notes),
        access=_access(poi, notes),
        opening_hours=_opening_hours(address),
        price=line(poi.get("usagecost"), 2_000),
    )


def _poi_id(poi: Fields) -> int:
    poi_id = integer(poi.get("id"))
    if not poi_id:
        raise BadField("ID", poi.get("id", ""), "missing", "A site without an ID cannot be known again.")
    return poi_id


def _skip_unpublished(poi: Fields) -> None:
    """The API gives published sites unless asked for others; one without a submission status is published."""
    code = reference_id(poi, "submissionstatustypeid", "submissionstatus")
    if code is None or code in PUBLISHED_SUBMISSIONS:
        return
    if code in UNPUBLISHED_SUBMISSIONS:
        raise SkipRecord(UNPUBLISHED_SUBMISSIONS[code], gone=code >= FIRST_DELISTED)
    if folded(poi.get("submissionstatus")).get("islive") is not True:
        raise SkipRecord(f"submission status {code} unknown")


def _title(address: Fields, poi_id: int, notes: list[str]) -> str:
    """Without a title, the street or else the name under which the site is shown at Open Charge Map."""
    if title := line(address.get("title")):
        return title
    notes.append("title missing, made from address or ID")
    return line(address.get("addressline1")) or f"OCM-{poi_id}"


def _street(address: Fields) -> str | None:
    lines = (line(address.get("addressline1")), line(address.get("addressline2")))
    return line(", ".join(filter(None, lines)))


def _postal_code(address: Fields, notes: list[str]) -> str | None:
    code = line(address.get("postcode"))
    if code and len(code) > MAX_POSTAL_CODE_CHARACTERS:
        notes.append("postal code too long, left out")
        return None
    return code


def _country(address: Fields, notes: list[str]) -> Country | None:
    code = reference_id(address, "countryid", "country")
    if code in COUNTRIES:
        return COUNTRIES[code]
    embedded = folded(address.get("country"))
    iso_code = str(embedded.get("isocode")).upper()
    if _ISO_CODE.fullmatch(iso_code):
        return Country(iso_code, str(embedded.get("continentcode")))
    if code:
        notes.append(f"country {code} unknown")
    return None


def _operator(poi: Fields, notes: list[str]) -> str | None:
    code = reference_id(poi, "operatorid", "operatorinfo")
    if not code or code in NO_OPERATOR:
        return None
    title = OPERATORS.get(code) or line(folded(poi.get("operatorinfo")).get("title"))
    if title is None:
        notes.append(f"operator {code} unknown")
    return title


def _access(poi: Fields, notes: list[str]) -> Access | None:
    code = reference_id(poi, "usagetypeid", "usagetype") or 0
    if code not in USAGE_TYPES:
        notes.append(f"usage type {code} unknown")
    return USAGE_TYPES.get(code)


def _opening_hours(address: Fields) -> str | None:
    hours = line(address.get("accesscomments"), 2_000)
    return "24/7" if hours == ALWAYS_OPEN else hours
