"""Write app/ingest/country_boxes.py from Natural Earth.

    python tools/country_boxes.py countries-10m.json iso_3166-1.json > app/ingest/country_boxes.py

The first file comes with the npm package `world-atlas` 2.0.2 (TopoJSON of Natural Earth 1:10 million, public domain;
a feature's id is the ISO 3166-1 numeric code), the second with Debian's `iso-codes` (numeric code to alpha-2).
"""

import json
import math
import sys
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

Points = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

CELL = 0.1
"""Degrees: the land is taken as points so close together that the box of some of them is the box of their land."""
MAX_BOXES = 12
MIN_SAVING_KM2 = 60_000
"""A cut that frees less is not worth a box: about the margin of 50 km along 1,200 km of border."""

PARTS: dict[str, tuple[str, tuple[Box, ...]]] = {
    "BQ": ("NL", ((-68.6, 11.9, -68, 12.5), (-63.4, 17.3, -62.9, 17.8))),
    "BV": ("NO", ((3, -55, 4, -54),)),
    "CC": ("Indian Ocean Ter.", ((96, -13, 97.5, -11),)),
    "CX": ("Indian Ocean Ter.", ((105, -11, 106.5, -10),)),
    "GF": ("FR", ((-55, 2, -51, 6),)),
    "GP": ("FR", ((-61.9, 15.7, -60.9, 16.6),)),
    "MQ": ("FR", ((-61.3, 14.3, -60.7, 15),)),
    "RE": ("FR", ((55, -21.5, 56, -20.7),)),
    "YT": ("FR", ((44.9, -13.1, 45.4, -12.5),)),
    "SJ": ("NO", ((10, 74, 35, 81), (-9.5, 70.5, -7.5, 71.5))),
    "TK": ("NZ", ((-173, -10, -171, -8),)),
    "crimea": ("RU", ((32.4, 44.3, 36.7, 46.3),)),
}
"""Places that Natural Earth draws as part of another feature: that feature, and the boxes that cut them out."""

ALSO: dict[str, tuple[str, ...]] = {
    "AU": ("CC", "CX", "HM", "NF"),
    "CN": ("HK", "MO"),
    "CU": ("USNB Guantanamo Bay",),
    "CY": ("Akrotiri", "Cyprus U.N. Buffer Zone", "Dhekelia", "N. Cyprus"),
    "DK": ("FO", "GL"),
    "FI": ("AX",),
    "FR": ("BL", "MF", "NC", "PF", "PM", "TF", "WF"),
    "GB": ("GG", "GI", "IM", "JE"),
    "KZ": ("Baikonur",),
    "MA": ("EH",),
    "NL": ("AW", "CW", "SX"),
    "RS": ("Kosovo",),
    "SO": ("Somaliland",),
    "UA": ("crimea",),
    "US": ("AS", "GU", "MP", "PR", "UM", "VI"),
    "XK": ("Kosovo",),
}
"""Places that sources also list under this code. XK is in common use, though not in ISO 3166-1."""


def read_arcs(topology: dict[str, Any]) -> list[Points]:
    """Undo the quantisation: arcs hold differences of whole steps (TopoJSON specification, section 2.1.3)."""
    scale, translate = (np.array(topology["transform"][name]) for name in ("scale", "translate"))
    return [np.cumsum(np.array(arc), axis=0) * scale + translate for arc in topology["arcs"]]


def points_of(feature: dict[str, Any], arcs: list[Points]) -> Points:
    """Return points all over the land of a feature: closely along its outlines, and the centre of every cell."""
    polygons = [feature["arcs"]] if feature["type"] == "Polygon" else feature["arcs"]
    rings = [
        unbroken(np.concatenate([arcs[i] if i >= 0 else arcs[~i][::-1] for i in rings[0]])) for rings in polygons
    ]
    points = np.concatenate([part(ring) for ring in rings for part in (densified, filled)])
    points[:, 0] = (points[:, 0] + 180) % 360 - 180
    return points


def unbroken(ring: Points) -> Points:
    """Let longitudes run on past 180 degrees, and close a ring around the south pole by way of the pole."""
    ring = np.column_stack([np.unwrap(ring[:, 0], period=360), ring[:, 1]])
    (first, _), (last, _) = ring[0], ring[-1]
    return ring if abs(last - first) < 180 else np.concatenate([ring, [(last, -90), (first, -90)], ring[:1]])


def densified(ring: Points) -> Points:
    """Return the ring with enough points added that neighbours are at most half a cell apart."""
    lengths = np.abs(np.diff(ring, axis=0)).max(axis=1)
    position = np.concatenate([[0], np.cumsum(np.maximum(1, np.ceil(lengths / (CELL / 2))))])
    wanted = np.arange(position[-1] + 1)
    return np.column_stack([np.interp(wanted, position, ring[:, axis]) for axis in (0, 1)])


def filled(ring: Points) -> Points:
    """Return the centres of the cells inside the ring, row by row, by the even-odd rule."""
    (x0, y0), (x1, y1) = ring[:-1].T, ring[1:].T
    found = [np.empty((0, 2))]
    for y in cell_centres(ring[:, 1].min(), ring[:, 1].max()):
        crossed = (y0 <= y) != (y1 <= y)
        x = x0[crossed] + (y - y0[crossed]) / (y1[crossed] - y0[crossed]) * (x1[crossed] - x0[crossed])
        for west, east in np.sort(x).reshape(-1, 2):
            inside = cell_centres(west, east)
            found.append(np.column_stack([inside, np.full(len(inside), y)]))
    return np.concatenate(found)


def cell_centres(low: float, high: float) -> Any:
    return (np.arange(math.ceil(low / CELL - 0.5), math.floor(high / CELL - 0.5) + 1) + 0.5) * CELL


def within(points: Points, box: Box) -> Points:
    west, south, east, north = box
    lon, lat = points.T
    return points[(west <= lon) & (lon <= east) & (south <= lat) & (lat <= north)]


def box_of(points: Points) -> Box:
    """Return the smallest box, rounded outward to whole cells."""
    west, south = np.floor(points.min(axis=0) / CELL + 1e-9) * CELL
    east, north = np.ceil(points.max(axis=0) / CELL - 1e-9) * CELL
    return west, south, east, north


def area_km2(west: Any, south: Any, east: Any, north: Any) -> Any:
    return 6371.0088**2 * np.radians(east - west) * (np.sin(np.radians(north)) - np.sin(np.radians(south)))


def best_cut(points: Points) -> tuple[float, Points, Points]:
    """Return the square kilometres that the best straight cut frees, and the points on both sides of it."""
    whole = area_km2(*box_of(points))
    best = (0.0, points, points)
    for axis in (0, 1):
        ordered = points[np.argsort(points[:, axis])]
        (low, high), size = ordered[[0, -1], axis], len(ordered)
        cut = np.searchsorted(ordered[:, axis], np.arange(math.floor(low / CELL) + 1, high / CELL) * CELL)
        cut = cut[(cut > 0) & (cut < size)]
        if not len(cut):
            continue
        lows, highs = np.minimum.accumulate(ordered), np.maximum.accumulate(ordered)
        lows_above, highs_above = (
            np.minimum.accumulate(ordered[::-1])[::-1],
            np.maximum.accumulate(ordered[::-1])[::-1],
        )
        below = area_km2(*lows[cut - 1].T, *highs[cut - 1].T)
        freed = whole - below - area_km2(*lows_above[cut].T, *highs_above[cut].T)
        if freed.max() > best[0]:
            where = cut[freed.argmax()]
            best = (freed.max(), ordered[:where], ordered[where:])
    return best


def cover(points: Points) -> list[Box]:
    """Cut at the best place until nothing much is to be gained; largest box first."""
    parts = [(points, *best_cut(points))]
    while len(parts) < MAX_BOXES:
        widest = max(range(len(parts)), key=lambda i: parts[i][1])
        _, freed, below, above = parts[widest]
        if freed < MIN_SAVING_KM2:
            break
        parts[widest : widest + 1] = [(below, *best_cut(below)), (above, *best_cut(above))]
    return sorted((box_of(part[0]) for part in parts), key=lambda box: -area_km2(*box))


def points_by_code(topology: dict[str, Any], alpha_2: dict[str, str]) -> dict[str, Points]:
    """Return the points of every ISO code, and of the features without one under their names."""
    arcs = read_arcs(topology)
    found = defaultdict(list)
    for feature in topology["objects"]["countries"]["geometries"]:
        found[alpha_2.get(feature.get("id"), feature["properties"]["name"])].append(points_of(feature, arcs))
    result = {code: np.concatenate(parts) for code, parts in found.items()}
    for code, (whole, boxes) in PARTS.items():
        result[code] = np.concatenate([within(result[whole], box) for box in boxes])
    for code, others in ALSO.items():
        result[code] = np.concatenate(
            [*(result[code] for code in (code,) if code in result), *map(result.get, others)]
        )
    return result


def main() -> None:
    topology, iso = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3])
    alpha_2 = {country["numeric"]: country["alpha_2"] for country in iso["3166-1"]}
    points = points_by_code(topology, alpha_2)
    table = {code: cover(points[code]) for code in sorted({*alpha_2.values(), "XK"})}
    lines = [written(code, boxes) for code, boxes in table.items()]
    sys.stdout.write(HEAD + "\n".join(lines) + "\n}\n")


def written(code: str, boxes: list[Box]) -> str:
    numbers = (",~".join(f"{round(degrees, 1) + 0.0:g}" for degrees in box) for box in boxes)
    entry = f'"{code}": ({" ".join(f"({box})," for box in numbers)}),'
    return textwrap.fill(entry, 118, initial_indent="    ", subsequent_indent=" " * 11).replace("~", " ")


HEAD = '''"""Where each country lies: boxes that together cover its land, for telling that a point cannot be in it.

Made by tools/country_boxes.py from Natural Earth 4.1 Admin 0 at 1:10 million (naturalearthdata.com, public domain) as
packed by the npm package world-atlas 2.0.2. Rounded outward to 0.1 degree, so small islets and piers may lie a little
outside. All 249 codes of ISO 3166-1, and XK, which is in common use for Kosovo. A country also has the boxes of the
places that sources list under it: the French overseas departments and territories under FR and under their own codes,
Puerto Rico under US and PR, Crimea under UA and RU. It is no statement about borders.
"""

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees, WGS 84, west < east: a country across the antimeridian has boxes on both
sides."""

# fmt: off
COUNTRY_BOXES: dict[str, tuple[Box, ...]] = {
'''

if __name__ == "__main__":
    main()
