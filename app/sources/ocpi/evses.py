"""The EVSEs of a location (`EVSE`, OCPI 2.2.1 §8.3.2), and what was seen of them."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from app.sources.ocpi.codes import STATUSES
from app.sources.ocpi.connectors import connectors_of
from app.sources.records import BadField, Seen
from app.sources.times import instant
from app.sources.values import text
from app.stations.model import Evse
from app.stations.vocabulary import EvseStatus

MAX_EVSES = 2_000
"""Of one location, as in StationCreate."""
_LASTING = {EvseStatus.INOPERATIVE, EvseStatus.OUTOFORDER, EvseStatus.PLANNED}
_EVSE_ID = re.compile(
    r"[A-Z]{2}[*-]?[A-Z0-9](?:[*_-]*[A-Z0-9]){4,}|\+?\d{1,3}\*\d{3,6}\*[\d*]+", re.IGNORECASE | re.ASCII
)
"""What may be unique in the world: a country and more (eMI3 / ISO 15118-2 Annex H), or the numbers of the earlier
DIN SPEC 91286 (`+49*810*000*438`). Elsewhere feeds put what stands on the device, such as `1`."""

Fields = dict[str, Any]


def evses_of(location: Fields, seen: list[Seen], notes: list[str]) -> tuple[Evse, ...]:
    """In the order given, without those that are removed; states with their times go to `seen`."""
    evses: dict[str, Evse] = {}
    for fields in _listed(location.get("evses"), notes):
        status = STATUSES.read(fields.get("status"), notes)
        if status is None and fields.get("status"):
            status = EvseStatus.UNKNOWN
        uid = _uid(fields, notes)
        if status is EvseStatus.REMOVED:
            notes.append("removed EVSE left out")
        elif uid in evses:
            notes.append("EVSE with the uid of an earlier one left out")
        elif uid:
            at = _seen_at(fields, location, notes) if status else None
            evses[uid] = _evse(uid, fields, status if at is None else None, notes)
            if status and at:
                seen.append(Seen(uid, status, at))
    return tuple(evses.values())


def _listed(evses: object, notes: list[str]) -> Iterator[Fields]:
    if evses is None:
        return
    if not isinstance(evses, list):
        raise BadField("evses", evses, "not_a_list", "The EVSEs of a location are a list.")
    if len(evses) > MAX_EVSES:
        raise BadField("evses", len(evses), "count_not_plausible", f"Over {MAX_EVSES} EVSEs.")
    for fields in evses:
        if isinstance(fields, dict):
            yield fields
        else:
            notes.append("EVSE that is no object left out")


def _uid(fields: Fields, notes: list[str]) -> str | None:
    if uid := text(fields.get("uid"), 200):
        return uid
    evse_id = text(fields.get("evse_id"), 200)
    notes.append("uid missing, evse_id in its place" if evse_id else "EVSE without uid and evse_id left out")
    return evse_id


def _seen_at(fields: Fields, location: Fields, notes: list[str]) -> datetime | None:
    """When the EVSE was last updated, else the location; `None` for a state of unknown age."""
    for holder in (fields, location):
        try:
            if at := instant("last_updated", holder.get("last_updated"), notes):
                return at
        except BadField:
            notes.append("last_updated is no time of our century, not used")
    notes.append("status without a time, stored only if it lasts")
    return None


def _evse(uid: str, fields: Fields, status: EvseStatus | None, notes: list[str]) -> Evse:
    return Evse.model_validate(
        {
            "uid": uid,
            "evse_id": _evse_id(fields, notes),
            "status": status if status in _LASTING else None,
            "connectors": connectors_of(fields.get("connectors"), notes),
        }
    )


def _evse_id(fields: Fields, notes: list[str]) -> str | None:
    evse_id = text(fields.get("evse_id"), 200)
    if evse_id is None:
        notes.append("evse_id missing")
    elif not _EVSE_ID.fullmatch(evse_id):
        notes.append("evse_id that names no country left out")
        return None
    return evse_id
