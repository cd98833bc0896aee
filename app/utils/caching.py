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

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from app.utils._cache_current import CacheSettings, Current, drops, in_use, swap
from app.utils._cache_keys import key_maker
from app.utils._cache_tiers import Rules, Tags, Ttl, cached_in_memory, cached_in_redis

__all__ = [
    "CacheSettings",
    "close_caching",
    "configure_caching",
    "invalidate",
    "invalidate_sync",
    "memory_cache",
    "redis_cache",
]

P = ParamSpec("P")
R = TypeVar("R")


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
        rules = Rules(function, "memory", ttl, tags, cache_none)
        return cached_in_memory(function, rules, key_maker(function, ignore, key), max_entries)

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
        rules = Rules(function, "redis", ttl, tags, cache_none)
        return cached_in_redis(function, rules, key_maker(function, ignore, key))

    return decorate


async def invalidate(*tags: str) -> bool:
    """Drop every result that has one of the tags, in all tiers and processes.

    False: this process has dropped them, but Redis could not be told in time. It is told as soon as it answers,
    unless this process ends before; until then this process does not use it.
    """
    link = in_use().link
    try:
        return link is None or await link.tell(tags)
    finally:
        drops.drop(tags)


def invalidate_sync(*tags: str) -> bool:
    """`invalidate`, for code without an event loop."""
    link = in_use().link
    try:
        return link is None or link.wait_for(link.tell(tags), otherwise=False)
    finally:
        drops.drop(tags)


def configure_caching(
    redis_url: str | None = None, ttl: float | None = None, redis_wait: float | None = None
) -> None:
    """Begin anew, with empty memory. None: from the environment; `redis_url=""`: no Redis.

    Not needed if the environment says all. Raises ValidationError. Await `close_caching` in the end.
    """
    given: dict[str, Any] = {"redis_url": redis_url, "cache_ttl": ttl, "cache_redis_wait": redis_wait}
    previous = swap(Current(CacheSettings(**{name: value for name, value in given.items() if value is not None})))
    if previous is not None and previous.link is not None:
        previous.link.stop()


async def close_caching() -> None:
    """Close connections, end the thread, forget what is in memory. A later use begins anew, from the environment."""
    previous = swap(None)
    if previous is not None and previous.link is not None:
        await previous.link.close()
