"""From `EnergyInfrastructureSiteStatus` to what was seen of each refill point."""

from collections.abc import Iterator

from app.sources.datex2.codes import STATUSES
from app.sources.datex2.fields import Fields, elements, listed, members, of_class, word
from app.sources.records import BadField, Observed, Outcome, Position, rejection
from app.sources.times import instant
from app.sources.values import required, text
from app.stations.vocabulary import EvseStatus


def states_of(site: Fields, publication: Fields, records: int) -> Iterator[Outcome]:
    """One outcome for each refill point, the first of which is the record after `records` others.

    A state without a time of its own is as old as that of its station, site or publication."""
    for station in listed(site.get("energyInfrastructureStationStatus")):
        for wrapped in elements(station.get("refillPointStatus")):
            records += 1
            yield _state(wrapped, (station, site, publication), Position(records))


def _state(wrapped: object, holders: tuple[Fields, ...], position: Position) -> Outcome:
    notes: list[str] = []
    try:
        state = required("refillPointStatus", of_class(wrapped, "PointStatus"))
        evse_id = required("reference.idG", text(members(state.get("reference")).get("idG"), 200))
        status = required("status", word(state.get("status")))
        known = STATUSES.read(status, notes) or EvseStatus.UNKNOWN
        times = (state.get("lastUpdated"), *(_time(holder) for holder in holders))
        written = next((time for time in times if time), None)
        at = required("lastUpdated", instant("lastUpdated", written, notes))
    except BadField as fault:
        return rejection(position, fault, None)
    return Observed(evse_id, known, at, position, notes=tuple(notes))


def _time(holder: Fields) -> object:
    return holder.get("lastUpdated") or holder.get("publicationTime")
