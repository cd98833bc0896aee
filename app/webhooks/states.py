"""How a webhook stands, in one word."""

from enum import StrEnum

from app.webhooks.tables import Webhook


class WebhookState(StrEnum):
    """What its owner can do about it differs."""

    ACTIVE = "active"
    FAILING = "failing"
    """It is told, but the last attempt was in vain."""
    PAUSED = "paused"
    """It is told nothing until it is resumed."""


def state_of(webhook: Webhook) -> WebhookState:
    if webhook.paused_because is not None:
        return WebhookState.PAUSED
    return WebhookState.ACTIVE if webhook.failing_since is None else WebhookState.FAILING
