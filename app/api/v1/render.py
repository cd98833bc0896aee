"""Stations as the JSON of version 1."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson

from app.replica import slots
from app.replica.slots import Fragment
from app.stations.model import ConnectorGroup, StoredStation, connector_groups
from app.stations.status import station_status
from app.stations.vocabulary import EvseStatus


def summary(station: StoredStation) -> Fragment:
    """An item of a search, complete but for the distance and what is filled in; the shape is `StationSummary`."""
    groups = [(group, slots.FREE_IN_GROUP) for group in connector_groups(station)]
    live = orjson.dumps(_live(slots.STATUS, slots.FREE, slots.UPDATED, groups))
    fixed = orjson.dumps(_fixed(station), option=orjson.OPT_UTC_Z)
    return Fragment(fixed[:-1], b"," + slots.unquoted(live)[1:-1])


def detail(station: StoredStation) -> bytes:
    """One station with all that is known of it; the shape is `StationDetail`."""
    return orjson.dumps(
        {
            **_fixed(station),
            **_live_now(station),
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


def _fixed(station: StoredStation) -> dict[str, Any]:
    """What changes only with the record."""
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
        "source": station.source,
        "external_id": station.external_id,
        "last_updated": station.last_updated,
        "evse_count": len(station.evses),
        "max_power_kw": max(powers, default=None),
    }


def _live_now(station: StoredStation) -> dict[str, Any]:
    is_free = [evse.status is EvseStatus.AVAILABLE for evse in station.evses]
    groups = [(group, sum(is_free[n] for n in group.evses)) for group in connector_groups(station)]
    status = station_status(evse.status for evse in station.evses)
    return _live(status, sum(is_free), _updated_at(station), groups)


def _live(
    status: str,
    free: int | str,
    updated_at: datetime | str | None,
    groups: Iterable[tuple[ConnectorGroup, int | str]],
) -> dict[str, Any]:
    """What changes with what is observed, or its slots."""
    return {
        "status": status,
        "available_count": free,
        "updated_at": updated_at,
        "connectors": [
            {"type": group.type, "power_kw": group.power_kw, "total": len(group.evses), "available": free_in_group}
            for group, free_in_group in groups
        ],
    }
