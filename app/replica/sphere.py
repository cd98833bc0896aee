"""Distances on the sphere.

Places are unit vectors, so that the equator, Greenwich, the antimeridian and the poles are ordinary. The straight
line through the globe (the chord) between two of them grows with the distance over ground, hence nearest by chord is
nearest.
"""

import math

import numpy as np
from numpy.typing import NDArray

from app.stations.query import Box

EARTH_RADIUS_KM = 6371.0088
"""Mean radius R1 of WGS 84 (IUGG)."""

CHORD_MARGIN = 1e-12
"""Added to chords so that rounding never loses a point; the exact distance is computed afterwards."""

Vectors = NDArray[np.float64]
Rows = NDArray[np.intp]


def unit_vectors(longitude_deg: NDArray[np.float64], latitude_deg: NDArray[np.float64]) -> Vectors:
    """Points on the unit sphere, shape (n, 3)."""
    longitude, latitude = np.radians(longitude_deg), np.radians(latitude_deg)
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
    )


def unit_vector(longitude_deg: float, latitude_deg: float) -> tuple[float, float, float]:
    """One of them, in less time."""
    longitude, latitude = math.radians(longitude_deg), math.radians(latitude_deg)
    return math.cos(latitude) * math.cos(longitude), math.cos(latitude) * math.sin(longitude), math.sin(latitude)


def distances_mm(points: Vectors, origin: Vectors) -> NDArray[np.int64]:
    """Great-circle distances in whole millimetres, precise from 0 to the antipodes.

    The angle is atan2(|a × b|, a · b): arcsine and arccosine lose half the digits at one end."""
    (x, y, z), (ox, oy, oz) = points.T, origin
    cross = np.sqrt((y * oz - z * oy) ** 2 + (z * ox - x * oz) ** 2 + (x * oy - y * ox) ** 2)
    angle = np.arctan2(cross, points @ origin)
    millimetres: NDArray[np.int64] = np.rint(angle * (EARTH_RADIUS_KM * 1e6)).astype(np.int64)
    return millimetres


def chord_of(radius_km: float) -> float:
    """Length of the chord under an arc, in Earth radii."""
    return 2 * math.sin(min(radius_km / EARTH_RADIUS_KM, math.pi) / 2) + CHORD_MARGIN


def cap_around(box: Box) -> tuple[float, float, float | None]:
    """Longitude and latitude in degrees, and a radius in km, of a circle that the box lies in; `None`: everywhere.

    No point of a box that is at most 180° wide is farther from its middle than its corners."""
    width = (box.east - box.west) % 360 if box.east != box.west else 0.0
    if width > 180 or (box.east - box.west) == 360:
        return 0.0, 0.0, None
    centre = box.west + width / 2, (box.south + box.north) / 2
    origin = unit_vectors(*(np.array(each) for each in centre))
    edges = np.array([box.west, box.west + width])
    corners = unit_vectors(*np.meshgrid(edges, np.array([box.south, box.north]))).reshape(-1, 3)
    return *centre, float(distances_mm(corners, origin).max()) / 1e6 + 0.001
