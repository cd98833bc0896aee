"""What becomes of a delivery after an attempt."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from app.webhooks import repository
from app.webhooks.retries import BACK_AFTER, GIVE_UP_AFTER, Pause, wait_after
from app.webhooks.sender import Answer
from app.webhooks.tables import Delivery, Webhook


class Outcome(StrEnum):
    """Of an attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """It is tried again, later."""
    DEAD = "dead"
    """It was the last attempt."""


async def settle(
    session: AsyncSession, seq: int, answer: Answer, now: datetime, chance: Callable[[], float]
) -> tuple[Outcome, Pause | None]:
    """Write down what the receiver said; also why its webhook is paused by that, if it is."""
    delivery = await session.get(Delivery, seq)
    webhook = await session.get(Webhook, delivery.webhook_id) if delivery else None
    if delivery is None or webhook is None:  # deleted in the meantime, or delivered by somebody else too
        return (Outcome.DELIVERED if answer.is_delivered else Outcome.FAILED), None
    if answer.is_delivered:
        await session.delete(delivery)
        if webhook.failing_since and now - webhook.failing_since >= BACK_AFTER:
            await repository.bring_forward(session, webhook.id, now)
        webhook.last_delivered_at, webhook.failing_since = now, None
        return Outcome.DELIVERED, None
    return await _failed(session, webhook, delivery, answer, now, chance)


async def _failed(
    session: AsyncSession,
    webhook: Webhook,
    delivery: Delivery,
    answer: Answer,
    now: datetime,
    chance: Callable[[], float],
) -> tuple[Outcome, Pause | None]:
    webhook.failing_since = webhook.failing_since or now
    delivery.attempts += 1
    delivery.last_attempt_at, delivery.last_error = now, answer.error
    pause = _pause(webhook, answer, now)
    if pause is not None:
        repository.pause(webhook, pause)
        return Outcome.FAILED, pause
    wait = wait_after(delivery.attempts, answer.wait_s, chance)
    delivery.next_attempt_at = None if wait is None else now + wait
    await session.flush()
    if wait is None:
        await repository.drop_many_dead(session, webhook.id)
    return (Outcome.DEAD if wait is None else Outcome.FAILED), None


def _pause(webhook: Webhook, answer: Answer, now: datetime) -> Pause | None:
    if answer.is_gone:
        return Pause.GONE
    return Pause.FAILING if webhook.failing_since and now - webhook.failing_since >= GIVE_UP_AFTER else None
