"""Telling anew what a delivery was to tell: as it is now, for later ones may have come."""

from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app.webhooks import repository
from app.webhooks.batch import Batch, gone
from app.webhooks.filter import watch_of
from app.webhooks.stretch import States, told_of
from app.webhooks.tables import Delivery, Webhook


async def send_again(
    session: AsyncSession, webhook: Webhook, dead: Delivery, states: States, now: datetime
) -> Delivery:
    """Put a new delivery in the place of a dead one."""
    batch = await _anew(session, webhook, dead, states, now)
    await session.delete(dead)
    return await repository.put(session, webhook, batch, now)


async def renew(session: AsyncSession, webhook: Webhook, failed: Delivery, states: States, now: datetime) -> None:
    """Before another attempt."""
    batch = await _anew(session, webhook, failed, states, now)
    await repository.rewrite(session, webhook, failed, batch, now)


async def _anew(session: AsyncSession, webhook: Webhook, old: Delivery, states: States, now: datetime) -> Batch:
    events: list[dict[str, Any]] = orjson.loads(old.body)["events"]
    ids = [event["station_id"] for event in events if "station_id" in event]
    told = await told_of(session, ids, now, states)
    watch = watch_of(webhook.filter)
    batch = Batch(repository.reached_by(webhook))
    batch.events = [orjson.dumps(event) for event in events if "station_id" not in event]
    for station_id in ids:
        is_inside = station_id in told and watch.sees(station_id, told[station_id].place)
        batch.events.append(told[station_id].event if is_inside else gone(station_id))
        (batch.inside if is_inside else batch.gone).append(station_id)
    return batch
