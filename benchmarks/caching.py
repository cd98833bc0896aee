"""What a cache hit costs, and what a call loses when Redis fails: `python -m benchmarks.caching`.

A Redis hit is measured in turn with a bare redis-py GET of the same value, so that both meet the same machine.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from redis.asyncio import Redis

from app.utils.caching import close_caching, configure_caching, memory_cache, redis_cache
from app.utils.metrics import get_metrics
from benchmarks.figures import print_table, spread
from tests import services

_VALUE = os.urandom(1_000)


@memory_cache(ttl=600)
def _number(asked: int) -> int:
    return asked


@memory_cache(ttl=600)
async def _number_async(asked: int) -> int:
    return asked


@memory_cache(ttl=600, tags=["a"])
def _tagged(asked: int, other: int = 2) -> bytes:
    return _VALUE


@memory_cache(ttl=600)
def _rows(asked: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(100)]


@redis_cache(ttl=600)
async def _bytes_in_redis(asked: int) -> bytes:
    return _VALUE


@redis_cache(ttl=600, tags=["a"])
async def _tagged_in_redis(asked: int) -> bytes:
    return _VALUE


@redis_cache(ttl=600)
async def _json_in_redis(asked: int) -> dict[str, list[int]]:
    return {"numbers": [asked] * 50}


@redis_cache(ttl=600)
def _sync_in_redis(asked: int) -> bytes:
    return _VALUE


def memory(rounds: int = 9, calls: int = 20_000) -> None:
    cases: dict[str, Callable[[], object]] = {
        "one number": lambda: _number(1),
        "one number, by name": lambda: _number(asked=1),
        "with a default and a tag": lambda: _tagged(1),
        "a list of 100 dictionaries (copied)": lambda: _rows(1),
    }
    rows = []
    for name, call in cases.items():
        number = calls if call is not cases["a list of 100 dictionaries (copied)"] else calls // 100
        rows.append([name, spread([_us_per_call(call, number) for _ in range(rounds)])])
    rows.append(["one number, async", spread(asyncio.run(_us_per_await(_number_async, rounds, calls)))])
    print_table(["Hit in memory", "µs"], rows)


def _us_per_call(call: Callable[[], object], number: int) -> float:
    began = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - began) / number * 1e6


async def _us_per_await(call: Callable[[int], Awaitable[object]], rounds: int, number: int) -> list[float]:
    figures = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(number):
            await call(1)
        figures.append((time.perf_counter() - began) / number * 1e6)
    return figures


async def redis(url: str, rounds: int = 200, calls: int = 30) -> None:
    configure_caching(url)
    client = Redis.from_url(url)
    await client.set("bare", _VALUE, ex=600)
    cases: dict[str, Callable[[], Awaitable[Any]]] = {
        "bare redis-py GET": lambda: client.get("bare"),
        "bytes": lambda: _bytes_in_redis(1),
        "bytes, with a tag": lambda: _tagged_in_redis(1),
        "JSON of 50 numbers": lambda: _json_in_redis(1),
    }
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, call in cases.items():
            figures[name] += await _us_per_await(lambda _, call=call: call(), 1, calls)  # type: ignore[misc]
    await asyncio.to_thread(_sync_in_redis, 1)
    figures["bytes, without an event loop"] = [
        await asyncio.to_thread(_us_per_call, lambda: _sync_in_redis(1), calls) for _ in range(rounds)
    ]
    bare_us = figures["bare redis-py GET"]
    rows = [
        [name, spread(values, 0), f"{median(us / bare for us, bare in zip(values, bare_us, strict=True)):.2f}"]
        for name, values in figures.items()
    ]
    print_table(["Hit in Redis", "µs", "of the bare GET in the same round"], rows)
    await client.aclose()
    await close_caching()


@contextmanager
def _killed() -> Iterator[tuple[str, Callable[[], None]]]:
    with services.redis() as server:
        yield server.url, server.process.kill


@contextmanager
def _hung() -> Iterator[tuple[str, Callable[[], None]]]:
    with services.redis() as server:
        yield server.url, lambda: server.process.send_signal(signal.SIGSTOP)


@contextmanager
def _full() -> Iterator[tuple[str, Callable[[], None]]]:
    with services.redis("--maxmemory", "1") as server:
        yield server.url, lambda: None


@contextmanager
def _with_password() -> Iterator[tuple[str, Callable[[], None]]]:
    with services.redis("--requirepass", "unknown") as server:
        yield server.url, lambda: None


@contextmanager
def _absent() -> Iterator[tuple[str, Callable[[], None]]]:
    yield f"redis://127.0.0.1:{services.free_port()}/0", lambda: None


def _talking(answer: bytes, delay_s: float) -> Callable[[], Any]:
    @contextmanager
    def running() -> Iterator[tuple[str, Callable[[], None]]]:
        with services.same_answer(answer, delay_s) as port:
            yield f"redis://127.0.0.1:{port}/0", lambda: None

    return running


_FAULTS: dict[str, Callable[[], Any]] = {
    "absent": _absent,
    "killed": _killed,
    "hung": _hung,
    "full": _full,
    "wants a password": _with_password,
    "answers nonsense": _talking(b"HTTP/1.1 400 Bad Request\r\n\r\n", 0),
    "answers half": _talking(b"$1000\r\nabc", 0),
    "answers after 20 ms": _talking(b"*1\r\n$-1\r\n", 0.02),
    "answers after 200 ms": _talking(b"*1\r\n$-1\r\n", 0.2),
}


async def faults(calls: int = 200) -> None:
    """Milliseconds lost in each of so many calls in a row, before and after the breaker has opened."""
    rows = []
    for name, fault in _FAULTS.items():
        with fault() as (url, make_faulty):
            configure_caching(url)
            await _bytes_in_redis(-1)
            make_faulty()
            before: list[float] = []
            after: list[float] = []
            for number in range(calls):
                was_open = "cache_breaker_open 1.0" in get_metrics().decode()
                began = time.perf_counter()
                await _bytes_in_redis(number)
                (after if was_open else before).append((time.perf_counter() - began) * 1e3)
            await close_caching()
        rows.append([name, str(len(before)), spread(before), spread(after, 3) if after else "stays closed"])
    print_table(["Redis", "calls until open", "ms lost in each", "ms lost while open"], rows)


def main() -> None:
    configure_caching(redis_url="")
    memory()
    with services.redis() as server:
        asyncio.run(redis(server.url))
    asyncio.run(faults())


if __name__ == "__main__":
    main()
