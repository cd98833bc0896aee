"""Live status: what was seen of EVSEs. The newest observation of each counts, for as long as its source says."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from itertools import zip_longest
from typing import Any

from sqlalchemy import and_, bindparam, func, literal, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.db.base import UtcDateTime
from app.db.dialect import GivenRows, has_object, in_one_value, microseconds, rows_of, upsert_on, wait_for_turn
from app.stations.changes import EvsesOf
from app.stations.model import EvseObservation
from app.stations.status import expires_at
from app.stations.tables import EvseKey, EvseStatusRow, Station
from app.stations.vocabulary import EvseStatus

_STATUS: Any = EvseStatusRow.__table__
_KEY = ("station_id", "evse_uid")
_REPLACED = ("status", "observed_at", "received_at", "source", "expires_at")
_STATIONS = GivenRows((_STATUS.c.station_id,))
_PLACES = GivenRows((_STATUS.c.station_id, _STATUS.c.evse_uid))
_TOLD = GivenRows((*_PLACES.columns, _STATUS.c.status, _STATUS.c.observed_at, _STATUS.c.expires_at))
_KEY_COLUMN: Any = EvseKey.__table__.c.key
_KEYS = GivenRows((_KEY_COLUMN,))
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


Place = tuple[int, str]
"""Station id and EVSE uid."""
_State = tuple[EvseStatus, datetime]
"""When it was seen."""
_Stored = tuple[EvseStatus | None, datetime]
"""A word that is no status, which only a hand can have written, is None."""


async def observe(
    session: AsyncSession,
    source: str,
    observations: Sequence[Observation],
    now: datetime,
    time_to_live: timedelta | None = None,
) -> list[Effect]:
    """`observe_here` in the event loop."""
    return await session.run_sync(observe_here, source, observations, now, time_to_live)


def observe_here(
    session: Session,
    source: str,
    observations: Sequence[Observation],
    now: datetime,
    time_to_live: timedelta | None,
    *,
    dry_run: bool = False,
) -> list[Effect]:
    """Write live status and return the effects, in the order of the observations.

    The outcome does not depend on the order in which observations come, nor on which process brings them. One from
    the future is taken for one of `now`. `time_to_live`: how long after it was observed a status holds; `None`: until
    it is replaced. A dry run only tells what would be done.
    """
    if not dry_run:
        wait_for_turn(session, "evse_status")
    seen: list[tuple[Place, _State]] = [
        ((each.station_id, each.evse_uid), (each.status, min(each.observed_at, now))) for each in observations
    ]
    stored = _newest(session, {place for place, _ in seen})
    if not dry_run:
        for states in _in_turn(_newer(stored, seen)):
            _write(session, source, states, now, time_to_live)
    return _effects(stored, seen)


def _effects(stored: Mapping[Place, _Stored], seen: Sequence[tuple[Place, _State]]) -> list[Effect]:
    newest = dict(stored)
    effects = []
    for place, state in seen:
        effect, counts = _compare(newest.get(place), state)
        effects.append(effect)
        if counts:
            newest[place] = state
    return effects


def _newer(
    stored: Mapping[Place, _Stored], seen: Sequence[tuple[Place, _State]]
) -> dict[Place, dict[datetime, EvseStatus]]:
    """What goes beyond what is stored, by its moment; of two states of one moment the one that counts."""
    newer: dict[Place, dict[datetime, EvseStatus]] = defaultdict(dict)
    for place, state in seen:
        if _compare(stored.get(place), state)[1]:
            status, at = state
            there = newer[place].get(at)
            if there is None or _compare((there, at), state)[1]:
                newer[place][at] = status
    return newer


def _in_turn(newer: Mapping[Place, Mapping[datetime, EvseStatus]]) -> Iterator[list[tuple[Place, _State]]]:
    """The oldest state of each EVSE, then the next: so the history gets them all, and a statement no EVSE twice."""
    in_order = [[(place, (moments[at], at)) for at in sorted(moments)] for place, moments in newer.items()]
    for states in zip_longest(*in_order):
        yield [each for each in states if each is not None]


def _write(
    session: Session,
    source: str,
    states: Sequence[tuple[Place, _State]],
    now: datetime,
    time_to_live: timedelta | None,
) -> None:
    rows = (
        (station_id, uid, status.value, observed_at, expires_at(observed_at, time_to_live))
        for (station_id, uid), (status, observed_at) in states
    )
    dialect = session.get_bind().dialect
    common = {"received_at": now, "source": source}
    session.execute(_upsert(dialect.name), _TOLD.parameters(dialect, rows) | common)


@cache
def _upsert(dialect: str) -> Any:
    told = _TOLD.table(dialect)
    common = (bindparam(name, type_=_STATUS.c[name].type) for name in ("received_at", "source"))
    whole = select(told, *(each.label(each.key) for each in common)).where(true())  # else SQLite reads ON of a join
    names = [*told.c.keys(), "received_at", "source"]
    return upsert_on(dialect, _STATUS, key=_KEY, replace=_REPLACED).from_select(names, whole)


def _compare(known: _Stored | None, seen: _State) -> tuple[Effect, bool]:
    """The effect, and whether what was seen now counts."""
    if known is None or known[1] < seen[1]:
        return Effect.APPLIED, True
    if known[1] > seen[1]:
        return Effect.SUPERSEDED, False
    if known[0] is seen[0]:
        return Effect.UNCHANGED, False
    return Effect.CONFLICTING, known[0] is None or _CAREFUL.index(seen[0]) > _CAREFUL.index(known[0])


def _newest(session: Session, places: Collection[Place]) -> dict[Place, _Stored]:
    dialect = session.get_bind().dialect
    rows = session.execute(_select_newest(dialect.name), _PLACES.parameters(dialect, places))
    return {(station_id, uid): (_WORDS.get(word), observed_at) for station_id, uid, word, observed_at in rows}


@cache
def _select_newest(dialect: str) -> Any:
    asked, columns = _PLACES.table(dialect), _STATUS.c
    is_asked = and_(columns.station_id == asked.c.station_id, columns.evse_uid == asked.c.evse_uid)
    found = columns.station_id, columns.evse_uid, columns.status, columns.observed_at
    return select(*found).select_from(asked).join(_STATUS, is_asked)


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


def observed_of(session: Session, asked: EvsesOf) -> list[EvseObservation]:
    """The newest of each of these EVSEs; where one is named, also if there is none."""
    dialect = session.get_bind().dialect
    whole = [station_id for station_id, uids in asked.items() if None in uids]
    places = [(station_id, uid) for station_id, uids in asked.items() if None not in uids for uid in uids]
    found: list[EvseObservation] = []
    if whole:
        rows = session.scalar(_all_observed(dialect.name), _STATIONS.parameters(dialect, zip(whole)))
        found += map(EvseObservation._make, rows_of(rows))
    if places:
        rows = session.scalar(_observed(dialect.name), _PLACES.parameters(dialect, places))
        found += map(EvseObservation._make, rows_of(rows))
    return found


@cache
def _all_observed(dialect: str) -> Any:
    """Of stations."""
    columns, asked = _STATUS.c, _STATIONS.table(dialect)
    found = columns.station_id, columns.evse_uid, columns.status, *_TIMES
    return in_one_value(dialect, select(*found).join(asked, asked.c.station_id == columns.station_id))


@cache
def _observed(dialect: str) -> Any:
    """Of EVSEs."""
    columns, asked = _STATUS.c, _PLACES.table(dialect)
    is_asked = and_(columns.station_id == asked.c.station_id, columns.evse_uid == asked.c.evse_uid)
    found = asked.c.station_id, asked.c.evse_uid, columns.status, *_TIMES
    return in_one_value(dialect, select(*found).select_from(asked).outerjoin(_STATUS, is_asked))


_TIMES = (
    func.coalesce(microseconds(_STATUS.c.observed_at), 0).label("observed_us"),
    microseconds(_STATUS.c.expires_at).label("expires_us"),
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


def find_evses(session: Session, keys: Collection[str]) -> dict[str, list[Place]]:
    """The present EVSEs with these public ids, as `app.stations.evse_id.key_of` folds them.

    An EVSE that several sources describe is found in each of their stations.
    """
    dialect = session.get_bind().dialect
    found: dict[str, list[Place]] = defaultdict(list)
    for key, *place in session.execute(_select_by_key(dialect.name), _KEYS.parameters(dialect, zip(keys))):
        found[key].append((place[0], place[1]))
    return found


@cache
def _select_by_key(dialect: str) -> Any:
    asked = _KEYS.table(dialect)
    return (
        select(EvseKey.key, EvseKey.station_id, EvseKey.evse_uid)
        .select_from(asked)
        .join(EvseKey, EvseKey.key == asked.c.key)
        .join(Station, Station.id == EvseKey.station_id)
        .where(Station.deleted_at.is_(None))
    )


def existing_evses(session: Session, places: Collection[Place]) -> set[Place]:
    """Those of them that there are, in stations that are present."""
    dialect = session.get_bind().dialect
    rows = session.execute(_select_existing(dialect.name), _PLACES.parameters(dialect, places))
    return {(station_id, uid) for station_id, uid in rows}


@cache
def _select_existing(dialect: str) -> Any:
    asked = _PLACES.table(dialect)
    is_there = Station.deleted_at.is_(None), has_object(dialect, Station.evses, "uid", asked.c.evse_uid)
    return select(asked).select_from(asked).join(Station, Station.id == asked.c.station_id).where(*is_there)
