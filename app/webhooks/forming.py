"""From changes to deliveries, each written in the transaction that moves its webhook on."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import Scope
from app.auth.repository import holding
from app.db import Database
from app.live import Watch
from app.stations import feed
from app.utils import metrics
from app.webhooks import repository
from app.webhooks.batch import RESET, Batch, batch_of, outside
from app.webhooks.filter import must_remember, watch_of
from app.webhooks.places import Reached
from app.webhooks.stretch import States, Stretch, stretch_after, told_of
from app.webhooks.tables import Webhook


async def form(database: Database, states: States, now: datetime) -> bool:
    """Make a delivery for each webhook that has none and of whose filter something has changed. Returns whether there
    may be more to be found at once."""
    async with database.open_session(read_only=True) as session:
        free = await repository.free(session, await holding(session, Scope.WEBHOOKS, now))
    more = False
    for reached, webhooks in repository.by_place(free):
        more |= await _form_from(database, states, reached, webhooks, now)
    return more


async def _form_from(
    database: Database, states: States, reached: Reached, webhooks: Sequence[Webhook], now: datetime
) -> bool:
    """For those that have come as far."""
    watches = {webhook.id: watch_of(webhook.filter) for webhook in webhooks}
    batches: dict[str, Batch] = {}
    async with database.open_session(read_only=True) as session:
        stretch = await stretch_after(session, reached, now)
        if stretch is None:
            end = reached.at(await feed.current_position(session)).stale(max(now, reached.stale_to))
            batches = {webhook.id: Batch(end, [RESET]) for webhook in webhooks}
        else:
            batches = await _batches(session, states, stretch, watches, max(now, reached.stale_to))
    await _store(database, reached, webhooks, batches, now)
    return stretch is None or not stretch.is_whole


async def _batches(
    session: AsyncSession, states: States, stretch: Stretch, watches: Mapping[str, Watch], now: datetime
) -> dict[str, Batch]:
    """By webhook."""
    told = await told_of(session, _wanted(stretch, watches), now, states)
    batches = {}
    for webhook_id, watch in watches.items():
        left: Sequence[int] | set[int] = outside(stretch, watch, told)
        if must_remember(watch):
            left = await repository.known(session, webhook_id, list(left))
        batches[webhook_id] = batch_of(stretch, watch, told, set(left))
        await asyncio.sleep(0)  # there may be many, and requests wait
    return batches


def _wanted(stretch: Stretch, watches: Mapping[str, Watch]) -> list[int]:
    """Stations that somebody may watch."""
    if any(watch.ids is None for watch in watches.values()):
        return list(stretch.stations)
    watched = frozenset[int]().union(*(watch.ids or () for watch in watches.values()))
    return [station_id for station_id in stretch.stations if station_id in watched]


async def _store(
    database: Database, before: Reached, webhooks: Sequence[Webhook], batches: Mapping[str, Batch], now: datetime
) -> None:
    unconcerned: dict[Reached, list[str]] = {}
    for webhook in webhooks:
        batch = batches[webhook.id]
        if not batch.events:
            unconcerned.setdefault(batch.reached, []).append(webhook.id)
            continue
        async with database.open_session() as session:
            if await repository.advance(session, [webhook.id], before, batch.reached):
                await repository.put(session, webhook, batch, now)
        metrics.webhook_resets.inc(batch.events == [RESET])
    for after, webhook_ids in unconcerned.items():
        if after != before:
            async with database.open_session() as session:
                await repository.advance(session, webhook_ids, before, after)
