"""The two tiers: what a cached function does, in memory and in Redis.

Each stands here twice, with and without `await`: the work of a thread and that of a task are begun, shared and
cancelled so differently that one text for both would hide more than it saves.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from app.utils._cache_current import drops, in_use
from app.utils._cache_flights import Flights, ThreadFlights
from app.utils._cache_keys import KeyMaker, digest
from app.utils._cache_memory import Store
from app.utils._cache_redis import Link, Slot, UnavailableError
from app.utils._cache_values import MISSING, Codec, NotKeepableError, is_response, returns
from app.utils.metrics import cache_requests

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
Ttl: TypeAlias = float | Callable[[Any], float] | None
Tags: TypeAlias = Iterable[str] | Callable[..., Iterable[str]]


class Rules:
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
            return in_use().settings.cache_ttl
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


def cached_in_memory(function: Callable[P, R], rules: Rules, key_of: KeyMaker, max_entries: int) -> Callable[P, R]:
    store = Store(rules.name, max_entries, drops)

    def keep(key: Hashable, value: object, tags: tuple[str, ...], since: int) -> None:
        ttl_s = rules.ttl_s(value)
        if tags and ttl_s > 0 and (link := in_use().link):
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
                    tags, since = rules.tags(args, kwargs), drops.count
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
            tags, since = rules.tags(args, kwargs), drops.count
            value = await call(*args, **kwargs)
            keep(key, value, tags, since)
            return value

        value = find(key)
        if value is MISSING:
            value = await flights.run(key, look, work)
        return await call(*args, **kwargs) if value is MISSING else value

    return cast("Callable[P, R]", cached_async)


def cached_in_redis(function: Callable[P, R], rules: Rules, key_of: KeyMaker) -> Callable[P, R]:
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
            link = in_use().link
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
        link = in_use().link
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
