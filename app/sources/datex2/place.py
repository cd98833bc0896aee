"""Where a facility is: `LocationReference`, of which areas, points and others each have coordinates their own way."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from app.sources.datex2.fields import Fields, listed, members, of_class, phrase, word
from app.sources.records import BadField
from app.sources.values import degrees, text

_ISO_CODE = re.compile(r"[A-Z]{2}")


class Address(NamedTuple):
    street: str | None = None
    """Street and house number."""
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None
    """ISO 3166-1 alpha-2."""


def position(facilities: Iterable[Fields]) -> tuple[float, float]:
    """Longitude and latitude of the first facility that has any. Raises BadField where none has."""
    for facility in facilities:
        for location in _locations(facility):
            point = location.get("coordinatesForDisplay") or _point_coordinates(location)
            if point := members(point):
                return degrees("longitude", point.get("longitude"), 180), degrees(
                    "latitude", point.get("latitude"), 90
                )
    raise BadField("locationReference", "", "missing", "Neither the site nor any station of it has coordinates.")


def _point_coordinates(location: Fields) -> object:
    return members(location.get("pointByCoordinates")).get("pointCoordinates")


def address(facilities: Iterable[Fields]) -> Address:
    """Of the first facility that has one."""
    for facility in facilities:
        for location in _locations(facility):
            for extension in location.values():
                if found := members(of_class(extension, "FacilityLocation")).get("address"):
                    return _address(members(found))
    return Address()


def _locations(facility: Fields) -> list[Fields]:
    """The reference may come in several forms beside each other."""
    return [
        location for location in members(facility.get("locationReference")).values() if isinstance(location, dict)
    ]


def _address(fields: Fields) -> Address:
    lines = {word(line.get("type")): phrase(line.get("text")) for line in listed(fields.get("addressLine"))}
    street = " ".join(filter(None, (lines.get("street"), lines.get("houseNumber"))))
    country = str(fields.get("countryCode")).upper()
    return Address(
        text(street),
        text(fields.get("postcode"), 20),
        phrase(fields.get("city")),
        country if _ISO_CODE.fullmatch(country) else None,
    )
