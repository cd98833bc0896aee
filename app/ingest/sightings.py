"""Recording what was seen of EVSEs, which sources and clients name in one way or another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.stations import live
from app.stations.live import Effect, Observation
from app.stations.vocabulary import EvseStatus

UNKNOWN_EVSE = "unknown"
"""Stands for the effect where there is no such EVSE."""
_STRONGEST_FIRST = (Effect.APPLIED, Effect.CONFLICTING, Effect.UNCHANGED, Effect.SUPERSEDED)
RESULTS = (*(effect.value for effect in Effect), UNKNOWN_EVSE)


@dataclass(frozen=True, slots=True)
class Sighting:
    """An EVSE seen in a state."""

    evse: str | tuple[int, str]
    """Key of its public id (`app.stations.evse_id`), which several stations may have; or station id and uid."""
    status: EvseStatus
    observed_at: datetime


def record(
    session: Session,
    source: str,
    sightings: Sequence[Sighting],
    now: datetime,
    time_to_live: timedelta | None,
    *,
    dry_run: bool = False,
) -> list[str]:
    """Write live status (see `app.stations.live.observe_here`); for each sighting an Effect or UNKNOWN_EVSE."""
    if not sightings:  # then not even a turn is taken
        return []
    keys = {each.evse for each in sightings if isinstance(each.evse, str)}
    found = live.find_evses(session, keys) if keys else {}
    named = {each.evse for each in sightings if isinstance(each.evse, tuple)}
    existing = live.existing_evses(session, named) if named else set()
    places = [
        found.get(each.evse, []) if isinstance(each.evse, str) else [each.evse] if each.evse in existing else []
        for each in sightings
    ]
    observations = [
        Observation(*place, each.status, each.observed_at)
        for each, at in zip(sightings, places, strict=True)
        for place in at
    ]
    effects = iter(live.observe_here(session, source, observations, now, time_to_live, dry_run=dry_run))
    return [_summed_up({next(effects) for _ in at}) for at in places]


def _summed_up(effects: set[Effect]) -> str:
    return next((effect.value for effect in _STRONGEST_FIRST if effect in effects), UNKNOWN_EVSE)
