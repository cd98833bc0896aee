"""Caching in Redis: what comes back, what other processes hear, and what happens when Redis fails."""

import asyncio
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from redis import Redis

from app.utils.caching import close_caching, configure_caching, invalidate, invalidate_sync, memory_cache, redis_cache
from app.utils.metrics import get_metrics
from tests import services
from tests.conftest import skip_or_fail

pytestmark = pytest.mark.usefixtures("_closed")


@pytest.fixture
async def _closed() -> AsyncIterator[None]:
    yield
    await close_caching()
    assert not [thread for thread in threading.enumerate() if thread.name == "cache"]


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """What the cache uses, seen from outside; a busy machine may take its time."""
    configure_caching(redis_url, redis_wait=5)
    with Redis.from_url(redis_url) as client:
        yield client


async def _eventually(holds: Callable[[], Any], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


def _listeners(redis: Redis) -> int:
    answer: Any = redis.pubsub_numsub("voltway:cache:drops")
    return int(answer[0][1])


def _connections(redis: Redis) -> int:
    answer: Any = redis.info("clients")
    return int(answer["connected_clients"])


# Values.


class Kind(StrEnum):
    AC = "ac"


@dataclass
class Plug:
    kind: Kind
    power_kw: Decimal


class Station(BaseModel):
    id: UUID
    since: date
    plugs: list[Plug]


def _plain() -> Any: ...
def _bytes() -> bytes | None: ...
def _tuple() -> tuple[datetime, frozenset[int]]: ...  # type: ignore[empty-body]
def _dataclass() -> Plug: ...  # type: ignore[empty-body]
def _models() -> dict[int, Station]: ...  # type: ignore[empty-body]


PLUG = Plug(Kind.AC, Decimal("22.0"))
STATION = Station(id=UUID(int=1), since=date(2026, 1, 2), plugs=[PLUG])


@pytest.mark.parametrize(
    ("annotated", "value"),
    [
        (_plain, {"a": [1, 2.5, "text", True, None]}),
        (_plain, b"\x00\xff"),
        (_plain, 0),
        (_bytes, b"\x00\xff"),
        (_tuple, (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), frozenset({1, 2}))),
        (_dataclass, PLUG),
        (_models, {7: STATION}),
        (_models, [{"id": 1}]),  # an endpoint may return dictionaries where it announces models
    ],
    ids=["json", "bytes", "zero", "optional-bytes", "tuple", "dataclass", "models", "not-as-announced"],
)
async def test_values_come_back_as_what_they_were(redis: Redis, annotated: Callable[[], Any], value: object) -> None:
    calls = []

    async def function():  # type: ignore[no-untyped-def]
        calls.append(1)
        return value

    function.__annotations__ = annotated.__annotations__
    cached = redis_cache(ttl=60)(function)
    first, second = await cached(), await cached()
    assert first == second == value
    assert type(second) is type(value)
    assert calls == [1]
    assert redis.dbsize() == 1


@pytest.mark.parametrize(
    "value",
    [datetime(2026, 1, 1, tzinfo=UTC), (1, 2), {1: "a"}, [Kind.AC], {"plug": PLUG}, float("nan"), object(), {1, 2}],
    ids=["datetime", "tuple", "number-keys", "enum", "dataclass", "nan", "object", "set"],
)
async def test_a_value_that_would_come_back_altered_is_not_kept(
    redis: Redis, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    @redis_cache(ttl=60)
    async def function() -> Any:
        return value

    assert await function() is await function() is value
    assert redis.dbsize() == 0
    assert [record.message for record in caplog.records] == ["cache_value_refused"]


async def test_a_value_of_another_version_of_the_function_is_replaced(redis: Redis) -> None:
    def version(result: Any, announced: Any) -> Any:
        async def function():  # type: ignore[no-untyped-def]
            return result

        function.__annotations__ = {"return": announced}
        return redis_cache(ttl=60)(function)

    assert await version([1], list[int])() == [1]
    assert await version(PLUG, Plug)() == PLUG
    assert await version("never called", Plug)() == PLUG
    key = next(redis.scan_iter("*function*"))
    redis.delete(key)
    redis.rpush(key, "of another type")
    redis.expire(key, 60)
    assert await version(PLUG, Plug)() == PLUG
    assert redis.type(key) == b"string"


async def test_none_and_times_to_live_are_as_in_memory(redis: Redis) -> None:
    @redis_cache(ttl=60)
    async def absent() -> int | None:
        return None

    @redis_cache(ttl=60, cache_none=True)
    async def known_absent() -> int | None:
        return None

    @redis_cache(ttl=lambda value: value)
    async def lasting(seconds: float) -> float:
        return seconds

    assert await absent() is None
    assert await lasting(0) == 0
    assert redis.dbsize() == 0
    assert await known_absent() is await known_absent() is None
    assert await lasting(100.0) == 100
    lives: list[Any] = [redis.ttl(key) for key in redis.scan_iter()]
    assert sorted(seconds > 60 for seconds in lives) == [False, True]


def test_functions_without_an_event_loop_use_the_same_redis(redis: Redis) -> None:
    calls = []

    @redis_cache(ttl=60, tags=["plugs"])
    def function(number: int) -> list[Plug]:
        calls.append(number)
        return [PLUG] * number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(function, [2] * 8)) == [[PLUG, PLUG]] * 8
    assert calls == [2]
    assert invalidate_sync("plugs")
    assert function(2) == [PLUG, PLUG]
    assert calls == [2, 2]
    assert redis.dbsize() == 2


async def test_a_burst_of_calls_looks_once_for_each_key_over_few_connections(redis: Redis) -> None:
    calls = []

    @redis_cache(ttl=60)
    async def function(number: int) -> int:
        calls.append(number)
        return number

    assert await asyncio.gather(*(function(number % 50) for number in range(1_000))) == [*range(50)] * 20
    assert sorted(calls) == [*range(50)]
    assert _connections(redis) < 30


# Drops.


async def test_a_value_computed_before_the_drop_does_not_count_after_it(redis: Redis) -> None:
    truth = "old"
    has_read, may_end = asyncio.Event(), asyncio.Event()

    @memory_cache(ttl=60, tags=["truth"])
    @redis_cache(ttl=60, tags=["truth"])
    async def function() -> str:
        read = truth
        has_read.set()
        await may_end.wait()
        return read

    slow = asyncio.create_task(function())
    await has_read.wait()
    truth = "new"
    assert await invalidate("truth")
    may_end.set()
    assert await slow == "old"
    assert redis.keys("*function*")  # it was stored, and does not count
    assert await function() == await function() == "new"


async def test_what_redis_throws_out_is_a_miss_and_no_old_value(redis: Redis) -> None:
    calls = []

    @redis_cache(ttl=60, tags=["a", "b"])
    async def function() -> int:
        calls.append(1)
        return len(calls)

    assert await function() == await function() == 1
    redis.delete("voltway:cache:tag:a")
    assert await function() == await function() == 2


_OTHER_PROCESS = """
import asyncio, json, sys
from app.utils.caching import close_caching, configure_caching, invalidate, memory_cache, redis_cache

truth = None

@memory_cache(ttl=600, tags=["truth"])
@redis_cache(ttl=600, tags=["truth"])
async def function() -> str:
    return truth

async def main():
    global truth
    configure_caching(sys.argv[1], redis_wait=float(sys.argv[2]))
    for line in iter(sys.stdin.readline, ""):
        command, *rest = json.loads(line)
        if command == "truth":
            truth = rest[0]
            answer = None
        else:
            answer = await (function() if command == "ask" else invalidate(*rest))
        print(json.dumps(answer), flush=True)
    await close_caching()

asyncio.run(main())
"""


class OtherProcess:
    def __init__(self, url: str, redis_wait: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _OTHER_PROCESS, url, redis_wait],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def do(self, *command: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        _, complaints = self._process.communicate(timeout=20)
        assert (self._process.returncode, complaints) == (0, "")


@contextmanager
def _processes(url: str, redis_wait: str = "5") -> Iterator[tuple[OtherProcess, OtherProcess]]:
    one, other = OtherProcess(url, redis_wait), OtherProcess(url, redis_wait)
    try:
        yield one, other
    finally:
        one.end()
        other.end()


async def test_a_drop_is_heard_in_every_process(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis, _processes(redis_url) as (one, other):
        for process in (one, other):
            process.do("truth", "old")
            assert process.do("ask") == "old"
        await _eventually(lambda: _listeners(redis) == 2)
        for process in (one, other):
            process.do("ask")
            process.do("truth", "new")
            assert process.do("ask") == "old"
        assert one.do("invalidate", "truth") is True
        assert one.do("ask") == "new"
        await _eventually(lambda: other.do("ask") == "new")

        redis.client_kill_filter(_type="pubsub")  # deaf for a moment
        redis.flushall()
        for process in (one, other):
            process.do("truth", "newest")
        await _eventually(lambda: {one.do("ask"), other.do("ask")} == {"newest"})


@pytest.mark.parametrize(
    "tags",
    [["truth"], [f"another-{number}" for number in range(10_001)]],
    ids=["one", "more than are remembered, so that all are dropped"],
)
async def test_a_drop_that_redis_could_not_be_told_is_told_later(tags: list[str]) -> None:
    with (
        _redis_server() as server,
        Redis.from_url(server.url) as redis,
        _processes(server.url, "0.5") as (one, other),
    ):
        for process in (one, other):
            process.do("truth", "old")
            assert process.do("ask") == "old"
            process.do("truth", "new")
        await _eventually(lambda: _listeners(redis) == 2)
        server.process.send_signal(signal.SIGSTOP)
        assert one.do("invalidate", *tags) is False
        assert one.do("ask") == "new"
        server.process.send_signal(signal.SIGCONT)
        await _eventually(lambda: other.do("ask") == "new")
        assert one.do("ask") == "new"


async def test_a_process_that_loses_redis_drops_what_it_may_have_missed() -> None:
    with _redis_server() as server, Redis.from_url(server.url) as redis:
        configure_caching(server.url)
        answers = iter(range(1_000_000))

        @memory_cache(ttl=600, tags=["a"])
        async def function() -> int:
            return next(answers)

        await function()
        await _eventually(lambda: _listeners(redis) == 1)
        await _settled(function)
        first = await function()
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 15
        while await function() == first:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def _settled(function: Callable[[], Any]) -> None:
    """Until a value stays in memory, that is, until this process has heard that it is subscribed."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        first = await function()
        await asyncio.sleep(0.05)
        if await function() == first:
            return
    raise AssertionError("no value stays")


# Event loops.


def test_event_loops_may_come_and_go_without_closing_anything(redis: Redis) -> None:
    before = _connections(redis)
    app = FastAPI()
    calls = []

    @app.get("/")
    @redis_cache(ttl=60)
    @memory_cache(ttl=0)
    async def endpoint() -> int:
        calls.append(1)
        return len(calls)

    assert [TestClient(app).get("/").json() for _ in range(3)] == [1, 1, 1]
    assert asyncio.run(endpoint()) == 1
    asyncio.run(_eventually(lambda: _connections(redis) == before))


def test_a_program_that_configures_and_closes_nothing_ends_without_a_word(redis_url: str) -> None:
    program = """
import asyncio
from app.utils.caching import memory_cache, redis_cache

@redis_cache()
@memory_cache(tags=["a"])
async def coroutine() -> int:
    return 1

@redis_cache()
def function() -> int:
    return 1

assert [asyncio.run(coroutine()) for _ in range(2)] == [1, 1]
assert function() == function() == 1
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        env={**os.environ, "REDIS_URL": redis_url, "CACHE_REDIS_WAIT": "5"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    with Redis.from_url(redis_url) as redis:
        assert len(redis.keys("*__main__*")) == 2


def test_a_forked_process_uses_connections_of_its_own(redis: Redis) -> None:
    @redis_cache(ttl=60)
    def function() -> int:
        return os.getpid()

    parent = function()
    child = os.fork()
    if child == 0:
        os._exit(0 if function() == parent else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert redis.dbsize() == 1


# Faults. Each server is one that has a fault, or gets it when the test calls what is yielded beside its URL.


@contextmanager
def _redis_server(*options: str) -> Iterator[services.RedisServer]:
    if shutil.which("redis-server") is None:
        skip_or_fail("Redis is not installed, so nothing was tested on it")
    with services.redis(*options) as server:
        yield server


Faulty = Iterator[tuple[str, Callable[[], None]]]


@contextmanager
def _killed() -> Faulty:
    with _redis_server() as server:
        yield server.url, server.process.kill


@contextmanager
def _hung() -> Faulty:
    with _redis_server() as server:
        yield server.url, lambda: server.process.send_signal(signal.SIGSTOP)


@contextmanager
def _full() -> Faulty:
    with _redis_server("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        yield server.url, lambda: None


@contextmanager
def _with_password() -> Faulty:
    with _redis_server("--requirepass", "unknown") as server:
        yield server.url.replace("//", "//:hunter2@"), lambda: None


@contextmanager
def _absent() -> Faulty:
    yield f"redis://:hunter2@127.0.0.1:{services.free_port()}/0", lambda: None


def _talking(answer: bytes, delay_s: float = 0) -> Callable[[], Any]:
    """A server that has the same answer to everything."""

    @contextmanager
    def running() -> Faulty:
        with services.same_answer(answer, delay_s) as port:
            yield f"redis://127.0.0.1:{port}/0", lambda: None

    return running


_FAULTS = {
    "absent": _absent,
    "killed": _killed,
    "hung": _hung,
    "full": _full,
    "password": _with_password,
    "nonsense": _talking(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "half-an-answer": _talking(b"$1000\r\nabc"),
    "numbers": _talking(b":5\r\n:5\r\n:x\r\n"),
    "lists": _talking(b"*2\r\n*1\r\n:1\r\n$-1\r\n"),
    "errors": _talking(b"-ERR no\r\n"),
    "slow": _talking(b"*1\r\n$-1\r\n", delay_s=0.2),
}


@pytest.mark.parametrize("fault", _FAULTS)
async def test_whatever_is_wrong_with_redis_the_function_is_called(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    @redis_cache(ttl=60, tags=["a"])
    async def coroutine(number: int) -> int:
        return number

    @redis_cache(ttl=60)
    def function(number: int) -> int:
        return number

    with _FAULTS[fault]() as (url, make_faulty):
        configure_caching(url)
        assert await coroutine(-1) == -1
        make_faulty()
        async with asyncio.timeout(20):
            assert [await coroutine(number) for number in range(4)] == [0, 1, 2, 3]
            assert [await asyncio.to_thread(function, number) for number in range(4)] == [0, 1, 2, 3]
            if fault not in {"full", "errors", "lists"}:  # there the server answers, so it goes on being asked
                assert await _asked_until_breaker(1, coroutine)
        await close_caching()
    assert "hunter2" not in caplog.text
    assert [record.message for record in caplog.records].count("cache_breaker_opened") <= 1


async def _asked_until_breaker(state: int, function: Callable[[int], Any]) -> bool:
    deadline = time.monotonic() + 15
    while f"cache_breaker_open {state}.0" not in get_metrics().decode():
        if time.monotonic() > deadline:
            return False
        await function(1)
        await asyncio.sleep(0.01)
    return True


@pytest.mark.parametrize("again", ["continued", "started"])
async def test_the_breaker_closes_by_itself_when_redis_is_back(again: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    calls = []

    @redis_cache(ttl=60)
    async def function(number: int) -> int:
        calls.append(number)
        return number

    with _redis_server() as server:
        configure_caching(server.url)
        await function(1)
        server.process.send_signal(signal.SIGSTOP if again == "continued" else signal.SIGKILL)
        assert await _asked_until_breaker(1, function)
        port = int(server.url.rsplit(":", 1)[1].split("/")[0])
        if again == "continued":
            server.process.send_signal(signal.SIGCONT)
            assert await _asked_until_breaker(0, function)
        else:
            server.process.wait()
            with services.redis(port=port):
                assert await _asked_until_breaker(0, function)
                await function(1)
                before = len(calls)
                await function(1)
                assert len(calls) == before
        await close_caching()
    events = [record.message for record in caplog.records if record.message.startswith("cache_breaker")]
    assert events == ["cache_breaker_opened", "cache_breaker_closed"]
