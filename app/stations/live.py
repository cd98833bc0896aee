"""Live status: what was seen of EVSEs. The newest observation of each counts, for as long as its source says."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import UtcDateTime
from app.db.bulk import upsert_many
from app.db.dialect import microseconds, take_turns
from app.stations.model import EvseObservation
from app.stations.status import expires_at
from app.stations.tables import EvseKey, EvseStatusRow, Station
from app.stations.vocabulary import EvseStatus

_STATUS: Any = EvseStatusRow.__table__
_REPLACED = ("status", "observed_at", "received_at", "source", "expires_at")
_CAREFUL = (
    EvseStatus.AVAILABLE,
    EvseStatus.UNKNOWN,
    EvseStatus.PLANNED,
    EvseStatus.REMOVED,
    EvseStatus.RESERVED,
    EvseStatus.BLOCKED,
    EvseStatus.CHARGING,
    EvseStatus.INOPERATIVE,
    EvseStatus.OUTOFORDER,
)
"""Of two states told of one moment the later in this list counts, in whatever order they come: better to send nobody
than to send somebody to an EVSE that is not free."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One EVSE seen in one state."""

    station_id: int
    evse_uid: str
    status: EvseStatus
    observed_at: datetime
    """The source's time."""


class Effect(StrEnum):
    """What became of an observation."""

    APPLIED = "applied"
    """It is the newest."""
    UNCHANGED = "unchanged"
    """The same was known: it has come before."""
    SUPERSEDED = "superseded"
    """A newer one was known."""
    CONFLICTING = "conflicting"
    """Another state was known of the same moment; the more careful of the two counts."""


async def observe(
    session: AsyncSession,
    source: str,
    observations: Sequence[Observation],
    now: datetime,
    time_to_live: timedelta | None = None,
    *,
    dry_run: bool = False,
) -> list[Effect]:
    """Write live status and return the effects, in the order of the observations.

    The outcome does not depend on the order in which observations come, nor on which process brings them. One from
    the future is taken for one of `now`. `time_to_live`: how long after it was observed a status holds; `None`: until
    it is replaced. A dry run only tells what would be done.
    """
    if not dry_run:
        await take_turns(session, "evse_status")
    newest = await _newest(session, {each.station_id for each in observations})
    changed: dict[tuple[int, str], tuple[EvseStatus, datetime]] = {}
    effects = []
    for each in observations:
        key = each.station_id, each.evse_uid
        seen = each.status, min(each.observed_at, now)
        effect, counts = _compare(newest.get(key), seen)
        effects.append(effect)
        if counts:
            newest[key] = changed[key] = seen
    rows = [
        {
            "station_id": station_id,
            "evse_uid": evse_uid,
            "status": status.value,
            "observed_at": observed_at,
            "expires_at": expires_at(observed_at, time_to_live),
        }
        for (station_id, evse_uid), (status, observed_at) in changed.items()
    ]
    if rows and not dry_run:
        common = {"received_at": now, "source": source}
        await upsert_many(session, _STATUS, rows, common=common, key=("station_id", "evse_uid"), replace=_REPLACED)
    return effects


def _compare(
    known: tuple[EvseStatus | None, datetime] | None, seen: tuple[EvseStatus, datetime]
) -> tuple[Effect, bool]:
    """The effect, and whether what was seen now counts."""
    if known is None or known[1] < seen[1]:
        return Effect.APPLIED, True
    if known[1] > seen[1]:
        return Effect.SUPERSEDED, False
    if known[0] is seen[0]:
        return Effect.UNCHANGED, False
    return Effect.CONFLICTING, known[0] is None or _CAREFUL.index(seen[0]) > _CAREFUL.index(known[0])


async def _newest(
    session: AsyncSession, station_ids: Collection[int]
) -> dict[tuple[int, str], tuple[EvseStatus | None, datetime]]:
    """By station id and EVSE uid; a word that is no status, which only a hand can have written, is None."""
    columns = _STATUS.c
    rows = await session.execute(
        select(columns.station_id, columns.evse_uid, columns.status, columns.observed_at).where(
            columns.station_id.in_(station_ids)
        )
    )
    return {(station_id, uid): (_WORDS.get(word), observed_at) for station_id, uid, word, observed_at in rows}


_WORDS = {status.value: status for status in EvseStatus}


@dataclass(frozen=True, slots=True)
class LiveCount:
    """EVSEs whose newest observation is a source's."""

    source: str
    fresh: int
    stale: int
    """Too old to be shown."""


async def count_by_source(session: AsyncSession, now: datetime) -> list[LiveCount]:
    """Reads the whole table: some tenths of a second for a million EVSEs."""
    columns = _STATUS.c
    stale = func.count().filter(columns.expires_at <= now)
    rows = await session.execute(select(columns.source, func.count(), stale).group_by(columns.source))
    return [LiveCount(source, of_source - old, old) for source, of_source, old in rows]


async def observed_of(session: AsyncSession, station_ids: Collection[int]) -> list[EvseObservation]:
    """The newest of every EVSE of these stations."""
    rows = await session.execute(_OBSERVED.where(_STATUS.c.station_id.in_(station_ids)))
    return [EvseObservation._make(row) for row in rows.all()]


_OBSERVED = select(
    _STATUS.c.station_id,
    _STATUS.c.evse_uid,
    _STATUS.c.status,
    microseconds(_STATUS.c.observed_at),
    microseconds(_STATUS.c.expires_at),
)


async def became_stale(
    session: AsyncSession, after: tuple[datetime, int], until: datetime, limit: int
) -> list[tuple[datetime, int]]:
    """When a status ceased to hold, and of which station, in that order: of those after that moment and station id,
    up to `until`; a station may be there several times. Reads the whole table, as `count_by_source`."""
    ended = _STATUS.c.expires_at, _STATUS.c.station_id
    rows = await session.execute(
        select(*ended)
        .distinct()
        .where(tuple_(*ended) > tuple_(literal(after[0], UtcDateTime), after[1]), ended[0] <= until)
        .order_by(*ended)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


async def find_evses(session: AsyncSession, keys: Collection[str]) -> dict[str, list[tuple[int, str]]]:
    """Station id and uid of the present EVSEs with these public ids, as `app.stations.evse_id.key_of` folds them.

    An EVSE that several sources describe is found in each of their stations.
    """
    rows = await session.execute(
        select(EvseKey.key, EvseKey.station_id, EvseKey.evse_uid)
        .join(Station, Station.id == EvseKey.station_id)
        .where(EvseKey.key.in_(keys), Station.deleted_at.is_(None))
    )
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for key, station_id, evse_uid in rows:
        found[key].append((station_id, evse_uid))
    return found


async def existing_evses(session: AsyncSession, station_ids: Collection[int]) -> set[tuple[int, str]]:
    """Station id and uid of every EVSE of those of the stations that are present."""
    rows = await session.execute(
        select(Station.id, Station.evses).where(Station.id.in_(station_ids), Station.deleted_at.is_(None))
    )
    return {(station_id, evse["uid"]) for station_id, evses in rows for evse in evses}
