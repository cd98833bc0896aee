"""Caching in memory, and what both tiers promise of keys, calls and values."""

import asyncio
import dataclasses
import enum
import importlib.util
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.testclient import TestClient
from pydantic import BaseModel, SecretStr, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.utils.caching import (
    CacheSettings,
    close_caching,
    configure_caching,
    invalidate,
    invalidate_sync,
    memory_cache,
    redis_cache,
)
from app.utils.metrics import get_metrics

Decorator = Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]


@pytest.fixture(autouse=True)
async def _without_redis() -> AsyncIterator[None]:
    configure_caching(redis_url="")
    yield
    await close_caching()


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Point:
    lon: float
    lat: float


class Filter(BaseModel):
    countries: list[str]


@dataclasses.dataclass
class Counted:
    """A function's calls, and the cached function."""

    cached: Callable[..., Any]
    calls: list[Any]


def counted(decorator: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Counted:
    calls: list[Any] = []

    def function(asked: Any = None, other: Any = 2) -> int:
        calls.append(asked)
        return len(calls)

    return Counted(decorator(function), calls)


# Keys.


def test_one_call_is_one_key_however_its_arguments_are_passed() -> None:
    function = counted(memory_cache())
    answers = [
        function.cached(1),
        function.cached(1, 2),
        function.cached(asked=1),
        function.cached(other=2, asked=1),
        function.cached(1, other=2),
    ]
    assert answers == [1] * 5


def test_equal_values_of_different_types_are_different_keys() -> None:
    function = counted(memory_cache())
    values = [1, True, 1.0, "1", b"1", Decimal(1), Level.ONE, [1], (1,), {1}, frozenset({1}), {1: 1}, None, -0.0, 0.0]
    for value in values:
        function.cached(value)
    assert len(function.calls) == len(values)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, [2, {"a": 3}]],
        lambda: {"b": {2, 1}, "a": (1.5, None)},
        lambda: Point(1.0, 2.0),
        lambda: Filter(countries=["DE"]),
        lambda: Colour.RED,
        lambda: datetime(2026, 1, 1, tzinfo=UTC),
        lambda: date(2026, 1, 1),
        lambda: UUID(int=1),
        lambda: Path("a"),
        lambda: Point,
        lambda: float("nan"),
    ],
    ids=["lists", "dicts", "dataclass", "model", "enum", "datetime", "date", "uuid", "path", "class", "nan"],
)
def test_equal_arguments_hit_whatever_their_type(make: Callable[[], Any]) -> None:
    function = counted(memory_cache())
    assert function.cached(make()) == function.cached(make()) == 1


def test_dicts_and_sets_are_one_key_in_any_order() -> None:
    function = counted(memory_cache())
    assert function.cached({"a": 1, "b": 2}) == function.cached({"b": 2, "a": 1}) == 1


def test_what_serves_the_call_is_no_part_of_the_key() -> None:
    function = counted(memory_cache())

    class OwnSession(AsyncSession):
        pass

    def request() -> Request:
        return Request({"type": "http", "method": "GET", "path": "/", "headers": []})

    for make in (Session, OwnSession, request, Response, BackgroundTasks):
        before = len(function.calls)
        assert function.cached(before, make()) == function.cached(before, make())
        assert len(function.calls) == before + 1


@pytest.mark.parametrize(
    "value",
    [object(), threading.Lock(), [object()], len, SecretStr("s")],
    ids=["object", "lock", "inside", "function", "secret"],
)
def test_an_argument_without_a_stable_key_is_named(value: object) -> None:
    function = counted(memory_cache())
    with pytest.raises(TypeError, match="'other'"):
        function.cached(1, value)


def test_ignored_parameters_are_no_part_of_the_key() -> None:
    function = counted(memory_cache(ignore=["other"]))
    assert function.cached(1, object()) == function.cached(1, other=object()) == 1
    assert function.cached(2, object()) == 2
    with pytest.raises(TypeError, match="no parameter wrong"):
        counted(memory_cache(ignore=["wrong"]))


def test_a_key_may_be_made_of_the_call() -> None:
    function = counted(memory_cache(key=lambda asked, other=2: asked % 10))
    assert function.cached(1) == function.cached(11, object()) == 1


def test_variable_arguments_are_part_of_the_key() -> None:
    calls = []

    @memory_cache()
    def function(*args: int, **kwargs: int) -> int:
        calls.append((args, kwargs))
        return len(calls)

    assert [function(1), function(1, 2), function(1, b=2), function(1, c=2), function(1, 2)] == [1, 2, 3, 4, 2]


def test_methods_are_cached_by_the_key_of_their_object() -> None:
    class Service:
        def __init__(self, name: str) -> None:
            self.name = name

        def __cache_key__(self) -> str:
            return self.name

        @memory_cache()
        def greet(self, who: str) -> str:
            calls.append(who)
            return f"{who}, this is {self.name}"

        @classmethod
        @memory_cache()
        def kind(cls) -> str:
            calls.append("kind")
            return cls.__name__

    calls: list[str] = []
    assert Service("a").greet("x") == Service("a").greet("x") == "x, this is a"
    assert Service("b").greet("x") == "x, this is b"
    assert Service.kind() == Service("c").kind() == "Service"
    assert calls == ["x", "x", "kind"]


# Functions and endpoints.


@pytest.mark.parametrize("decorator", [memory_cache, redis_cache])
async def test_the_function_itself_decides_between_sync_and_async(decorator: Decorator) -> None:
    def plain(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    @decorator()
    @plain
    @decorator()
    async def coroutine() -> int:
        return 1

    @decorator()
    @decorator()
    def function() -> int:  # though called where an event loop runs
        return 1

    assert await coroutine() == await coroutine() == 1
    assert function() == function() == 1


@pytest.mark.parametrize("decorator", [memory_cache, redis_cache])
def test_what_has_no_result_to_keep_is_refused(decorator: Decorator) -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def async_generator() -> AsyncIterator[int]:
        yield 1

    def endpoint() -> Response:
        return Response()

    for function, complaint in ((generator, "generator"), (async_generator, "generator"), (endpoint, "response")):
        with pytest.raises(TypeError, match=complaint):
            decorator()(function)


@pytest.fixture
def endpoints(tmp_path: Path) -> ModuleType:
    """A module with postponed annotations, as FastAPI meets them."""
    file = tmp_path / "endpoints.py"
    file.write_text(
        """
from __future__ import annotations
from typing import Annotated
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from app.utils.caching import memory_cache, redis_cache

router = APIRouter()
calls = []

class Page(BaseModel):
    skip: int
    session: int

class Session:  # of any library that is not known by name
    pass

@router.get("/async")
@redis_cache(ttl=3600, ignore=["session"])
@memory_cache(ttl=300, ignore=["session"])
async def both(
    request: Request, session: Annotated[Session, Depends(Session)], skip: Annotated[int, Query(ge=0)] = 0
) -> Page:
    calls.append(skip)
    return Page(skip=skip, session=len(calls))

@router.get("/sync")
@memory_cache(ttl=300, ignore=["session"])
@redis_cache(ttl=3600, ignore=["session"])
def both_sync(
    request: Request, session: Annotated[Session, Depends(Session)], skip: Annotated[int, Query(ge=0)] = 0
) -> Page:
    calls.append(skip)
    return Page(skip=skip, session=len(calls))
"""
    )
    spec = importlib.util.spec_from_file_location("endpoints", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_an_endpoint_keeps_its_signature_under_both_caches(endpoints: ModuleType, path: str) -> None:
    app = FastAPI()
    app.include_router(endpoints.router)
    client = TestClient(app)
    assert client.get(path).json() == client.get(path).json() == {"skip": 0, "session": 1}
    assert client.get(f"{path}?skip=1").json() == {"skip": 1, "session": 2}
    assert client.get(f"{path}?skip=-1").status_code == 422
    assert len(endpoints.calls) == 2


def test_a_response_object_is_passed_through_and_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    calls = []
    app = FastAPI()

    @app.get("/")
    @memory_cache()
    async def endpoint():  # type: ignore[no-untyped-def]  # so that only the call shows it
        calls.append(1)
        return Response(str(len(calls)))

    client = TestClient(app)
    assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]
    assert [record.message for record in caplog.records].count("cache_value_refused") == 1


# Single flight.


async def test_of_concurrent_equal_calls_one_does_the_work() -> None:
    calls = []
    may_end = asyncio.Event()

    @memory_cache()
    async def function(asked: int) -> list[int]:
        calls.append(asked)
        await may_end.wait()
        return [asked]

    callers = [asyncio.create_task(function(1)) for _ in range(10)] + [asyncio.create_task(function(2))]
    await _turns()
    may_end.set()
    answers = await asyncio.gather(*callers)
    assert calls == [1, 2]
    answers[0].append("changed by its caller")  # type: ignore[arg-type]
    assert answers[1:] == [[1]] * 9 + [[2]]


async def test_a_cancelled_caller_neither_cancels_the_others_nor_loses_the_result() -> None:
    calls = []
    may_end = asyncio.Event()

    @memory_cache()
    async def function() -> int:
        calls.append(1)
        await may_end.wait()
        return 5

    leader, follower = asyncio.create_task(function()), asyncio.create_task(function())
    await _turns()
    leader.cancel()
    await _turns()
    assert leader.cancelled()
    may_end.set()
    assert await follower == 5

    may_end.clear()
    await close_caching()
    alone = asyncio.create_task(function())
    await _turns()
    alone.cancel()
    await _turns()
    may_end.set()
    await _turns()
    assert await function() == 5
    assert len(calls) == 2


async def test_an_exception_goes_to_all_who_wait_and_is_not_kept() -> None:
    calls = []

    @memory_cache()
    async def function() -> int:
        calls.append(1)
        await _turns()
        if len(calls) == 1:
            raise ValueError("first")
        return len(calls)

    outcomes = await asyncio.gather(function(), function(), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["first", "first"]
    assert await function() == 2


def test_of_threads_that_ask_for_the_same_one_does_the_work() -> None:
    calls = []
    asking = threading.Barrier(8, timeout=10)

    @memory_cache()
    def function() -> list[int]:
        calls.append(1)
        return [1]

    def ask(number: int) -> list[int]:
        asking.wait()
        answer = function()
        answer.append(number)
        return answer

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [[1, number] for number in range(8)]
    assert calls == [1]


def test_an_exception_in_a_thread_is_not_kept() -> None:
    calls = []

    @memory_cache()
    def function() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("first")
        return len(calls)

    with pytest.raises(ValueError, match="first"):
        function()
    assert function() == 2


async def test_one_function_serves_several_event_loops() -> None:
    @memory_cache()
    async def function(asked: int) -> int:
        await asyncio.sleep(0)
        return asked

    def in_another_loop() -> list[int]:
        async def several() -> list[int]:
            return await asyncio.gather(*(function(number % 3) for number in range(30)))

        return asyncio.run(several())

    loops = [asyncio.to_thread(in_another_loop) for _ in range(4)]
    assert await asyncio.gather(*loops) == [[number % 3 for number in range(30)]] * 4


# Values.


def test_a_value_that_can_change_is_shared_with_nobody() -> None:
    kept = {"list": [1]}

    @memory_cache()
    def function() -> dict[str, list[int]]:
        return kept

    first = function()
    first["list"].append(2)
    second = function()
    second["list"].append(3)
    assert function() == {"list": [1]}


def test_a_value_that_cannot_change_is_handed_out_as_it_is() -> None:
    big = (b"x" * 1000, "text", 1.5, Decimal(1), date(2026, 1, 1))

    @memory_cache()
    def function() -> object:
        return big

    assert function() is function() is big


def test_a_value_that_cannot_be_copied_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    @memory_cache()
    def function() -> object:
        return [threading.Lock()]

    assert function() is not function()
    refusals = [record for record in caplog.records if record.message == "cache_value_refused"]
    assert [record.levelno for record in refusals] == [logging.WARNING]


def test_none_is_kept_only_when_asked() -> None:
    calls = []

    def function() -> None:
        calls.append(1)

    forgetful, remembering = memory_cache()(function), memory_cache(cache_none=True)(function)
    forgetful(), forgetful()
    assert len(calls) == 2
    remembering(), remembering()
    assert len(calls) == 3


@pytest.mark.parametrize("ttl", [0, -1, lambda value: value - 10])
def test_no_time_to_live_means_not_kept(ttl: Any) -> None:
    function = counted(memory_cache(ttl=ttl))
    assert [function.cached(1), function.cached(1)] == [1, 2]


def test_a_value_leaves_when_its_time_is_over() -> None:
    function = counted(memory_cache(ttl=lambda value: 0.02 if value == 1 else 1000))
    assert function.cached() == 1
    deadline = time.monotonic() + 10
    while function.cached() == 1:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert function.cached() == 2


def test_the_value_not_used_for_longest_leaves_when_there_are_too_many() -> None:
    function = counted(memory_cache(max_entries=2))
    for asked in (1, 2, 1, 3, 1, 2):  # 3 takes the place of 2
        function.cached(asked)
    assert function.calls == [1, 2, 3, 2]
    assert 'cache_entries{cache="tests.unit.test_caching.counted.<locals>.function"} 2.0' in get_metrics().decode()


def test_a_cache_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="max_entries"):
        counted(memory_cache(max_entries=0))


def test_a_sync_wrapper_of_an_async_function_stays_sync() -> None:
    async def inner() -> int:
        return 1

    @memory_cache()
    @wraps(inner)
    def outer() -> int:
        return asyncio.run(inner())

    assert outer() == outer() == 1


# Tags.


async def test_a_text_is_one_tag() -> None:
    function = counted(memory_cache(tags="stations"))
    function.cached(1)
    await invalidate("stations")
    function.cached(1)
    assert function.calls == [1, 1]


async def test_a_tag_drops_what_has_it() -> None:
    function = counted(memory_cache(tags=lambda asked, other=2: [f"station:{asked}", "all"]))
    untagged = counted(memory_cache())
    untagged.cached(1)
    for asked in (1, 2):
        function.cached(asked)
    assert await invalidate("station:1")
    function.cached(1), function.cached(2)
    assert function.calls == [1, 2, 1]
    assert invalidate_sync("all")
    function.cached(1), function.cached(2), untagged.cached(1)
    assert function.calls == [1, 2, 1, 1, 2]
    assert untagged.calls == [1]


async def test_more_tags_than_are_remembered_drop_all_that_is_tagged() -> None:
    function = counted(memory_cache(tags=["kept"]))
    function.cached(1)
    await invalidate(*(f"other:{number}" for number in range(10_001)))
    function.cached(1)
    assert function.calls == [1, 1]


async def test_a_value_computed_before_the_drop_is_not_kept_after_it() -> None:
    truth = "old"
    has_read, may_end = asyncio.Event(), asyncio.Event()

    @memory_cache(tags=["truth"])
    async def function() -> str:
        read = truth
        has_read.set()
        await may_end.wait()
        return read

    slow = asyncio.create_task(function())
    await has_read.wait()
    truth = "new"
    await invalidate("truth")
    may_end.set()
    assert await slow == "old"
    assert await function() == "new"


# Settings and metrics.


def test_hits_and_misses_are_counted_by_function_and_tier() -> None:
    @memory_cache()
    def function() -> int:
        return 1

    function(), function(), function()
    name = f"{__name__}.test_hits_and_misses_are_counted_by_function_and_tier.<locals>.function"
    text = get_metrics().decode()
    assert f'cache_requests_total{{cache="{name}",result="hit",tier="memory"}} 2.0' in text
    assert f'cache_requests_total{{cache="{name}",result="miss",tier="memory"}} 1.0' in text


def test_the_password_in_the_redis_url_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://user:hunter2@host/0")
    monkeypatch.setenv("CACHE_TTL", "60")
    settings = CacheSettings()
    assert settings.cache_ttl == 60
    assert "hunter2" not in repr(settings)
    monkeypatch.setenv("REDIS_URL", "user:hunter2@host")
    with pytest.raises(ValidationError, match="redis_url") as caught:
        CacheSettings()
    assert "hunter2" not in str(caught.value)


def test_the_time_to_live_comes_from_the_settings() -> None:
    configure_caching(redis_url="", ttl=0.000_001)
    function = counted(memory_cache())
    function.cached()
    time.sleep(0.001)
    assert function.cached() == 2


async def _turns() -> None:
    """Let every other task go on as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)
