"""What is remembered of EVSEs: every change of their status (the triggers of migration 0008 write them)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.db.dialect import take_turns
from app.stations.tables import EvseStatusRow, StatusChange
from app.stations.vocabulary import EvseStatus

MAX_CHANGES = 50_000
"""Of a station that are looked at, the newest ones."""
_MONTHS_AHEAD = 2
_STATIONS_AT_ONCE = 1_000
_WORDS = {status.value: status for status in EvseStatus}


class Period(NamedTuple):
    """A time in which an EVSE was in one state."""

    start: datetime
    end: datetime
    status: EvseStatus


@dataclass(frozen=True, slots=True)
class StatusAt:
    """An EVSE got into this state then."""

    evse_uid: str
    at: datetime
    status: EvseStatus


async def changes_between(session: AsyncSession, station_id: int, start: datetime, end: datetime) -> list[StatusAt]:
    """Of a station's EVSEs, after `start` and up to `end`, the newest first; at most MAX_CHANGES."""
    columns = StatusChange.evse_uid, StatusChange.at, StatusChange.status
    rows = await session.execute(
        select(*columns)
        .where(StatusChange.station_id == station_id, StatusChange.at > start, StatusChange.at <= end)
        .order_by(StatusChange.at.desc(), StatusChange.evse_uid)
        .limit(MAX_CHANGES)
    )
    return [StatusAt(uid, at, _WORDS.get(word, EvseStatus.UNKNOWN)) for uid, at, word in rows]


async def periods(
    session: AsyncSession, station_id: int, changes: Sequence[StatusAt], start: datetime, end: datetime
) -> dict[str, list[Period]]:
    """By EVSE uid, in order; times of which nothing is known are left out. `changes`: those of `changes_between`.

    When there were more than MAX_CHANGES, it begins with the first that is known.
    """
    if len(changes) == MAX_CHANGES:
        start = changes[-1].at
    by_evse: dict[str, list[StatusAt]] = defaultdict(list)
    for each in [*await _states_at(session, station_id, start), *reversed(changes)]:
        by_evse[each.evse_uid].append(each)
    expiries = await _expiries(session, station_id)
    return {
        uid: _periods(of_evse, max(start, of_evse[0].at), min(end, expiries.get(uid) or end))
        for uid, of_evse in by_evse.items()
    }


def _periods(changes: Sequence[StatusAt], start: datetime, end: datetime) -> list[Period]:
    ends = [each.at for each in changes[1:]] + [end]
    found = (
        Period(max(each.at, start), min(until, end), each.status) for each, until in zip(changes, ends, strict=True)
    )
    return [period for period in found if period.start < period.end]


async def _states_at(session: AsyncSession, station_id: int, moment: datetime) -> list[StatusAt]:
    """The last change of each EVSE up to then."""
    of_station = StatusChange.station_id == station_id
    last = (
        select(StatusChange.evse_uid, func.max(StatusChange.at).label("at"))
        .where(of_station, StatusChange.at <= moment)
        .group_by(StatusChange.evse_uid)
        .subquery()
    )
    rows = await session.execute(
        select(StatusChange.evse_uid, StatusChange.at, StatusChange.status)
        .join(last, (StatusChange.evse_uid == last.c.evse_uid) & (StatusChange.at == last.c.at))
        .where(of_station)
    )
    return [StatusAt(uid, at, _WORDS.get(word, EvseStatus.UNKNOWN)) for uid, at, word in rows]


async def _expiries(session: AsyncSession, station_id: int) -> Mapping[str, datetime | None]:
    """Until when the last known states hold."""
    rows = await session.execute(
        select(EvseStatusRow.evse_uid, EvseStatusRow.expires_at).where(EvseStatusRow.station_id == station_id)
    )
    return {row.evse_uid: row.expires_at for row in rows}


async def prune(database: Database, before: datetime, now: datetime) -> int:
    """Forget the changes before that time, and make room for those of the next months. Returns how many rows were
    deleted one by one; those that went with a whole month are not counted. Raises SQLAlchemyError."""
    if database.url.get_backend_name() == "postgresql":
        await _arrange_months(database, before, now)
    return await _delete_before(database, before)


async def _delete_before(database: Database, before: datetime) -> int:
    """By stations, in the order of the table's key, as there is no index by time, which every write would pay for."""
    async with database.open_session(read_only=True) as session:
        last = await session.scalar(select(func.max(StatusChange.station_id))) or 0
    total = 0
    for first in range(0, last + 1, _STATIONS_AT_ONCE):
        async with database.open_session() as session:
            deleted: Any = await session.execute(
                StatusChange.__table__.delete().where(  # type: ignore[attr-defined]
                    StatusChange.station_id.between(first, first + _STATIONS_AT_ONCE - 1), StatusChange.at < before
                )
            )
        total += deleted.rowcount
    return total


async def _arrange_months(database: Database, before: datetime, now: datetime) -> None:
    async with database.open_session() as session:
        await take_turns(session, _REST)
        tables = (await session.scalars(text(_MONTHS))).all()
        wanted = [_first_of_month(now.year, now.month + n) for n in range(_MONTHS_AHEAD + 1)]
        for month in wanted:
            if _name(month) not in tables:
                await _make_month(session, month)
        for name in tables:
            if name.removeprefix(_PREFIX) < f"{before:%Y_%m}" and name != _REST:
                await session.execute(text(f"DROP TABLE {name}"))


_PREFIX, _REST = "status_changes_", "status_changes_rest"
_MONTHS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'status_changes'::regclass"


def _name(month: datetime) -> str:
    return f"{_PREFIX}{month:%Y_%m}"


async def _make_month(session: AsyncSession, month: datetime) -> None:
    """With what lies in the rest already, if nobody has arranged months for long."""
    name, after = _name(month), _first_of_month(month.year, month.month + 1)
    within = f"at >= '{month:%Y-%m-%d}Z' AND at < '{after:%Y-%m-%d}Z'"
    for statement in (
        f"CREATE TABLE {name} (LIKE status_changes INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"LOCK TABLE {_REST} IN ACCESS EXCLUSIVE MODE",
        f"INSERT INTO {name} SELECT * FROM {_REST} WHERE {within}",  # noqa: S608 - names and times that are made here
        f"DELETE FROM {_REST} WHERE {within}",  # noqa: S608
        f"ALTER TABLE status_changes ATTACH PARTITION {name} "
        f"FOR VALUES FROM ('{month:%Y-%m-%d}Z') TO ('{after:%Y-%m-%d}Z')",
    ):
        await session.execute(text(statement))


def _first_of_month(year: int, month: int) -> datetime:
    """`month` counts on from January of that year."""
    return datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)
