"""The way to Redis: within a time budget, behind a circuit breaker, and with one error for all that may be wrong.

A value is stored with its name and its tags' tokens, and counts only while these are the tags' present tokens. To
drop a tag is to delete its token, and whoever needs one then draws a new one at random. So a value that was computed
before the drop may be stored after it, and does not count: it carries the tokens that were read before its
computation. Redis may throw out whatever it likes; what is gone is a miss.

A process that keeps tagged values in memory listens for drops. While it is out of touch it keeps such values for a
short time only, and when it is back in touch it drops them all, for it may have missed one.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from app.utils._cache_breaker import Breaker
from app.utils._cache_limits import TICK_S, Limits
from app.utils._cache_memory import Drops
from app.utils._cache_thread import LoopThread
from app.utils._cache_untold import Untold

logger = logging.getLogger(__name__)
T = TypeVar("T")

OUT_OF_TOUCH_TTL_S = 5.0
TOKEN_LIFE_S = 30 * 24 * 3600
"""Of a tag's token, and so the longest life of a tagged value."""
_PREFIX = "voltway:cache:"
_CHANNEL = f"{_PREFIX}drops"
_HEARTBEAT_S = 1.0
_PROBE_S, _LONGEST_PROBE_S = 1.0, 30.0
_TELL_S = 10.0
"""For drops that have to be told late: there may be many."""
_TAGS_AT_ONCE = 1_000
_CONNECTIONS = 16


class UnavailableError(Exception):
    """Redis did not answer as it should, or is not asked at the moment."""


@dataclass(slots=True)
class Slot:
    """Where one value stands in Redis, and what must stand before it to count."""

    name: str
    header: bytes
    packed: bytes | None
    """What was found behind the header."""
    left_s: float
    """Of the call's time budget."""


@dataclass(frozen=True, slots=True)
class _Client:
    redis: Redis
    turns: asyncio.Semaphore
    """So many may ask at a time, each on a connection; the client's own waiting pool costs 10 µs."""
    limits: Limits
    until_shutdown: AsyncGenerator[None, None]


class Link:
    """Of this process to one Redis; serves any number of event loops and threads."""

    def __init__(self, url: str, wait_s: float, drops: Drops) -> None:
        """`wait_s`: what a call may wait in all, give or take a tick."""
        self._url = url
        self._wait_s = wait_s
        self._drops = drops
        self._me = secrets.token_hex(8)
        self._clients: dict[asyncio.AbstractEventLoop, _Client] = {}
        self._breaker = Breaker()
        self._untold = Untold()
        self._in_touch = False
        self._thread = LoopThread("cache", self._watch)

    # Values.

    async def look(self, name: str, tags: Sequence[str]) -> Slot:
        """Raises UnavailableError."""
        began = time.monotonic()
        slot = await self._ask(lambda redis: _look(redis, _PREFIX + name, tags), self._wait_s)
        slot.left_s = self._wait_s - (time.monotonic() - began)
        if slot.packed is not None:
            self._breaker.succeeded()
        return slot

    async def keep(self, slot: Slot, packed: bytes, ttl_s: float) -> None:
        """Raises UnavailableError."""
        milliseconds = max(1, int(min(ttl_s, TOKEN_LIFE_S) * 1_000))
        await self._ask(lambda redis: redis.set(slot.name, slot.header + packed, px=milliseconds), slot.left_s)
        self._breaker.succeeded()

    def wait_for(self, work: Coroutine[Any, Any, T], otherwise: T) -> T:
        """For callers without an event loop; `otherwise` if even that is late."""
        try:
            return self._thread.wait_for(work, self._wait_s + TICK_S)
        except TimeoutError:
            return otherwise

    async def _ask(self, question: Callable[[Redis], Awaitable[T]], timeout_s: float) -> T:
        if self._breaker.is_open or self._untold:  # what was dropped and not told would still count there
            raise UnavailableError
        client = await self._here()
        asked = False

        async def in_turn() -> T:
            nonlocal asked
            async with client.turns:
                asked = True
                return await question(client.redis)

        try:
            return await client.limits.within(timeout_s, in_turn())
        except (ResponseError, UnavailableError) as error:  # Redis is there, and refuses
            raise UnavailableError from error
        except Exception as error:  # an answer that makes no sense may fail anywhere in the client
            if asked and self._breaker.failed(error):  # that this process asks too much is not the fault of Redis
                self._thread.start()
            raise UnavailableError from error

    # Drops.

    async def tell(self, tags: Sequence[str]) -> bool:
        """Drop in Redis and in every other process.

        False: Redis could not be told yet. The thread goes on trying; until it is told, this process does not ask it.
        """
        told = False
        try:
            await self._ask(lambda redis: self._tell(redis, tags), self._wait_s)
            told = True
        except UnavailableError:
            self._thread.start()
        finally:  # also when cancelled
            if not told:
                self._untold.add(tags)
        return told

    def ttl_in_memory(self, ttl_s: float) -> float:
        """How long a tagged value may be kept where only a message can drop it."""
        self._thread.start()
        return ttl_s if self._in_touch else min(ttl_s, OUT_OF_TOUCH_TTL_S)

    async def _tell(self, redis: Redis, tags: Sequence[str]) -> None:
        for first in range(0, len(tags), _TAGS_AT_ONCE):
            some = tags[first : first + _TAGS_AT_ONCE]
            # In order; a full Redis takes these, but no transaction.
            async with redis.pipeline(transaction=False) as pipeline:
                pipeline.delete(*map(_token_name, some))
                pipeline.publish(_CHANNEL, self._news(some))
                await pipeline.execute()

    async def _tell_of_all(self, redis: Redis) -> None:
        """Drop all that has a tag. A token that is drawn while the others are looked for is younger than the drop."""
        async for name in redis.scan_iter(_token_name("*"), count=_TAGS_AT_ONCE):
            await redis.delete(name)
        await redis.publish(_CHANNEL, self._news(None))

    def _news(self, tags: Sequence[str] | None) -> str:
        """None: all of them."""
        return json.dumps({"from": self._me, "tags": tags})

    async def _tell_late(self) -> None:
        late = self._untold.now()
        async with asyncio.timeout(_TELL_S):
            redis = await self._client()
            if None in late:
                await self._tell_of_all(redis)
            else:
                await self._tell(redis, [tag for tag in late if tag is not None])
        self._untold.told(late)

    # What goes on in the background.

    async def _watch(self) -> None:
        await asyncio.gather(self._mend(), self._listen())

    async def _mend(self) -> None:
        """Close the breaker when Redis answers again, later each time, until it has held for a while."""
        pause_s, mended_at = _PROBE_S, 0.0
        while True:
            await asyncio.sleep(pause_s)
            if not self._breaker.is_open and not self._untold:
                if time.monotonic() - mended_at > _LONGEST_PROBE_S:
                    pause_s = _PROBE_S
            elif await self._answers():
                self._breaker.close()
                pause_s, mended_at = min(2 * pause_s, _LONGEST_PROBE_S), time.monotonic()

    async def _answers(self) -> bool:
        try:
            if self._untold:
                await self._tell_late()
            redis = await self._client()
            async with asyncio.timeout(self._wait_s):
                await redis.get(f"{_PREFIX}probe")
        except Exception:  # as in _ask
            return False
        return True

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear()
            except Exception as error:  # as in _ask
                if self._in_touch:
                    logger.warning("cache_out_of_touch", extra={"error": type(error).__name__})
                    self._in_touch = False
                    self._drops.drop_all()
            await asyncio.sleep(_HEARTBEAT_S)

    async def _hear(self) -> None:
        """Until the connection is lost or silent, which raises one of many errors."""
        redis = await self._client()
        async with redis.pubsub() as channel:
            async with asyncio.timeout(_HEARTBEAT_S):
                await channel.subscribe(_CHANNEL)
            awaiting_pong = False
            while True:
                async with asyncio.timeout(2 * _HEARTBEAT_S):
                    message = await channel.get_message(timeout=_HEARTBEAT_S)
                    if message is None and not awaiting_pong:
                        await channel.ping()
                if message is None and awaiting_pong:
                    raise TimeoutError
                awaiting_pong = message is None
                if message is not None:
                    self._heard(message)

    def _heard(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":  # also when the client has connected again by itself
            self._drops.drop_all()
            self._in_touch = True
        elif message["type"] == "message":
            news = json.loads(message["data"])
            if news["from"] == self._me:
                return
            if news["tags"] is None:
                self._drops.drop_all()
            else:
                self._drops.drop(news["tags"])

    # Connections.

    async def _client(self) -> Redis:
        """Of the running event loop; closed when the loop shuts down, at the latest."""
        return (await self._here()).redis

    async def _here(self) -> "_Client":
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for closed in [known for known in self._clients if known.is_closed()]:
                del self._clients[closed]
            redis = Redis.from_url(self._url, retry=Retry(NoBackoff(), 1))
            client = _Client(redis, asyncio.Semaphore(_CONNECTIONS), Limits(), self._until_shutdown(loop))
            self._clients[loop] = client
            await anext(client.until_shutdown)
        return client

    async def _until_shutdown(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
        """An event loop that shuts down closes its generators, and so this one's client."""
        try:
            yield
        finally:
            await self._clients.pop(loop).redis.aclose()

    async def close(self) -> None:
        """The thread and this event loop's connections; tries once more to tell what is not told."""
        await asyncio.to_thread(self._thread.stop)
        if self._untold:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._answers()
        if client := self._clients.get(asyncio.get_running_loop()):
            await client.until_shutdown.aclose()

    def stop(self) -> None:
        """As `close`, for callers without an event loop; connections are closed with theirs."""
        self._thread.stop()


async def _look(redis: Redis, name: str, tags: Sequence[str]) -> Slot:
    raw, *found = await _values(redis.connection_pool, [name, *map(_token_name, tags)])
    tokens = await _new_tokens(redis, tags) if None in found else cast("list[bytes]", found)
    header = b" ".join([b"1", name.encode(), *tokens]) + b"\n"
    packed = raw[len(header) :] if raw is not None and raw.startswith(header) else None
    return Slot(name, header, packed, 0.0)


async def _values(pool: ConnectionPool, names: Sequence[str]) -> list[bytes | None]:
    """What has these names; None for what is absent, or no text.

    As `Redis.mget`, but without its retries, which cost more than our time limit does. The pool hands out no
    connection that was closed meanwhile.
    """
    connection = await pool.get_connection()  # type: ignore[no-untyped-call]
    try:
        await connection.send_command("MGET", *names)
        values: list[bytes | None] = await connection.read_response()
    finally:
        await pool.release(connection)
    return values


async def _new_tokens(redis: Redis, tags: Sequence[str]) -> list[bytes]:
    names = [*map(_token_name, tags)]
    async with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.set(name, secrets.token_hex(8), nx=True, ex=TOKEN_LIFE_S)
        pipeline.mget(names)
        tokens: list[bytes] = (await pipeline.execute())[-1]
    if None in tokens:
        raise UnavailableError  # Redis has thrown it out at once, or holds something else there
    return tokens


def _token_name(tag: str) -> str:
    return f"{_PREFIX}tag:{tag}"
