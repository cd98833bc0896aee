"""How webhooks fare, all together."""

from collections import Counter
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import Scope
from app.auth.repository import holding
from app.stations import feed
from app.webhooks import repository
from app.webhooks.states import WebhookState, state_of
from app.webhooks.tables import Delivery, Webhook


async def count_by_state(session: AsyncSession) -> dict[WebhookState, int]:
    counts = Counter(map(state_of, await repository.all_of(session)))
    return {state: counts[state] for state in WebhookState}


async def oldest_undelivered(session: AsyncSession, now: datetime) -> datetime | None:
    """When the oldest delivery that waits was made, or the oldest change was written that nobody has looked at for a
    webhook; of those that are told."""
    is_waiting = and_(Delivery.next_attempt_at.is_not(None), Webhook.paused_because.is_(None))
    made = select(func.min(Delivery.created_at)).join(Webhook, Webhook.id == Delivery.webhook_id)
    oldest: list[datetime | None] = [await session.scalar(made.where(is_waiting))]
    free = await repository.free(session, await holding(session, Scope.WEBHOOKS, now))
    if free:
        furthest_back = min(repository.reached_by(webhook).position for webhook in free)
        oldest.append(await feed.first_after(session, furthest_back))
    return min((at for at in oldest if at is not None), default=None)
