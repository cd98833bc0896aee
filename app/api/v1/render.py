"""Stations as the JSON of version 1."""

from typing import Any

import orjson

from app.stations.model import StoredStation
from app.stations.status import station_status
from app.stations.vocabulary import EvseStatus


def summary(station: StoredStation) -> bytes:
    """An item of a search, complete but for the distance; the shape is `StationSummary`."""
    return orjson.dumps(_summary(station), option=orjson.OPT_UTC_Z)


def detail(station: StoredStation) -> bytes:
    """One station with all that is known of it; the shape is `StationDetail`."""
    return orjson.dumps(
        {
            **_summary(station),
            "evses": [
                {
                    "uid": evse.uid,
                    "evse_id": evse.evse_id,
                    "status": evse.status,
                    "observed_at": evse.observed_at,
                    "stale_since": evse.stale_since,
                    "connectors": evse.connectors,
                }
                for evse in station.evses
            ],
            "created_at": station.created_at,
            "licence": station.licence,
            "licence_url": station.licence_url,
            "attribution": station.attribution,
        },
        option=orjson.OPT_UTC_Z,
    )


def _summary(station: StoredStation) -> dict[str, Any]:
    powers = [c["power_kw"] for evse in station.evses for c in evse.connectors if "power_kw" in c]
    return {
        "id": station.id,
        "title": station.title,
        "operator": station.operator,
        "address": station.address,
        "city": station.city,
        "postal_code": station.postal_code,
        "country": station.country,
        "latitude": station.latitude,
        "longitude": station.longitude,
        "access": station.access,
        "opening_hours": station.opening_hours,
        "price": station.price,
        "status": station_status(evse.status for evse in station.evses),
        "evse_count": len(station.evses),
        "available_count": sum(evse.status is EvseStatus.AVAILABLE for evse in station.evses),
        "max_power_kw": max(powers, default=None),
        "connectors": _connector_groups(station),
        "source": station.source,
        "external_id": station.external_id,
        "last_updated": station.last_updated,
    }


def _connector_groups(station: StoredStation) -> list[dict[str, Any]]:
    """Connectors of equal type and power together, the strongest first."""
    groups: dict[tuple[str, float | None], dict[str, Any]] = {}
    for evse in station.evses:
        free = evse.status is EvseStatus.AVAILABLE
        for connector in evse.connectors:
            key = connector["type"], connector.get("power_kw")
            group = groups.setdefault(key, {"type": key[0], "power_kw": key[1], "total": 0, "available": 0})
            group["total"] += 1
            group["available"] += free
    return sorted(groups.values(), key=lambda group: (-(group["power_kw"] or 0), group["type"]))
