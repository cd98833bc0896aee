"""Everything that is written to and read from the station tables."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, CursorResult, Result, Row, Select, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.bulk import upsert_many
from app.db.dialect import take_turns
from app.stations.model import EvseDocument, EvseState, StationCreate, StoredStation, derive, evse_documents
from app.stations.query import Box
from app.stations.tables import EvseStatusRow, Source, Station
from app.stations.vocabulary import ConnectorType, EvseStatus

PAGE = 1_000
"""Stations read at a time: what bounds the memory of reading them all."""

_STATIONS: Any = Station.__table__
_STATUS: Any = EvseStatusRow.__table__
_SOURCES: Any = Source.__table__
_KEPT = {"id", "source", "external_id", "created_at"}
_STATUSES = {status.value: status for status in EvseStatus}
_REPLACED = tuple(column.name for column in _STATIONS.columns if column.name not in _KEPT)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the stations of one write, as their positions in it."""

    new: list[int]
    updated: list[int]
    unchanged: list[int]


async def store(
    session: AsyncSession, source: str, stations: Sequence[StationCreate], now: datetime, *, dry_run: bool = False
) -> Written:
    """Insert or replace stations of one source, each at most once; one whose content is the same is not touched.

    A station that had vanished and is back counts as updated. A dry run only tells what would be done.
    """
    if not dry_run:
        await take_turns(session, source)
    known = await _known(session, source, [station.external_id for station in stations])
    written = Written([], [], [])
    rows = []
    for index, station in enumerate(stations):
        content = vars(station) | {"evses": evse_documents(station.evses)}
        derived = derive(content)
        before = known.get(station.external_id)
        if before == derived["content_hash"]:
            written.unchanged.append(index)
            continue
        (written.updated if station.external_id in known else written.new).append(index)
        rows.append({**content, **derived})
    if rows and not dry_run:
        common = {"created_at": now, "last_updated": now, "deleted_at": None}
        await upsert_many(session, _STATIONS, rows, common=common, key=("source", "external_id"), replace=_REPLACED)
    return written


async def _known(session: AsyncSession, source: str, external_ids: Collection[str]) -> dict[str, bytes | None]:
    """Content hash by external id; `None` for a station that has vanished, so that it equals no content."""
    if not external_ids:
        return {}
    rows = await session.execute(
        select(Station.external_id, Station.content_hash, Station.deleted_at).where(
            Station.source == source, Station.external_id.in_(external_ids)
        )
    )
    return {external_id: None if deleted_at else content_hash for external_id, content_hash, deleted_at in rows}


async def remove(
    session: AsyncSession, source: str, external_ids: Collection[str], now: datetime, *, dry_run: bool = False
) -> int:
    """Mark stations as vanished and return how many there were; they keep their rows and ids."""
    if not dry_run:
        await take_turns(session, source)
    known = await _known(session, source, external_ids)
    present = [external_id for external_id, content_hash in known.items() if content_hash is not None]
    if present and not dry_run:
        vanished = (_STATIONS.c.source == source) & _STATIONS.c.external_id.in_(present)
        await session.execute(update(_STATIONS).where(vanished).values(deleted_at=now))
    return len(present)


async def erase_source(session: AsyncSession, source: str) -> int:
    """Delete a source and its stations for good, with their status; return how many stations."""
    await session.execute(delete(Source).where(Source.name == source))
    return _row_count(await session.execute(delete(_STATIONS).where(_STATIONS.c.source == source)))


async def erase_vanished(session: AsyncSession, before: datetime, limit: int) -> int:
    """Delete stations for good that vanished before that time, at most so many; return how many."""
    vanished = select(_STATIONS.c.id).where(_STATIONS.c.deleted_at < before).limit(limit)
    return _row_count(await session.execute(delete(_STATIONS).where(_STATIONS.c.id.in_(vanished))))


async def external_ids(session: AsyncSession, source: str) -> AsyncIterator[list[str]]:
    """Yield the external ids of a source's present stations, a page at a time."""
    after = 0
    while True:
        rows = (
            await session.execute(
                select(Station.id, Station.external_id)
                .where(Station.source == source, Station.id > after, Station.deleted_at.is_(None))
                .order_by(Station.id)
                .limit(PAGE)
            )
        ).all()
        if not rows:
            return
        yield [external_id for _, external_id in rows]
        after = rows[-1].id


async def count(session: AsyncSession) -> int:
    """Number of present stations."""
    present = select(func.count()).select_from(Station).where(Station.deleted_at.is_(None))
    return int(await session.scalar(present) or 0)


async def ids_of(session: AsyncSession, source: str, external_ids: Collection[str]) -> dict[str, int]:
    """VoltWay's ids of a source's stations, by external id."""
    rows = await session.execute(
        select(Station.external_id, Station.id).where(Station.source == source, Station.external_id.in_(external_ids))
    )
    return {row.external_id: row.id for row in rows}


async def get_many(session: AsyncSession, ids: Collection[int], now: datetime) -> list[StoredStation]:
    """Those of the stations that are present, in the order of their ids, with their status as of `now`."""
    return await _read(session, _PRESENT.where(Station.id.in_(ids)), now)


async def all_stations(session: AsyncSession, now: datetime) -> AsyncIterator[list[StoredStation]]:
    """Yield every present station in the order of ids, a page at a time."""
    after = 0
    while page := await _read(session, _PRESENT.where(Station.id > after).limit(PAGE), now):
        yield page
        after = page[-1].id


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of the catalogue: what holds for a station in it. `None` and `()` allow everything."""

    country: str | None = None
    source: str | None = None
    connectors: tuple[ConnectorType, ...] = ()
    """It has one of these."""
    box: Box | None = None

    def of(self, query: Select[Any]) -> Select[Any]:
        if self.country is not None:
            query = query.where(Station.country == self.country)
        if self.source is not None:
            query = query.where(Station.source == self.source)
        if self.connectors:
            mask = sum({connector.bit for connector in self.connectors})
            query = query.where(Station.connector_mask.bitwise_and(mask) != 0)
        if self.box is not None:
            query = query.where(_inside(self.box))
        return query


def _inside(box: Box) -> ColumnElement[bool]:
    inside = or_(*(Station.longitude.between(part.west, part.east) for part in box.parts()))
    return and_(inside, Station.latitude.between(box.south, box.north))


async def count_selected(session: AsyncSession, selection: Selection) -> int:
    """Number of present stations of a part of the catalogue."""
    present = select(func.count()).select_from(Station).where(Station.deleted_at.is_(None))
    return int(await session.scalar(selection.of(present)) or 0)


async def selected_stations(
    session: AsyncSession, selection: Selection, now: datetime
) -> AsyncIterator[list[StoredStation]]:
    """As `all_stations`, for a part of the catalogue."""
    after = 0
    while page := await _read(session, selection.of(_PRESENT).where(Station.id > after).limit(PAGE), now):
        yield page
        after = page[-1].id


_STATION_FIELDS = [field.name for field in fields(StoredStation) if field.name in _STATIONS.c]
_EVSES = _STATION_FIELDS.index("evses")
_SOURCE_FIELDS = [field.name for field in fields(StoredStation) if field.name not in _STATIONS.c]
_PRESENT = (
    select(*(_STATIONS.c[name] for name in _STATION_FIELDS), *(_SOURCES.c[name] for name in _SOURCE_FIELDS))
    .outerjoin(_SOURCES, _SOURCES.c.name == _STATIONS.c.source)
    .where(_STATIONS.c.deleted_at.is_(None))
    .order_by(_STATIONS.c.id)
)
"""The fields of `StoredStation` in their order."""


class _Observed(NamedTuple):
    """A live status, and until when it holds."""

    status: str
    at: datetime
    expires_at: datetime | None


async def _read(session: AsyncSession, query: Select[Any], now: datetime) -> list[StoredStation]:
    rows = (await session.execute(query)).all()
    live = await _live_status(session, [row[0] for row in rows])
    return [_stored(row, live.get(row[0], {}), now) for row in rows]


async def _live_status(session: AsyncSession, ids: Collection[int]) -> dict[int, dict[str, _Observed]]:
    """By station id and EVSE uid."""
    columns = _STATUS.c
    rows = await session.execute(
        select(columns.station_id, columns.evse_uid, columns.status, columns.observed_at, columns.expires_at).where(
            columns.station_id.in_(ids)
        )
    )
    by_station: dict[int, dict[str, _Observed]] = defaultdict(dict)
    for station_id, evse_uid, *observed in rows:
        by_station[station_id][evse_uid] = _Observed(*observed)
    return by_station


def _stored(row: Row[Any], live: Mapping[str, _Observed], now: datetime) -> StoredStation:
    values = list(row)
    values[_EVSES] = [_evse_state(evse, live.get(evse["uid"]), now) for evse in values[_EVSES]]
    return StoredStation(*values)


def _evse_state(evse: EvseDocument, observed: _Observed | None, now: datetime) -> EvseState:
    """Merge what the record states with what was observed: a live status, while it is fresh, outranks the record."""
    stated, evse_id, connectors = evse.get("status"), evse.get("evse_id"), evse["connectors"]
    if observed is not None and (observed.expires_at is None or now < observed.expires_at):
        status = _status(observed.status)
        return EvseState(evse["uid"], evse_id, status, observed.at, observed.expires_at, connectors, stated)
    status = EvseStatus.UNKNOWN if stated is None else _status(stated)
    at, since = (None, None) if observed is None else (observed.at, observed.expires_at)
    return EvseState(evse["uid"], evse_id, status, at, None, connectors, stated, stale_since=since)


def _status(word: str) -> EvseStatus:
    """A word that is none, which only a hand can have written, means nothing."""
    return _STATUSES.get(word, EvseStatus.UNKNOWN)


def _row_count(done: Result[Any]) -> int:
    return cast("CursorResult[Any]", done).rowcount
