"""What the cells about a station say: its identity and its fields."""

from typing import Any

from app.sources.irve.columns import Site, boolean, stated_id
from app.sources.records import BadField
from app.sources.values import degrees, text
from app.stations.vocabulary import Access


def external_id(site: Site) -> str:
    """Return the lasting id of the station that a row belongs to.

    That is `id_station_itinerance`; for a station outside roaming (`Non concerné`), for which the schema then wants
    `id_station_local`, that id with the operator's name, because operators choose it each for themselves; without
    either, the station's name with its coordinates.
    """
    if itinerance := stated_id(text(site.id_station_itinerance, 200)):
        return itinerance
    if local := text(site.id_station_local, 100):
        return f"{local}@{_operator(site) or ''}"[:200].rstrip()
    coordinates = "".join(character for character in site.coordonneesXY if character.isdigit() or character in ".,-")
    if not coordinates:
        raise BadField(
            "id_station_itinerance",
            site.id_station_itinerance,
            "missing",
            "The row tells neither an id of its station nor its coordinates.",
            "Give id_station_itinerance, or id_station_local for a station outside roaming.",
        )
    return f"{text(site.nom_station, 150) or ''}@{coordinates[:49]}"


def fields(site: Site, notes: list[str]) -> dict[str, Any]:
    """Return the arguments of StationCreate that the site gives."""
    longitude, latitude = _coordinates(site)
    title = text(site.nom_station) or text(site.nom_enseigne) or text(site.adresse_station)
    if title is None:
        raise BadField("nom_station", "", "missing", "A station needs a name, and no other cell can stand in for it.")
    return {
        "title": title,
        "operator": _operator(site),
        "address": text(site.adresse_station),
        "city": text(site.consolidated_commune),
        "postal_code": text(site.consolidated_code_postal, 20),
        "longitude": longitude,
        "latitude": latitude,
        "access": _access(site, notes),
        "opening_hours": text(site.horaires, 2_000),
        "price": text(site.tarification, 2_000) or ("gratuit" if boolean("gratuit", site.gratuit, notes) else None),
    }


def _operator(site: Site) -> str | None:
    return text(site.nom_operateur) or text(site.nom_enseigne) or text(site.nom_amenageur)


def _coordinates(site: Site) -> tuple[float, float]:
    """Longitude and latitude: `[lon, lat]` in `coordonneesXY`, else the two consolidated columns."""
    if not site.coordonneesXY:
        return (
            degrees("consolidated_longitude", site.consolidated_longitude, 180, decimal_comma=True),
            degrees("consolidated_latitude", site.consolidated_latitude, 90, decimal_comma=True),
        )
    pair = site.coordonneesXY.strip("[]() ")
    parts = pair.split(";") if ";" in pair else pair.split(",") if "," in pair else pair.split()
    if len(parts) != 2:
        raise BadField(
            "coordonneesXY",
            site.coordonneesXY,
            "coordinates_unreadable",
            "These are not two numbers.",
            "Write longitude and latitude in degrees as [2.3522, 48.8566].",
        )
    try:
        return (
            degrees("coordonneesXY", parts[0], 180, decimal_comma=True),
            degrees("coordonneesXY", parts[1], 90, decimal_comma=True),
        )
    except BadField as fault:
        fault.value = site.coordonneesXY  # all of the cell, not the half at fault
        raise


def _access(site: Site, notes: list[str]) -> Access | None:
    """`Accès réservé` takes identification or a barrier; `Accès libre` may yet stand on a customers' car park."""
    condition = site.condition_acces.casefold().replace("é", "e")
    if "reserve" in condition:
        return Access.RESTRICTED
    if "libre" in condition:
        is_for_customers = site.implantation_station.casefold().endswith("clientèle")
        return Access.RESTRICTED if is_for_customers else Access.PUBLIC
    if condition:
        notes.append("condition_acces unknown, not stored")
    return None
