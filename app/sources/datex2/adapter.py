"""DATEX II version 3 in JSON: the table publication as stations, the status publication as observations.

Package EnergyInfrastructure of DATEX II 3.5 to 3.7, and the AFIR recharging profile. A site is a station here, its
refill points are the EVSEs; the table's own "stations", the devices in between, have no counterpart. One record is
one refill point, so that both publications are counted alike; a site without any counts as one.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, BinaryIO

from app.errors import SourceFormatError
from app.sources.datex2.fields import Fields, listed, of_class, phrase
from app.sources.datex2.hours import opening_hours
from app.sources.datex2.place import address, position
from app.sources.datex2.points import evses_of, refill_points
from app.sources.datex2.states import states_of
from app.sources.json_stream import not_an_object, walk_json
from app.sources.records import Outcome, Position, SkipRecord, SourceFacts, convert_records
from app.sources.values import required, text
from app.stations.model import StationCreate

FACTS = SourceFacts(
    name="datex2",
    title="DATEX II energy infrastructure",
    homepage="https://docs.datex2.eu",
    licence="The terms of the feed's publisher",
    licence_url="https://docs.datex2.eu",
    attribution="As the feed's publisher asks",
    cadence=timedelta(minutes=10),
    record_noun="refill points",
    status_ttl=timedelta(hours=24),
)
"""Anybody may publish such a feed; VoltWay does not know on what terms."""

SITE, SITE_STATUS = "energyInfrastructureSite", "energyInfrastructureSiteStatus"
MAX_TITLE_CHARACTERS = 100
"""Of additional information that stands in for a name; longer it is prose."""


def parse(file: BinaryIO) -> Iterator[Outcome]:
    """Yield one outcome per site of a table, and one per refill point of a status publication.

    Raises SourceFormatError where the text is no JSON, or neither publication is in it."""
    publication: Fields = {}
    records = 0
    for name, value in walk_json(file, {SITE, SITE_STATUS}):
        for outcome in _outcomes(name, value, publication, records):
            records += outcome.records
            yield outcome
    if not records and "publicationTime" not in publication:
        raise SourceFormatError("The input holds neither a table nor a status publication of DATEX II, version 3.")


def _outcomes(name: str, value: Any, publication: Fields, records: int) -> Iterator[Outcome]:
    if name not in {SITE, SITE_STATUS}:
        if name == "publicationTime":
            publication[name] = value
    elif not isinstance(value, dict):
        yield not_an_object(Position(records + 1), value)
    elif name == SITE_STATUS:
        yield from states_of(value, publication, records)
    else:
        yield _site(value, Position(records + 1))


def _site(site: Fields, at: Position) -> Outcome:
    (outcome,) = convert_records([(at, site)], _station, _external_id)
    return replace(outcome, records=max(1, len(refill_points(site))))


def _external_id(site: Fields) -> str | None:
    return text(site.get("idG"))


def _station(site: Fields, notes: list[str]) -> StationCreate:
    points = refill_points(site)
    evses = evses_of(points, notes)
    if points and not any(of_class(point, "ElectricChargingPoint") for point in points):
        raise SkipRecord("no electric charging point")
    facilities = [site, *listed(site.get("energyInfrastructureStation"))]
    longitude, latitude = position(facilities)
    place = address(facilities)
    hours = (opening_hours(facility.get("operatingHours"), notes) for facility in facilities)
    return StationCreate(
        source=FACTS.name,
        external_id=required("idG", _external_id(site)),
        title=_title(site, place.street, notes),
        operator=_operator(facilities),
        address=place.street,
        city=place.city,
        postal_code=place.postal_code,
        country=place.country,
        longitude=longitude,
        latitude=latitude,
        evses=evses,
        opening_hours=next(filter(None, hours), None),
    )


def _title(site: Fields, street: str | None, notes: list[str]) -> str:
    if name := phrase(site.get("name")):
        return name
    notes.append("name missing, made from additional information, address or id")
    descriptions = (phrase(each) for each in listed(site.get("additionalInformation")))
    short = (each for each in descriptions if each and len(each) <= MAX_TITLE_CHARACTERS)
    return next(short, None) or street or f"Site {text(site.get('idG'), 200)}"


def _operator(facilities: list[Fields]) -> str | None:
    for facility in facilities:
        organisation = of_class(facility.get("operator"), "Organisation", "OrganisationSpecification")
        if organisation and (name := phrase(organisation.get("name")) or phrase(organisation.get("legalName"))):
            return name
    return None
