"""Everything that is written to and read from the tables of webhooks."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import ColumnElement, CursorResult, Update, case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.db.dialect import insert_missing, take_turns
from app.errors import TooManyWebhooksError
from app.stations.changes import FeedPosition
from app.webhooks.batch import Batch, body_of
from app.webhooks.filter import must_remember, watch_of
from app.webhooks.places import Reached
from app.webhooks.retries import STEPS_ASIDE_AFTER, Pause
from app.webhooks.tables import Delivery, KnownStation, Webhook

MAX_OF_KEY = 20
MAX_IN_ALL = 500
MAX_DEAD = 100
"""Of a webhook: the oldest make room."""
DEAD_KEPT = timedelta(days=7)
_ROWS = 10_000


async def add(session: AsyncSession, webhook: Webhook, inside: Collection[int]) -> None:
    """`inside`: the stations in its filter. Raises TooManyWebhooksError."""
    await take_turns(session, "number of webhooks")
    if await _count(session, Webhook.key_id == webhook.key_id) >= MAX_OF_KEY:
        raise TooManyWebhooksError(f"This key has {MAX_OF_KEY} webhooks, and may have no more: delete one.")
    if await _count(session) >= MAX_IN_ALL:
        raise TooManyWebhooksError(f"There are {MAX_IN_ALL} webhooks, which is as many as there may be.")
    session.add(webhook)
    await session.flush()
    if must_remember(watch_of(webhook.filter)):
        await _remember(session, webhook.id, inside)


async def _count(session: AsyncSession, *where: ColumnElement[bool]) -> int:
    return int(await session.scalar(select(func.count()).select_from(Webhook).where(*where)) or 0)


async def find(session: AsyncSession, webhook_id: str, key_id: str | None = None) -> Webhook | None:
    """`key_id`: only if it is that key's; None: whoever's it is."""
    found = await session.get(Webhook, webhook_id)
    return found if found is not None and key_id in {None, found.key_id} else None


async def all_of(session: AsyncSession, key_id: str | None = None) -> list[Webhook]:
    """Those of a key (None: of all), the oldest first."""
    query = select(Webhook).order_by(Webhook.created_at, Webhook.id)
    return list(await session.scalars(query if key_id is None else query.where(Webhook.key_id == key_id)))


async def remove(session: AsyncSession, webhook: Webhook) -> None:
    """With all that is left to be delivered."""
    await session.execute(delete(Webhook).where(Webhook.id == webhook.id))


def pause(webhook: Webhook, because: Pause) -> None:
    """Its deliveries wait, and what changes stays in the feed for about a day."""
    webhook.paused_because = because


async def resume(session: AsyncSession, webhook: Webhook, now: datetime) -> None:
    """What waits is sent at once; what has been tried in vain counts as tried once."""
    webhook.paused_because = webhook.failing_since = None
    attempts = case((Delivery.attempts > 0, 1), else_=0)
    await session.execute(_waiting_of(webhook.id).values(attempts=attempts, next_attempt_at=now))


async def bring_forward(session: AsyncSession, webhook_id: str, now: datetime) -> None:
    """Let all that waits be sent at once."""
    await session.execute(_waiting_of(webhook_id).values(next_attempt_at=now))


def _waiting_of(webhook_id: str) -> Update:
    return update(Delivery).where(Delivery.webhook_id == webhook_id, Delivery.next_attempt_at.is_not(None))


async def free(session: AsyncSession, key_ids: Collection[str]) -> list[Webhook]:
    """Those of these keys that are told, and for which nothing waits to be delivered but what has stepped aside."""
    waiting = select(Delivery.seq).where(
        Delivery.webhook_id == Webhook.id,
        Delivery.next_attempt_at.is_not(None),
        Delivery.attempts < STEPS_ASIDE_AFTER,
    )
    found = await session.scalars(select(Webhook).where(Webhook.paused_because.is_(None), ~waiting.exists()))
    return [webhook for webhook in found if webhook.key_id in key_ids]


def reached_by(webhook: Webhook) -> Reached:
    return Reached(FeedPosition(webhook.position_tx, webhook.position_seq), webhook.stale_to, webhook.stale_id)


async def known(session: AsyncSession, webhook_id: str, station_ids: Sequence[int]) -> set[int]:
    """Those of the stations that were in its filter when last looked."""
    if not station_ids:
        return set()
    of_webhook = KnownStation.webhook_id == webhook_id, KnownStation.station_id.in_(station_ids)
    return set(await session.scalars(select(KnownStation.station_id).where(*of_webhook)))


async def advance(session: AsyncSession, webhook_ids: Collection[str], before: Reached, after: Reached) -> bool:
    """Whether it was done: not where somebody else has done so in the meantime. To be called for one webhook where
    something is to be delivered, in the transaction that stores it."""
    moved = (
        update(Webhook)
        .where(
            Webhook.id.in_(webhook_ids),
            Webhook.position_tx == before.position.tx,
            Webhook.position_seq == before.position.seq,
            Webhook.stale_to == before.stale_to,
            Webhook.stale_id == before.stale_id,
        )
        .values(
            position_tx=after.position.tx,
            position_seq=after.position.seq,
            stale_to=after.stale_to,
            stale_id=after.stale_id,
        )
    )
    return cast("CursorResult[Any]", await session.execute(moved)).rowcount > 0


async def put(session: AsyncSession, webhook: Webhook, batch: Batch, now: datetime) -> Delivery:
    """Store what is to be delivered, after all that waits already."""
    delivery_id = uuid4().hex
    body = body_of(webhook.id, delivery_id, batch.events, batch.reached.position, now)
    delivery = Delivery(
        id=delivery_id, webhook_id=webhook.id, created_at=now, events=len(batch.events), body=body, attempts=0,
        next_attempt_at=now,
    )  # fmt: skip
    session.add(delivery)
    await session.flush()
    await _note_places(session, webhook, batch)
    return delivery


async def rewrite(session: AsyncSession, webhook: Webhook, delivery: Delivery, batch: Batch, now: datetime) -> None:
    """Let a delivery hold this instead, under an id of its own: the receiver may have seen the old one."""
    delivery.id = uuid4().hex
    delivery.events = len(batch.events)
    delivery.body = body_of(webhook.id, delivery.id, batch.events, batch.reached.position, now)
    await _note_places(session, webhook, batch)


async def _note_places(session: AsyncSession, webhook: Webhook, batch: Batch) -> None:
    if must_remember(watch_of(webhook.filter)):
        await _remember(session, webhook.id, batch.inside)
        of_webhook = KnownStation.webhook_id == webhook.id, KnownStation.station_id.in_(batch.gone)
        await session.execute(delete(KnownStation).where(*of_webhook))


async def _remember(session: AsyncSession, webhook_id: str, station_ids: Collection[int]) -> None:
    waiting = iter(station_ids)
    for page in iter(lambda: list(islice(waiting, _ROWS)), []):
        rows = [{"webhook_id": webhook_id, "station_id": station_id} for station_id in page]
        await session.execute(insert_missing(session, KnownStation.__table__), rows)


@dataclass(frozen=True, slots=True)
class Due:
    """The next delivery of a webhook, whose time has come."""

    seq: int
    id: str
    attempts: int
    """In vain, so far."""
    webhook_id: str
    url: str
    secrets: tuple[str, ...]
    """The newest first."""


async def due(session: AsyncSession, key_ids: Collection[str], now: datetime) -> list[Due]:
    """One of each webhook of these keys that has any; who has waited longest comes first.

    What was not tried yet goes before what was: another attempt tells the states as they are then, so what comes
    later is never older."""
    in_turn = func.row_number().over(
        partition_by=Delivery.webhook_id, order_by=(Delivery.attempts > 0, Delivery.next_attempt_at, Delivery.seq)
    )
    ready = select(Delivery.seq, in_turn.label("place")).where(Delivery.next_attempt_at <= now).subquery()
    rows = await session.execute(
        select(Delivery.seq, Delivery.id, Delivery.attempts, Webhook)
        .join(ready, ready.c.seq == Delivery.seq)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(ready.c.place == 1, Webhook.paused_because.is_(None))
        .order_by(Delivery.next_attempt_at, Delivery.seq)
    )
    return [
        Due(seq, delivery_id, attempts, webhook.id, webhook.url, secrets_of(webhook, now))
        for seq, delivery_id, attempts, webhook in rows
        if webhook.key_id in key_ids
    ]


def secrets_of(webhook: Webhook, now: datetime) -> tuple[str, ...]:
    """Those that sign, the newest first."""
    if webhook.former_secret is None or webhook.former_until is None or webhook.former_until <= now:
        return (webhook.secret,)
    return webhook.secret, webhook.former_secret


def rotate(webhook: Webhook, secret: str, until: datetime) -> None:
    """The secret that it has goes on to sign too, until then."""
    webhook.former_secret, webhook.former_until = webhook.secret, until
    webhook.secret = secret


async def find_due(session: AsyncSession, due: Due) -> tuple[Delivery | None, Webhook | None]:
    return await session.get(Delivery, due.seq), await session.get(Webhook, due.webhook_id)


async def listed(session: AsyncSession, webhook_id: str, *, dead: bool | None = None) -> list[Delivery]:
    """What waits, or is dead (None: both), without the bodies, the newest first; at most MAX_DEAD."""
    query = select(Delivery).where(Delivery.webhook_id == webhook_id).options(defer(Delivery.body, raiseload=True))
    if dead is not None:
        query = query.where(Delivery.next_attempt_at.is_(None) if dead else Delivery.next_attempt_at.is_not(None))
    return list(await session.scalars(query.order_by(Delivery.seq.desc()).limit(MAX_DEAD)))


async def find_delivery(session: AsyncSession, webhook_id: str, delivery_id: str) -> Delivery | None:
    found: Delivery | None = await session.scalar(
        select(Delivery).where(Delivery.webhook_id == webhook_id, Delivery.id == delivery_id)
    )
    return found


async def drop_old_dead(session: AsyncSession, now: datetime) -> None:
    """Those past their time."""
    is_old = Delivery.last_attempt_at < now - DEAD_KEPT
    await session.execute(delete(Delivery).where(Delivery.next_attempt_at.is_(None), is_old))


async def drop_many_dead(session: AsyncSession, webhook_id: str) -> None:
    """Those past their number."""
    is_dead = Delivery.webhook_id == webhook_id, Delivery.next_attempt_at.is_(None)
    newest = select(Delivery.seq).where(*is_dead).order_by(Delivery.seq.desc())
    if (last := await session.scalar(newest.offset(MAX_DEAD).limit(1))) is not None:
        await session.execute(delete(Delivery).where(*is_dead, Delivery.seq <= last))


def by_place(webhooks: Sequence[Webhook]) -> Iterator[tuple[Reached, list[Webhook]]]:
    """Those that have come as far together."""
    groups: dict[Reached, list[Webhook]] = {}
    for webhook in webhooks:
        groups.setdefault(reached_by(webhook), []).append(webhook)
    yield from groups.items()
