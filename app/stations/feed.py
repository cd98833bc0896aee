"""The change feed: what happened to which station, in an order that never skips a late commit."""

from collections import defaultdict
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, and_, bindparam, case, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.db.dialect import comes_before, in_one_value, microseconds, oldest_open_transaction, rows_of
from app.stations.changes import EPOCH, FEED_START, Changes, FeedPosition
from app.stations.tables import Change

KEPT_FOR = timedelta(days=1)
"""How long a process or a reader may be away and still be told what has changed."""
MOST_KEPT = 5_000_000
"""Changes, some 400 MB: at thousands of states a second they are less than a day's."""
STRETCH = 2_000
"""Changes read at a time."""
_STEP = 20_000
"""Changes deleted at a time, as writers wait meanwhile."""
_FEED = Change.__table__.c
_PLACE = Change.tx, Change.seq
_SETTLED = Change.tx < oldest_open_transaction()


async def current_position(session: AsyncSession) -> FeedPosition:
    """Where a reader stands who reads all stations after this call."""
    newest = select(Change.tx, Change.seq).where(_SETTLED).order_by(Change.tx.desc(), Change.seq.desc()).limit(1)
    row = (await session.execute(newest)).first()
    return FeedPosition(*row) if row else FEED_START


async def written_at(session: AsyncSession, position: FeedPosition) -> datetime | None:
    """When the change at that position was written; `None`: it is not in the feed."""
    at: datetime | None = await session.scalar(
        select(Change.at).where(Change.tx == position.tx, Change.seq == position.seq)
    )
    return at


def changes_after(session: Session, position: FeedPosition, limit: int = STRETCH) -> Changes | None:
    """The changes since `position`, oldest first; `None` when some are no longer in the feed, or it says so itself:
    the reader must then read all stations anew.

    Old changes are pruned from the front only. So as long as the reader's last change is still there, none of those
    that follow was missed.
    """
    asked = {"last_tx": position.tx, "last_seq": position.seq, "before": position.seq - 1, "most": limit + 1}
    new = sorted(rows_of(session.scalar(_from_the_last_on(session.get_bind().dialect.name), asked)))
    since_us = None
    if new and (new[0][0], new[0][1]) == position:
        *_, since_us = new.pop(0)
    elif new or position != FEED_START:
        return None
    stations: dict[int, FeedPosition] = {}
    restated: defaultdict[int, set[str | None]] = defaultdict(set)
    rewritten = set()
    for tx, seq, kind, station_id, evse_uid, _ in new:
        stations.pop(station_id, None)  # so that the order is that of the last changes
        stations[station_id] = FeedPosition(tx, seq)
        if kind == "status":
            restated[station_id].add(evse_uid)
        elif kind == "station":
            rewritten.add(station_id)
        else:
            return None
    return Changes(
        stations,
        rewritten,
        restated,
        position=FeedPosition(new[-1][0], new[-1][1]) if new else position,
        more=len(new) >= limit,
        since=None if since_us is None else EPOCH + timedelta(microseconds=since_us),
    )


@cache
def _from_the_last_on(dialect: str) -> Any:
    last_tx, last_seq, before = (bindparam(name, type_=BigInteger) for name in ("last_tx", "last_seq", "before"))
    is_last = and_(_FEED.tx == last_tx, _FEED.seq == last_seq)
    lines = (
        select(
            _FEED.tx, _FEED.seq, _FEED.kind, _FEED.station_id, _FEED.evse_uid,
            case((is_last, microseconds(_FEED.at))).label("since_us"),
        )
        .where(comes_before(dialect, (last_tx, before), (_FEED.tx, _FEED.seq)), _SETTLED)
        .order_by(_FEED.tx, _FEED.seq)
        .limit(bindparam("most"))
    )  # fmt: skip
    return in_one_value(dialect, lines)


async def first_after(session: AsyncSession, position: FeedPosition) -> datetime | None:
    """When the change that follows was written; `None`: there is none."""
    found: datetime | None = await session.scalar(
        select(Change.at)
        .where(comes_before(session.get_bind().dialect.name, position, _PLACE), _SETTLED)
        .order_by(Change.tx, Change.seq)
        .limit(1)
    )
    return found


async def prune(session: AsyncSession, now: datetime, most: int = MOST_KEPT) -> bool:
    """Delete some of what is older than KEPT_FOR, or more than the newest `most` (the newest always stays), from the
    front of the feed. Returns whether there is more to delete."""
    newest = await session.scalar(select(func.max(Change.seq)))
    if newest is None or not await _has_old(session, now, newest - most):
        return False
    front = select(Change.tx, Change.seq, Change.at).order_by(Change.tx, Change.seq).limit(_STEP + 1).subquery()
    is_kept = ((front.c.at >= now - KEPT_FOR) & (front.c.seq > newest - most)) | (front.c.seq == newest)
    in_order = select(front.c.tx, front.c.seq).limit(1)
    first_kept = (await session.execute(in_order.where(is_kept).order_by(front.c.tx, front.c.seq))).first()
    end = first_kept or (await session.execute(in_order.order_by(front.c.tx.desc(), front.c.seq.desc()))).one()
    await session.execute(
        delete(Change).where(comes_before(session.get_bind().dialect.name, _PLACE, (end.tx, end.seq)))
    )
    return first_kept is None


async def _has_old(session: AsyncSession, now: datetime, seq: int) -> bool:
    """Whether the first line may go; most often not, and then it is all that is read."""
    first = select(Change.at, Change.seq).order_by(Change.tx, Change.seq).limit(1)
    at, first_seq = (await session.execute(first)).one()
    return bool(at < now - KEPT_FOR or first_seq <= seq)
