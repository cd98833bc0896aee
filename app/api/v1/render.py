"""Stations as the JSON of version 1."""

from datetime import datetime
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


def event(place: str, station_id: int, station: StoredStation | None) -> bytes:
    """A server-sent event of a station, or that it is gone, after which a reader goes on from `place`; the shapes are
    `StationStatusEvent` and `StationGone`."""
    told = b"gone", orjson.dumps({"station_id": station_id})
    if station is not None:
        told = b"status", orjson.dumps(states(station), option=orjson.OPT_UTC_Z)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (place.encode(), *told)


def states(station: StoredStation) -> dict[str, Any]:
    """Of all its EVSEs; the shape is `StationStatusEvent`."""
    return {
        "station_id": station.id,
        "status": station_status(evse.status for evse in station.evses),
        "evse_count": len(station.evses),
        "available_count": _available_count(station),
        "updated_at": _updated_at(station),
        "evses": [
            {
                "uid": evse.uid,
                "evse_id": evse.evse_id,
                "status": evse.status,
                "observed_at": evse.observed_at,
                "stale_since": evse.stale_since,
                "connectors": sorted({connector["type"] for connector in evse.connectors}),
            }
            for evse in station.evses
        ],
    }


def _available_count(station: StoredStation) -> int:
    return sum(evse.status is EvseStatus.AVAILABLE for evse in station.evses)


def _updated_at(station: StoredStation) -> datetime | None:
    seen = (evse.observed_at for evse in station.evses if evse.observed_at and not evse.stale_since)
    return max(seen, default=None)


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
        "available_count": _available_count(station),
        "updated_at": _updated_at(station),
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
