"""Is this a place where the station can be? The mistakes that registries make with coordinates, found by rule."""

from dataclasses import dataclass
from math import asin, atan2, cos, degrees, radians, sin, sqrt

from app.ingest.country_boxes import COUNTRY_BOXES, Box

EARTH_RADIUS_KM = 6371.0088
"""Mean radius R1 of the GRS 80 ellipsoid (Moritz, 2000)."""
COUNTRY_MARGIN_KM = 50.0
"""Boxes are coarse, and stations stand on border bridges and artificial islands."""
ZERO_MARGIN_DEGREES = 0.1
"""Around 0/0 there is only sea, 600 km from the next coast; numbers that close to it stand for an empty field."""


@dataclass(frozen=True, slots=True)
class ImplausibleCoordinates:
    """Why a station cannot be where its record says."""

    reason: str
    """Stable code: `coordinates_out_of_range`, `coordinates_zero`, `coordinates_equal`, `coordinates_swapped` or
    `coordinates_outside_country`."""
    why: str
    fix: str


def check_coordinates(longitude: float, latitude: float, country: str | None) -> ImplausibleCoordinates | None:
    """Return what is wrong with a position, `None` if nothing is.

    Degrees, WGS 84; `country` is an ISO 3166-1 alpha-2 code, and where it is unknown no country is checked."""
    boxes = COUNTRY_BOXES.get(country, ()) if country else ()
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        return _swapped(longitude, latitude, country, boxes) or _OUT_OF_RANGE
    if abs(longitude) < ZERO_MARGIN_DEGREES and abs(latitude) < ZERO_MARGIN_DEGREES:
        return _ZERO
    if longitude == latitude:
        return _EQUAL
    for west, south, east, north in boxes:
        if west <= longitude <= east and south <= latitude <= north:
            return None
    if not boxes or (distance := _distance_to_nearest_km(longitude, latitude, boxes)) <= COUNTRY_MARGIN_KM:
        return None
    return _swapped(longitude, latitude, country, boxes) or ImplausibleCoordinates(
        "coordinates_outside_country",
        f"Longitude {longitude}, latitude {latitude} lies at least {distance:,.0f} km outside {country}.",
        "Correct the coordinates (is a sign missing?) or the country.",
    )


_OUT_OF_RANGE = ImplausibleCoordinates(
    "coordinates_out_of_range",
    "There is no such place: longitudes end at -180 and 180, latitudes at -90 and 90 degrees.",
    "Give WGS 84 coordinates in decimal degrees.",
)
_ZERO = ImplausibleCoordinates(
    "coordinates_zero",
    "Longitude and latitude are zero or nearly so, which is a place in the Atlantic Ocean.",
    "Give the coordinates, or leave them empty where they are not known.",
)
_EQUAL = ImplausibleCoordinates(
    "coordinates_equal",
    "Longitude and latitude are the same number, which no surveyed place has.",
    "Give the longitude and the latitude, each in its own field.",
)


def _swapped(
    longitude: float, latitude: float, country: str | None, boxes: tuple[Box, ...]
) -> ImplausibleCoordinates | None:
    """Return the finding if the point lies in the country once its two numbers change places."""
    for west, south, east, north in boxes:
        if west <= latitude <= east and south <= longitude <= north:
            return ImplausibleCoordinates(
                "coordinates_swapped",
                f"Longitude {longitude}, latitude {latitude} lies far outside {country}; the other way round it lies "
                "inside.",
                "Exchange longitude and latitude.",
            )
    return None


def _distance_to_nearest_km(longitude: float, latitude: float, boxes: tuple[Box, ...]) -> float:
    return min(distance_to_box_km(longitude, latitude, box) for box in boxes)


def distance_to_box_km(longitude: float, latitude: float, box: Box) -> float:
    """Great-circle distance in kilometres to the nearest point of a box of meridians and parallels, 0 inside it.

    North or south of the box the way leads along a meridian. East or west of it the nearest point is on one of the
    two bounding meridians: the foot of the perpendicular if the box reaches so far, else a corner."""
    west, south, east, north = box
    if west <= longitude <= east:
        return EARTH_RADIUS_KM * radians(max(south - latitude, latitude - north, 0.0))
    return min(_distance_to_meridian_km(latitude, side - longitude, south, north) for side in (west, east))


def _distance_to_meridian_km(latitude: float, longitude_difference: float, south: float, north: float) -> float:
    """Distance to the part of a meridian between two latitudes."""
    phi, turn = radians(latitude), radians(longitude_difference)
    foot = degrees(atan2(sin(phi), cos(phi) * cos(turn)))
    nearest = (south, north, min(max(foot, south), north))
    return min(_haversine_km(phi, radians(candidate), turn) for candidate in nearest)


def _haversine_km(phi_1: float, phi_2: float, turn: float) -> float:
    """Great-circle distance between two latitudes that are `turn` apart in longitude, all in radians."""
    h = sin((phi_2 - phi_1) / 2) ** 2 + cos(phi_1) * cos(phi_2) * sin(turn / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(h)))
