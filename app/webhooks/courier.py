"""Brings what is to be delivered to the receivers: in one process at a time, whichever has the turn."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import httpx2 as httpx
from sqlalchemy.exc import SQLAlchemyError

from app.auth import Scope
from app.auth.repository import holding
from app.db import Database
from app.db.alone import alone
from app.db.bell import Bell, bell_of
from app.errors import BusyError, VoltWayError
from app.utils import metrics
from app.webhooks import repository
from app.webhooks.forming import form
from app.webhooks.repository import Due
from app.webhooks.resending import renew
from app.webhooks.sender import Answer, Message, Sender
from app.webhooks.settling import Outcome, settle
from app.webhooks.stretch import States

logger = logging.getLogger(__name__)

MAX_AT_ONCE = 20
MAX_PER_HOST = 2
_TURN_S = 300.0
"""After which the turn is given up and taken anew: a lock that was lost with its connection is not told."""
_ASK_FOR_TURN_EVERY_S = 5.0
_LOOK_EVERY_S = 1.0
"""Without having heard anything."""
_GATHER_S = 0.2
"""Changes that come together are told together."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Courier:
    """What it has to do stands in the database, so whoever comes next goes on."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        states: States,
        now: Callable[[], datetime] = _utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database, self._sender, self._states = database, sender, states
        self._now, self._chance = now, chance
        self._news = asyncio.Event()
        self._under_way: dict[str, tuple[str, asyncio.Task[None]]] = {}
        """Host and task, by webhook."""
        self._is_failing = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with alone(self._database.url, "webhooks", "Another process delivers."):
                    await self._have_turn()
                continue
            except BusyError:
                pass
            except (SQLAlchemyError, OSError, VoltWayError) as error:
                self._tell_once(error)
            except Exception:
                logger.exception("webhooks_failed")
            await asyncio.sleep(_ASK_FOR_TURN_EVERY_S)

    async def _have_turn(self) -> None:
        until = time.monotonic() + _TURN_S
        async with self._listening(), self._all_brought():
            async with self._database.open_session() as session:
                await repository.drop_old_dead(session, self._now())
            while time.monotonic() < until:
                await self.work()
                self._is_failing = False
                await self._wait()

    async def work(self) -> None:
        """Begin to deliver what there is."""
        self._news.clear()
        if await form(self._database, self._states, self._now()):
            self._news.set()
        await self._begin_due()

    @property
    def has_more(self) -> bool:
        """Whether `work` is to be called again at once, or after `finish`."""
        return bool(self._under_way) or self._news.is_set()

    async def finish(self) -> None:
        """Wait for what is under way."""
        if tasks := [task for _, task in self._under_way.values()]:
            await asyncio.wait(tasks)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        bell = bell_of(self._database.url)
        task = asyncio.create_task(self._listen(bell))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await bell.close()

    async def _listen(self, bell: Bell) -> None:
        while True:
            await bell.wait(_LOOK_EVERY_S)
            self._news.set()

    async def _wait(self) -> None:
        await asyncio.sleep(_GATHER_S)
        await self._news.wait()

    @asynccontextmanager
    async def _all_brought(self) -> AsyncIterator[None]:
        """Wait for what is under way; where the block raises, drop it, for it waits in the database."""
        try:
            yield
        except BaseException:
            for _, task in self._under_way.values():
                task.cancel()
            raise
        finally:
            await self.finish()

    async def _begin_due(self) -> None:
        now = self._now()
        async with self._database.open_session(read_only=True) as session:
            due = await repository.due(session, await holding(session, Scope.WEBHOOKS, now), now)
        at_host = Counter(host for host, _ in self._under_way.values())
        for each in due:
            host = httpx.URL(each.url).host
            is_free = len(self._under_way) < MAX_AT_ONCE and at_host[host] < MAX_PER_HOST
            if is_free and each.webhook_id not in self._under_way:
                at_host[host] += 1
                self._under_way[each.webhook_id] = host, asyncio.create_task(self._bring(each, host))

    async def _bring(self, due: Due, host: str) -> None:
        try:
            message = await self._message(due)
            if message is not None:
                answer = await self._sender.send(message, self._now())
                await self._settle(replace(due, id=message.delivery_id), host, answer)
        except (SQLAlchemyError, OSError) as error:  # then it is sent again
            self._tell_once(error)
        except Exception:
            logger.exception("webhooks_failed")
        finally:
            del self._under_way[due.webhook_id]
            self._news.set()

    async def _message(self, due: Due) -> Message | None:
        """`None`: it is delivered, or its webhook was deleted."""
        async with self._database.open_session(read_only=not due.attempts) as session:
            delivery, webhook = await repository.find_due(session, due)
            if delivery is None or webhook is None:
                return None
            if due.attempts:
                await renew(session, webhook, delivery, self._states, self._now())
            return Message(due.url, due.secrets, delivery.id, delivery.body)

    async def _settle(self, due: Due, host: str, answer: Answer) -> None:
        async with self._database.open_session() as session:
            outcome, pause = await settle(session, due.seq, answer, self._now(), self._chance)
        metrics.webhook_deliveries.labels(outcome).inc()
        if outcome is not Outcome.DELIVERED:
            _tell_failure(due, host, answer, outcome)
        if pause is not None:
            logger.warning(
                "webhook_paused", extra={"webhook_id": due.webhook_id, "host": host, "reason": pause.value}
            )

    def _tell_once(self, error: Exception) -> None:
        if not self._is_failing:
            logger.warning("webhooks_wait", extra={"error": type(error).__name__})
        self._is_failing = True


def _tell_failure(due: Due, host: str, answer: Answer, outcome: Outcome) -> None:
    logger.log(
        logging.WARNING if outcome is Outcome.DEAD else logging.INFO,
        "webhook_not_delivered",
        extra={
            "webhook_id": due.webhook_id,
            "delivery_id": due.id,
            "host": host,
            "outcome": outcome.value,
            "error": answer.error,
        },
    )
