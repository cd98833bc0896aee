"""Caching of function results, in memory and in Redis, for functions, methods and FastAPI endpoints.

    @redis_cache(ttl=3600, tags=["statistics"])
    @memory_cache(ttl=60, tags=["statistics"])
    async def statistics(country: str) -> Statistics: ...

    await invalidate("statistics")

- Works for `def` and `async def` alike; the two decorators may stand in any order; an endpoint keeps its signature.
- Equal arguments are one entry, however they are passed; 1, True, 1.0 and "1" are not equal. An argument without a
  stable key raises TypeError with its name: list it in `ignore`, or make a key of the call with `key`. Requests,
  responses, background tasks and database sessions never belong to the key, nor does what is read from them.
- Of several equal calls at the same time one does the work. Its exception goes to all, and is not kept. The work goes
  on when those who wait for it are cancelled, so what it uses must not end with them: let it open its own session.
- Nobody shares a value that can change: a hit in memory is a deep copy, unless the value is immutable (text, bytes,
  numbers, tuples and frozen dataclasses of these), which costs nothing. Keep big answers as bytes.
- Redis holds JSON by the return annotation, and `bytes` as they are, never pickle. A value that would not come back
  as it was is not kept, and the log says so once. A web framework's Response is such a value.
- Whatever is wrong with Redis, the function is called, and the call loses 50 ms at most. After some failures in a row
  Redis is left alone until it answers a probe.
- `invalidate` drops what has a tag, in every process that uses the same Redis; without Redis in this process. A value
  whose computation began before the drop is not kept. A process that has lost Redis keeps tagged values in memory for
  5 s at most, so what it missed cannot last.
- Functions are told apart by module and qualified name; in Redis, functions of one name are one cache.
"""

import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from functools import wraps
from threading import Lock
from typing import Annotated, Any, ParamSpec, TypeAlias, TypeVar, cast

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.connection import parse_url

from app.utils._cache_flights import Flights, ThreadFlights
from app.utils._cache_keys import KeyMaker, digest, key_maker
from app.utils._cache_memory import Drops, Store, clear_stores
from app.utils._cache_redis import Link, Slot, UnavailableError
from app.utils._cache_values import MISSING, Codec, NotKeepableError, is_response, returns
from app.utils.metrics import cache_requests

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
Ttl: TypeAlias = float | Callable[[Any], float] | None
Tags: TypeAlias = Iterable[str] | Callable[..., Iterable[str]]


class CacheSettings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True)

    redis_url: SecretStr = SecretStr("")
    """`redis://user:password@host:port/number`; empty: no Redis, each process caches for itself."""
    cache_ttl: Annotated[float, Field(gt=0)] = 3_600.0
    """Seconds that a value is kept where the code does not say."""
    cache_redis_wait: Annotated[float, Field(gt=0)] = 0.04
    """Seconds that a call may wait for Redis in all; up to 10 ms more are lost by timers and a busy event loop."""

    @field_validator("redis_url")
    @classmethod
    def _is_a_url(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value():
            try:
                parse_url(url.get_secret_value())  # type: ignore[no-untyped-call]
            except ValueError:
                raise ValueError("not a Redis URL (redis://user:password@host:port/number)") from None
        return url


def memory_cache(
    ttl: Ttl = None,
    *,
    max_entries: int = 1_024,
    tags: Tags = (),
    key: Callable[..., object] | None = None,
    ignore: Iterable[str] = (),
    cache_none: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep results in this process.

    `ttl`: seconds, or a function from the result to seconds; 0 or less: not kept; None: CACHE_TTL. `tags`, or a
    function from the call's arguments to them: what `invalidate` can drop the result by. `key`: a function from the
    call's arguments to what stands for all of them. `ignore`: parameters that are no part of the key. `cache_none`:
    whether None is a result to keep. When `max_entries` are held, the one not used for longest leaves.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        rules = _Rules(function, "memory", ttl, tags, cache_none)
        return _cached_in_memory(function, rules, key_maker(function, ignore, key), max_entries)

    return decorate


def redis_cache(
    ttl: Ttl = None,
    *,
    tags: Tags = (),
    key: Callable[..., object] | None = None,
    ignore: Iterable[str] = (),
    cache_none: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep results in Redis, for all processes; without REDIS_URL the function is just called.

    Arguments as for `memory_cache`. A result with tags is kept for 30 days at most. Under a `memory_cache`, a result
    may be as old as both times to live together.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        rules = _Rules(function, "redis", ttl, tags, cache_none)
        return _cached_in_redis(function, rules, key_maker(function, ignore, key))

    return decorate


async def invalidate(*tags: str) -> bool:
    """Drop every result that has one of the tags, in all tiers and processes.

    False: this process has dropped them, but Redis could not be told in time. It is told as soon as it answers,
    unless this process ends before; until then this process does not use it.
    """
    link = _in_use().link
    try:
        return link is None or await link.tell(tags)
    finally:
        _drops.drop(tags)


def invalidate_sync(*tags: str) -> bool:
    """`invalidate`, for code without an event loop."""
    link = _in_use().link
    try:
        return link is None or link.wait_for(link.tell(tags), otherwise=False)
    finally:
        _drops.drop(tags)


def configure_caching(
    redis_url: str | None = None, ttl: float | None = None, redis_wait: float | None = None
) -> None:
    """Begin anew, with empty memory. None: from the environment; `redis_url=""`: no Redis.

    Not needed if the environment says all. Raises ValidationError. Await `close_caching` in the end.
    """
    given: dict[str, Any] = {"redis_url": redis_url, "cache_ttl": ttl, "cache_redis_wait": redis_wait}
    previous = _swap(_Current(CacheSettings(**{name: value for name, value in given.items() if value is not None})))
    if previous is not None and previous.link is not None:
        previous.link.stop()


async def close_caching() -> None:
    """Close connections, end the thread, forget what is in memory. A later use begins anew, from the environment."""
    previous = _swap(None)
    if previous is not None and previous.link is not None:
        await previous.link.close()


class _Current:
    """The settings in use."""

    def __init__(self, settings: CacheSettings) -> None:
        url = settings.redis_url.get_secret_value()
        self.settings = settings
        self.link = Link(url, settings.cache_redis_wait, _drops) if url else None


_drops = Drops()
_lock = Lock()
_current: _Current | None = None


def _in_use() -> _Current:
    global _current  # noqa: PLW0603  # one for the process
    if _current is None:
        with _lock:
            _current = _current or _Current(CacheSettings())
    return _current


def _swap(new: _Current | None) -> _Current | None:
    global _current
    with _lock:
        previous, _current = _current, new
    clear_stores()
    return previous


def _after_fork() -> None:
    """Threads and connections stay with the parent."""
    global _current, _lock  # noqa: PLW0603
    _lock = Lock()
    _current = _current and _Current(_current.settings)


os.register_at_fork(after_in_child=_after_fork)


class _Rules:
    """What one tier of one function keeps, for how long, and how that is counted."""

    def __init__(self, function: Callable[..., object], tier: str, ttl: Ttl, tags: Tags, cache_none: bool) -> None:
        self.name = f"{function.__module__}.{function.__qualname__}"
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{self.name} is a generator: there is no result to keep")
        if is_response(returns(function)):
            raise TypeError(f"{self.name} returns a response, which can be sent once: cache what it is made of")
        self._ttl = ttl
        self._tags = tags if callable(tags) else _as_tuple(tags)
        self._cache_none = cache_none
        self._tier = tier
        self._refused_before = False
        self.hit, self.miss, self.error, self._refused = (
            cache_requests.labels(self.name, tier, result).inc for result in ("hit", "miss", "error", "refused")
        )

    def ttl_s(self, value: object) -> float:
        """0 or less: not to be kept."""
        if value is None and not self._cache_none:
            return 0
        if self._ttl is None:
            return _in_use().settings.cache_ttl
        return self._ttl(value) if callable(self._ttl) else self._ttl

    def tags(self, args: Any, kwargs: Any) -> tuple[str, ...]:
        return _as_tuple(self._tags(*args, **kwargs)) if callable(self._tags) else self._tags

    def refuse(self, error: NotKeepableError) -> None:
        self._refused()
        if not self._refused_before:
            self._refused_before = True
            extra = {"cache": self.name, "tier": self._tier, "type": str(error)}
            logger.warning("cache_value_refused", extra=extra)


def _as_tuple(tags: Iterable[str]) -> tuple[str, ...]:
    """A text is one tag, not its letters."""
    return (tags,) if isinstance(tags, str) else tuple(tags)


def _cached_in_memory(function: Callable[P, R], rules: _Rules, key_of: KeyMaker, max_entries: int) -> Callable[P, R]:
    store = Store(rules.name, max_entries, _drops)

    def keep(key: Hashable, value: object, tags: tuple[str, ...], since: int) -> None:
        ttl_s = rules.ttl_s(value)
        if tags and ttl_s > 0 and (link := _in_use().link):
            ttl_s = link.ttl_in_memory(ttl_s)
        if ttl_s > 0:
            try:
                store.put(key, value, ttl_s, tags, since)
            except NotKeepableError as error:
                rules.refuse(error)

    def find(key: Hashable) -> Any:
        value = store.get(key)
        (rules.miss if value is MISSING else rules.hit)()
        return value

    if not _is_async(function):
        thread_flights = ThreadFlights()

        @_like(function)
        def cached(*args: P.args, **kwargs: P.kwargs) -> R:
            key = key_of(args, kwargs)

            def work() -> Any:
                value = store.get(key)  # of a thread that was faster
                if value is MISSING:
                    tags, since = rules.tags(args, kwargs), _drops.count
                    value = function(*args, **kwargs)
                    keep(key, value, tags, since)
                return value

            value = find(key)
            if value is MISSING:
                value = thread_flights.run(key, work)
            return function(*args, **kwargs) if value is MISSING else cast("R", value)

        return cached

    flights = Flights()
    call = cast("Callable[P, Awaitable[Any]]", function)

    @_like(function)
    async def cached_async(*args: P.args, **kwargs: P.kwargs) -> Any:
        key = key_of(args, kwargs)

        async def look() -> Any:
            return MISSING

        async def work() -> Any:
            tags, since = rules.tags(args, kwargs), _drops.count
            value = await call(*args, **kwargs)
            keep(key, value, tags, since)
            return value

        value = find(key)
        if value is MISSING:
            value = await flights.run(key, look, work)
        return await call(*args, **kwargs) if value is MISSING else value

    return cast("Callable[P, R]", cached_async)


def _cached_in_redis(function: Callable[P, R], rules: _Rules, key_of: KeyMaker) -> Callable[P, R]:
    codec = Codec(returns(function))

    async def look(link: Link, key: Hashable, tags: Sequence[str]) -> tuple[Any, Slot | None]:
        """What is there, or MISSING; and where to put what the function returns, or None."""
        try:
            slot = await link.look(f"{rules.name}:{digest(key)}", tags)
            value = MISSING if slot.packed is None else codec.unpack(slot.packed)
        except UnavailableError:
            rules.error()
            return MISSING, None
        except ValueError:  # from a version of the function that returned something else
            rules.error()
            return MISSING, slot
        (rules.miss if value is MISSING else rules.hit)()
        return value, slot

    async def keep(link: Link, slot: Slot, value: object) -> None:
        ttl_s = rules.ttl_s(value)
        if ttl_s > 0:
            try:
                await link.keep(slot, codec.pack(value), ttl_s)
            except NotKeepableError as error:
                rules.refuse(error)
            except UnavailableError:
                rules.error()

    if not _is_async(function):
        thread_flights = ThreadFlights()

        @_like(function)
        def cached(*args: P.args, **kwargs: P.kwargs) -> R:
            link = _in_use().link
            if link is None:
                return function(*args, **kwargs)
            key = key_of(args, kwargs)

            def work() -> Any:
                value, slot = link.wait_for(look(link, key, rules.tags(args, kwargs)), (MISSING, None))
                if value is MISSING:
                    value = function(*args, **kwargs)
                    if slot is not None:
                        link.wait_for(keep(link, slot, value), None)
                return value

            value = thread_flights.run(key, work)
            return function(*args, **kwargs) if value is MISSING else cast("R", value)

        return cached

    flights = Flights()
    call = cast("Callable[P, Awaitable[Any]]", function)

    @_like(function)
    async def cached_async(*args: P.args, **kwargs: P.kwargs) -> Any:
        link = _in_use().link
        if link is None:
            return await call(*args, **kwargs)
        key = key_of(args, kwargs)
        slot: Slot | None = None

        async def find() -> Any:
            nonlocal slot
            value, slot = await look(link, key, rules.tags(args, kwargs))
            return value

        async def work() -> Any:
            value = await call(*args, **kwargs)
            if slot is not None:
                await keep(link, slot, value)
            return value

        value = await flights.run(key, find, work)
        return await call(*args, **kwargs) if value is MISSING else value

    return cast("Callable[P, R]", cached_async)


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function)


def _like(function: Callable[..., object]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """As `wraps`, with annotations resolved where the function's names are known: FastAPI reads them."""

    def decorate(wrapper: Callable[P, R]) -> Callable[P, R]:
        wraps(function)(wrapper)
        with suppress(NameError, TypeError):
            wrapper.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
        return wrapper

    return decorate
