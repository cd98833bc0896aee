"""Being told of changes by requests to an address of one's own."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Self
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.auth import WebhooksKey
from app.api.deps import DatabaseDep, ResourcesDep
from app.api.errors import documented
from app.api.parameters import given_once
from app.api.v1 import render
from app.auth import Key
from app.db import Database
from app.errors import DatabaseUnavailableError
from app.live import ids_seen
from app.webhooks import repository
from app.webhooks.batch import PING, body_of
from app.webhooks.filter import WebhookFilter, must_remember
from app.webhooks.places import Reached
from app.webhooks.resending import send_again
from app.webhooks.retries import Pause
from app.webhooks.sender import Message
from app.webhooks.states import WebhookState, state_of
from app.webhooks.tables import Delivery, Webhook
from app.webhooks.target import MAX_URL_LENGTH, TargetRefusedError, UnknownHostError

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])
_ERRORS_OF_LIST = documented(400, 401, 403, 503)
_ERRORS = _ERRORS_OF_LIST | documented(422)
MOST_PINGS = 40
"""Requests under way in a process, deliveries too, with which no ping is begun."""
_ID = "0c9d53a8f6e94d2cb3c1b0b6f5b1a7de"

_Secret = Annotated[str, StringConstraints(min_length=16, max_length=200, pattern=r"^[!-~]+$")]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
WebhookId = Annotated[str, Path(description="As the list has it.", max_length=200)]
DeliveryId = Annotated[str, Path(description="As the list of deliveries has it.", max_length=200)]


class WebhookCreate(BaseModel):
    """Whom to tell of what."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(max_length=MAX_URL_LENGTH)] = Field(
        description="Where to send requests: `https://…` or `http://…`, at a public address.",
        examples=["https://hooks.example.com/voltway"],
    )
    secret: _Secret | None = Field(
        None, description="Signs the requests: 16 to 200 printable ASCII characters; without one it is made."
    )
    filter: WebhookFilter = Field(
        default_factory=WebhookFilter, description="Of which stations; by default of all.", examples=[{"ids": [1, 2]}]
    )
    name: _Name | None = Field(None, description="For people.", examples=["dispatch"])


class SecretRotation(BaseModel):
    """What is to sign from now on."""

    model_config = ConfigDict(extra="forbid")

    secret: _Secret | None = Field(None, description="16 to 200 printable ASCII characters; without one it is made.")
    overlap_hours: int = Field(
        24, ge=0, le=168, description="For how long the secret that is replaced signs too; 0: no more.", examples=[24]
    )


class WebhookView(BaseModel):
    """A webhook without its secret."""

    id: str = Field(examples=[_ID])
    name: str | None = Field(examples=["dispatch"])
    url: str = Field(examples=["https://hooks.example.com/voltway"])
    filter: WebhookFilter = Field(examples=[{"ids": [1, 2]}])
    state: WebhookState = Field(description="`failing`: the last attempt was in vain.", examples=["active"])
    paused_because: Pause | None = Field(
        description="`gone`: the receiver answered 410; `failing`: it has accepted nothing for three days; "
        "`operator`: the operator of this service wants it so.",
        examples=[None],
    )
    failing_since: datetime | None = Field(examples=[None])
    last_delivered_at: datetime | None = Field(examples=["2026-05-01T12:03:10Z"])
    former_secret_until: datetime | None = Field(
        description="Until then the secret that was replaced last signs too.", examples=[None]
    )
    created_at: datetime = Field(examples=["2026-05-01T12:00:00Z"])

    @classmethod
    def of(cls, webhook: Webhook) -> Self:
        return cls(
            id=webhook.id,
            name=webhook.name,
            url=webhook.url,
            filter=WebhookFilter.model_validate_json(webhook.filter),
            state=state_of(webhook),
            paused_because=None if webhook.paused_because is None else Pause(webhook.paused_because),
            failing_since=webhook.failing_since,
            last_delivered_at=webhook.last_delivered_at,
            former_secret_until=webhook.former_until,
            created_at=webhook.created_at,
        )


class WebhookCreated(WebhookView):
    """With the secret, this once."""

    secret: str = Field(description="Keep it: it is not shown again.", examples=["whsec_kJ3…"])


class WebhookList(BaseModel):
    """The oldest first."""

    items: list[WebhookView]


class DeliveryState(StrEnum):
    """An accepted delivery is not listed any more."""

    PENDING = "pending"
    DEAD = "dead"


class DeliveryView(BaseModel):
    """A request that is not, or was never, accepted."""

    id: str = Field(examples=[_ID])
    state: DeliveryState = Field(description="`dead`: it is not tried any more.", examples=["dead"])
    events: int = Field(description="How many it holds.", examples=[12])
    attempts: int = Field(examples=[7])
    error: str | None = Field(description="Of the last attempt.", examples=["the receiver answered 500"])
    created_at: datetime = Field(examples=["2026-05-01T12:03:10Z"])
    last_attempt_at: datetime | None = Field(examples=["2026-05-01T20:51:40Z"])
    next_attempt_at: datetime | None = Field(examples=[None])

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        return cls(
            id=delivery.id,
            state=DeliveryState.DEAD if delivery.next_attempt_at is None else DeliveryState.PENDING,
            events=delivery.events,
            attempts=delivery.attempts,
            error=delivery.last_error,
            created_at=delivery.created_at,
            last_attempt_at=delivery.last_attempt_at,
            next_attempt_at=delivery.next_attempt_at,
        )


class DeliveryList(BaseModel):
    """The newest first."""

    items: list[DeliveryView]


class Pinged(BaseModel):
    """What the receiver said to an event `ping`."""

    delivery_id: str = Field(examples=[_ID])
    delivered: bool = Field(examples=[True])
    status: int | None = Field(description="null: there was no answer.", examples=[204])
    error: str | None = Field(description="Why it does not count as delivered.", examples=[None])
    duration_s: float = Field(examples=[0.12])


@router.post("", summary="Create a webhook", status_code=HTTPStatus.CREATED, responses=_ERRORS | documented(409))
async def create_webhook(
    body: WebhookCreate, key: WebhooksKey, resources: ResourcesDep, request: Request, response: Response
) -> WebhookCreated:
    """Needs a key with the scope `webhooks`; only that key sees the webhook. It is told of all that changes from now
    on: what there is now, `GET /api/v1/stations` tells. The target is looked up now and before each request, and must
    be at a public address."""
    try:
        await resources["sender"].check(body.url)
    except (TargetRefusedError, UnknownHostError) as error:
        raise _invalid("url", str(error)) from None
    secret = body.secret or _new_secret()
    watch, replica = body.filter.watch, resources["follower"].replica
    webhook = _new(body, secret, key, Reached(resources["hub"].position, datetime.now(UTC)))
    inside = ids_seen(replica, watch) if must_remember(watch) else []
    async with _session(resources["database"]) as session:
        await repository.add(session, webhook, inside)
    response.headers["Location"] = str(request.app.url_path_for("show_webhook", webhook_id=webhook.id))
    return WebhookCreated(**WebhookView.of(webhook).model_dump(), secret=secret)


def _new_secret() -> str:
    return f"whsec_{secrets.token_urlsafe(32)}"


def _new(body: WebhookCreate, secret: str, key: Key, reached: Reached) -> Webhook:
    return Webhook(
        id=uuid4().hex,
        key_id=key.id,
        name=body.name,
        url=body.url,
        secret=secret,
        former_secret=None,
        former_until=None,
        filter=body.filter.model_dump_json(exclude_defaults=True),
        created_at=reached.stale_to,
        position_tx=reached.position.tx,
        position_seq=reached.position.seq,
        stale_to=reached.stale_to,
        stale_id=reached.stale_id,
        paused_because=None,
        failing_since=None,
        last_delivered_at=None,
    )


@router.get("", summary="Your webhooks", responses=_ERRORS_OF_LIST)
async def list_webhooks(key: WebhooksKey, database: DatabaseDep) -> WebhookList:
    """Those that were made with this key."""
    async with _session(database, read_only=True) as session:
        return WebhookList(items=[WebhookView.of(each) for each in await repository.all_of(session, key.id)])


@router.get("/{webhook_id}", summary="One webhook", responses=_ERRORS | documented(404))
async def show_webhook(webhook_id: WebhookId, key: WebhooksKey, database: DatabaseDep) -> WebhookView:
    """Whether it is told, and if not, why."""
    async with _session(database, read_only=True) as session:
        return WebhookView.of(await _found(session, webhook_id, key))


@router.delete(
    "/{webhook_id}",
    summary="Delete a webhook",
    status_code=HTTPStatus.NO_CONTENT,
    responses=_ERRORS | documented(404),
)
async def delete_webhook(webhook_id: WebhookId, key: WebhooksKey, database: DatabaseDep) -> None:
    """With all that waits to be delivered to it. A request that is on its way may still arrive."""
    async with _session(database) as session:
        await repository.remove(session, await _found(session, webhook_id, key))


@router.post("/{webhook_id}/test", summary="Try a webhook", responses=_ERRORS | documented(404, 429))
async def try_webhook(webhook_id: WebhookId, key: WebhooksKey, resources: ResourcesDep) -> Pinged:
    """Sends an event `ping` at once, also to a webhook that is paused, and tells what the receiver said. A ping is
    not tried again."""
    async with _session(resources["database"], read_only=True) as session:
        webhook = await _found(session, webhook_id, key)
    delivery_id, now, began = uuid4().hex, datetime.now(UTC), time.monotonic()
    body = body_of(webhook.id, delivery_id, [PING], repository.reached_by(webhook).position, now)
    sender = resources["sender"]
    if sender.under_way >= MOST_PINGS:
        raise HTTPException(429, "Many webhooks are being tried; try again later.", {"Retry-After": "15"})
    answer = await sender.send(Message(webhook.url, repository.secrets_of(webhook, now), delivery_id, body), now)
    return Pinged(
        delivery_id=delivery_id,
        delivered=answer.is_delivered,
        status=answer.status,
        error=answer.error,
        duration_s=round(time.monotonic() - began, 3),
    )


@router.post("/{webhook_id}/rotate-secret", summary="Change a secret", responses=_ERRORS | documented(404))
async def rotate_secret(
    webhook_id: WebhookId, body: SecretRotation, key: WebhooksKey, database: DatabaseDep
) -> WebhookCreated:
    """Requests are signed with the new secret from now on, and with the one that it replaces too for as long as
    `overlap_hours`, so that no request is refused while receivers change over. An older one signs no more."""
    secret = body.secret or _new_secret()
    async with _session(database) as session:
        webhook = await _found(session, webhook_id, key)
        repository.rotate(webhook, secret, datetime.now(UTC) + timedelta(hours=body.overlap_hours))
        return WebhookCreated(**WebhookView.of(webhook).model_dump(), secret=secret)


@router.post("/{webhook_id}/resume", summary="Resume a webhook", responses=_ERRORS | documented(404, 409))
async def resume_webhook(webhook_id: WebhookId, key: WebhooksKey, database: DatabaseDep) -> WebhookView:
    """Goes on where it was paused, and sends what waits at once. Does nothing that is seen to one that works. What
    changed more than about a day ago may not be known any more: an event `reset` says so."""
    async with _session(database) as session:
        webhook = await _found(session, webhook_id, key)
        if webhook.paused_because == Pause.OPERATOR:
            raise HTTPException(409, "The operator of this service has paused this webhook: ask there.")
        await repository.resume(session, webhook, datetime.now(UTC))
        return WebhookView.of(webhook)


@router.get(
    "/{webhook_id}/deliveries",
    summary="What was not delivered",
    dependencies=[given_once("state")],
    responses=_ERRORS | documented(404),
)
async def list_deliveries(
    webhook_id: WebhookId,
    key: WebhooksKey,
    database: DatabaseDep,
    state: Annotated[DeliveryState | None, Query(description="Only those that stand so.", examples=["dead"])] = None,
) -> DeliveryList:
    """The newest hundred. Dead ones are kept for a week."""
    dead = None if state is None else state is DeliveryState.DEAD
    async with _session(database, read_only=True) as session:
        webhook = await _found(session, webhook_id, key)
        found = await repository.listed(session, webhook.id, dead=dead)
    return DeliveryList(items=[DeliveryView.of(each) for each in found])


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/retry",
    summary="Deliver again what is dead",
    status_code=HTTPStatus.ACCEPTED,
    responses=_ERRORS | documented(404, 409),
)
async def retry_delivery(
    webhook_id: WebhookId, delivery_id: DeliveryId, key: WebhooksKey, database: DatabaseDep
) -> DeliveryView:
    """A new delivery, with an id of its own, takes the place of the dead one: it tells the same stations as they are
    now, after all that waits already."""
    async with _session(database) as session:
        webhook = await _found(session, webhook_id, key)
        dead = await repository.find_delivery(session, webhook.id, delivery_id)
        if dead is None:
            raise HTTPException(404, f"There is no delivery {delivery_id[:100]}, or it was accepted.")
        if dead.next_attempt_at is not None:
            raise HTTPException(409, "The delivery waits already: it is not dead.")
        return DeliveryView.of(await send_again(session, webhook, dead, render.states, datetime.now(UTC)))


@asynccontextmanager
async def _session(database: Database, *, read_only: bool = False) -> AsyncIterator[AsyncSession]:
    try:
        async with database.open_session(read_only=read_only) as session:
            yield session
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseUnavailableError(f"Webhooks cannot be read or written: {type(error).__name__}.") from error


async def _found(session: AsyncSession, webhook_id: str, key: Key) -> Webhook:
    webhook = await repository.find(session, webhook_id, key.id)
    if webhook is None:
        raise HTTPException(404, f"There is no webhook {webhook_id[:100]} of this key.")
    return webhook


def _invalid(name: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": ("body", name), "msg": message, "input": None}])
