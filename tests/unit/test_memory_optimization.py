"""Loading late, using again, streaming, and watching memory."""

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.utils.memory_optimization import (
    LazyLoader,
    MemoryMonitor,
    MemoryPool,
    MemorySettings,
    MemoryUsage,
    StreamingProcessor,
)

MIB = 1024 * 1024
stream = StreamingProcessor.stream_process


@pytest.fixture(autouse=True)
async def _nothing_hangs_or_is_left() -> AsyncIterator[None]:
    async with asyncio.timeout(20):
        yield
    assert asyncio.all_tasks() <= {asyncio.current_task()}


class Slow:
    """A factory that runs until it is let go, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.started = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> object:
        self.calls += 1
        self.started.set()
        assert self.may_end.wait(10)
        return object()


def test_a_value_is_loaded_when_it_is_first_asked_for_and_once() -> None:
    calls: list[int] = []

    def load() -> dict[str, bool]:
        calls.append(1)
        return {"loaded": True}

    loader = LazyLoader(load)
    assert (calls, loader.is_loaded) == ([], False)
    assert loader.value is loader.value
    assert (calls, loader.is_loaded, loader.value) == ([1], True, {"loaded": True})


def test_many_threads_get_one_value() -> None:
    factory = Slow()
    loader = LazyLoader(factory)
    with ThreadPoolExecutor(8) as threads:
        values = [threads.submit(lambda: loader.value) for _ in range(8)]
        assert factory.started.wait(10)
        factory.may_end.set()
        assert len({id(each.result(10)) for each in values}) == 1
    assert factory.calls == 1


async def test_tasks_and_threads_get_one_value_while_the_loop_goes_on() -> None:
    factory = Slow()
    loader = LazyLoader(factory)
    tasks = [asyncio.create_task(loader.get()) for _ in range(5)]
    while not factory.started.is_set():
        await asyncio.sleep(0)
    thread = asyncio.create_task(asyncio.to_thread(lambda: loader.value))
    factory.may_end.set()
    values = await asyncio.gather(*tasks, thread)
    assert len(set(map(id, values))) == factory.calls == 1
    assert loader.value is values[0]


@pytest.mark.parametrize("is_plain", [True, False])
async def test_an_asynchronous_factory_is_awaited(is_plain: bool) -> None:
    calls: list[int] = []

    async def load() -> int:
        calls.append(1)
        await asyncio.sleep(0)
        return 7

    loader: LazyLoader[int] = LazyLoader(load if is_plain else lambda: load())  # noqa: PLW0108 - it hides that it is asynchronous
    assert await asyncio.gather(*(loader.get() for _ in range(5))) == [7] * 5
    assert (loader.value, calls) == (7, [1])


def test_the_value_of_an_asynchronous_factory_must_be_awaited_first() -> None:
    async def load() -> int:
        return 7

    loader: LazyLoader[int] = LazyLoader(load)
    with pytest.raises(TypeError, match="await get"):
        _ = loader.value
    assert asyncio.run(loader.get()) == 7


async def test_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    answers: Iterator[Any] = iter([LookupError("first"), "second"])

    async def load() -> Any:
        await asyncio.sleep(0)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    loader: LazyLoader[Any] = LazyLoader(load)
    raised = await asyncio.gather(loader.get(), loader.get(), return_exceptions=True)
    assert [str(each) for each in raised] == ["first", "first"]
    assert not loader.is_loaded
    assert await loader.get() == "second"


async def test_a_load_goes_on_for_the_others_when_the_first_is_cancelled() -> None:
    may_end = asyncio.Event()

    async def load() -> int:
        await may_end.wait()
        return 7

    loader: LazyLoader[int] = LazyLoader(load)
    first, second = asyncio.create_task(loader.get()), asyncio.create_task(loader.get())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    may_end.set()
    assert await second == 7


def test_a_load_that_ends_with_its_event_loop_is_tried_again_in_the_next() -> None:
    hangs = True

    async def load() -> int:
        if hangs:
            await asyncio.Event().wait()
        return 7

    loader: LazyLoader[int] = LazyLoader(load)

    async def give_up() -> None:
        await asyncio.wait_for(loader.get(), 0.001)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    hangs = False
    assert asyncio.run(loader.get()) == 7


async def test_waiting_for_oneself_is_an_error_and_no_deadlock() -> None:
    loader: LazyLoader[Any] = LazyLoader(lambda: loader.value)
    with pytest.raises(RuntimeError, match="this very thread"):
        _ = loader.value
    hanging: LazyLoader[None] = LazyLoader(asyncio.Event().wait)  # type: ignore[arg-type]
    task = asyncio.create_task(hanging.get())
    await asyncio.sleep(0.001)
    with pytest.raises(RuntimeError, match="this very thread"):
        _ = hanging.value
    task.cancel()
    for each in asyncio.all_tasks() - {asyncio.current_task()}:
        each.cancel()
        await asyncio.wait({each})


def test_reset_loads_anew() -> None:
    loader = LazyLoader(object)
    before = loader.value
    loader.reset()
    assert not loader.is_loaded
    assert loader.value is not before


async def test_a_released_object_is_handed_out_again_and_no_more_than_max_size_are_kept() -> None:
    pool: MemoryPool[dict[str, int]] = MemoryPool(dict, max_size=2)
    three = [await pool.acquire() for _ in range(3)]
    assert (pool.counts.created, pool.counts.in_use, pool.counts.idle) == (3, 3, 0)
    for each in three:
        await pool.release(each)
    assert (pool.counts.in_use, pool.counts.idle) == (0, 2)
    assert await pool.acquire() is three[1]
    assert await pool.acquire() is three[0]
    another = await pool.acquire()
    assert all(another is not each for each in three)
    assert (pool.counts.created, pool.counts.reused) == (4, 2)


async def test_what_is_not_out_cannot_be_released() -> None:
    pool: MemoryPool[list[int]] = MemoryPool(list, max_size=2)
    mine = await pool.acquire()
    with pytest.raises(ValueError, match="not from this pool"):
        await pool.release([])
    await pool.release(mine)
    with pytest.raises(ValueError, match="released before"):
        await pool.release(mine)
    assert pool.counts.idle == 1


async def test_objects_are_emptied_and_those_that_cannot_be_are_dropped() -> None:
    def empty(some: list[int]) -> None:
        if 13 in some:
            raise LookupError
        some.clear()

    pool: MemoryPool[list[int]] = MemoryPool(list, max_size=2, reset=empty)
    async with pool.lease() as good:
        good.append(1)
    assert good == []
    bad = await pool.acquire()
    bad.append(13)
    with pytest.raises(LookupError):
        await pool.release(bad)
    assert (pool.counts.idle, pool.counts.in_use) == (0, 0)


async def test_a_lease_ends_with_its_block_whatever_happens() -> None:
    pool: MemoryPool[dict[str, int]] = MemoryPool(dict, max_size=1)

    async def fail() -> None:
        async with pool.lease():
            assert pool.counts.in_use == 1
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert (pool.counts.idle, pool.counts.in_use) == (1, 0)


def test_a_pool_serves_several_event_loops_and_threads() -> None:
    pool = MemoryPool(bytearray, max_size=3)

    async def use() -> None:
        for _ in range(200):
            async with pool.lease() as buffer:
                assert len(buffer) == 0
                buffer.append(1)
                await asyncio.sleep(0)
                buffer.clear()

    with ThreadPoolExecutor(3) as threads:
        for each in [threads.submit(asyncio.run, use()) for _ in range(3)]:
            each.result(20)
    counts = pool.counts
    assert (counts.in_use, counts.created + counts.reused) == (0, 600)
    assert counts.idle <= 3


async def _later(items: range) -> AsyncIterator[int]:
    for item in items:
        await asyncio.sleep(0)
        yield item


_KINDS: dict[str, Callable[[range], Any]] = {
    "list": list,
    "iterator": iter,
    "generator": lambda items: (each for each in items),
    "async iterator": _later,
}


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 25])
async def test_every_item_comes_once_and_in_order(kind: str, number: int) -> None:
    items = range(number)
    assert [each async for each in stream(_KINDS[kind](items), chunk_size=10)] == list(items)


async def test_others_get_a_turn_after_every_chunk() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    seen = [turns async for _ in stream(range(100), chunk_size=10)]
    task.cancel()
    assert [seen[n] for n in (9, 10, 99)] == [0, 1, 9]
    await asyncio.wait({task})


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_nothing_is_read_long_before_it_is_needed(concurrency: int) -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for item in range(100):
            read.append(item)
            yield item

    async def process(item: int) -> int:
        await asyncio.sleep(0)
        return item

    taken = 0
    async for _ in stream(source(), process=process, concurrency=concurrency):
        taken += 1
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(read) <= taken + concurrency
    assert taken == 100


async def test_results_keep_the_order_and_no_more_run_than_allowed() -> None:
    running = most = 0

    async def process(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep((7 - item % 7) / 2_000)
        running -= 1
        return item * 2

    assert [each async for each in stream(range(30), process=process, concurrency=4)] == [n * 2 for n in range(30)]
    assert most == 4


async def test_a_result_does_not_wait_for_the_next_item() -> None:
    more = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        await more.wait()
        yield 2

    async def process(item: int) -> int:
        return item

    results = stream(source(), process=process, concurrency=8)
    assert await anext(results) == 1
    more.set()
    assert [each async for each in results] == [2]


@pytest.mark.parametrize("is_processed", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
async def test_an_early_end_closes_the_source_and_stops_the_work(is_processed: bool, is_async: bool) -> None:
    closed: list[str] = []

    def plain() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append("source")

    async def later() -> AsyncIterator[int]:
        try:
            for item in range(100):
                yield item
        finally:
            closed.append("source")

    async def process(item: int) -> int:
        if item:
            await asyncio.Event().wait()
        return item

    source = later() if is_async else plain()
    options: dict[str, Any] = {"process": process, "concurrency": 4} if is_processed else {}
    async with aclosing(stream(source, **options)) as results:
        async for _ in results:
            break
    assert closed == ["source"]


async def test_breaking_off_without_closing_closes_the_source_soon() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        try:
            for item in range(100):
                yield item
        finally:
            closed.set()

    async for _ in stream(source()):
        break
    gc.collect()
    await closed.wait()
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("fails_in", ["source", "process"])
async def test_an_error_comes_in_its_place(fails_in: str) -> None:
    def source() -> Iterator[int]:
        for item in range(10):
            if fails_in == "source" and item == 5:
                raise LookupError
            yield item

    async def process(item: int) -> int:
        await asyncio.sleep(0.001)
        if fails_in == "process" and item == 5:
            raise LookupError
        return item

    got: list[int] = []

    async def consume() -> None:
        async for each in stream(source(), process=process, concurrency=4):
            got.append(each)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(LookupError):
        await consume()
    assert got == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("options", [{"chunk_size": 0}, {"concurrency": 0}], ids=["chunk_size", "concurrency"])
def test_sizes_below_one_are_refused_at_the_call(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        stream([], **options)


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


_V1_NONE = str(2**63 - 4096)
_CONTAINERS: dict[str, tuple[dict[str, str], int | None]] = {
    "none": ({}, None),
    "v2": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "104857600\n"}, 100),
    "v2 without limit": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None),
    "v2 nested": (
        {
            "proc/self/cgroup": "0::/pod/app\n",
            "sys/fs/cgroup/pod/app/memory.max": "max\n",
            "sys/fs/cgroup/pod/memory.max": "52428800\n",
            "sys/fs/cgroup/memory.max": "104857600\n",
        },
        50,
    ),
    "v1": (
        {
            "proc/self/cgroup": "9:cpu:/x\n5:memory:/docker/abc\n1:name=systemd:/docker/abc\n",
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "73400320\n",
        },
        70,
    ),
    "v1 seen from inside": (
        {
            "proc/self/cgroup": "5:memory:/docker/abc\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "73400320\n",
        },
        70,
    ),
    "v1 without limit": (
        {"proc/self/cgroup": "5:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": _V1_NONE},
        None,
    ),
    "not readable": ({"proc/self/cgroup": "nonsense\n\n"}, None),
}


@pytest.mark.parametrize("container", _CONTAINERS)
def test_the_limit_is_the_containers_or_else_the_machines(container: str, tmp_path: Path) -> None:
    files, limit_mib = _CONTAINERS[container]
    usage = MemoryMonitor(root=_write(tmp_path, files)).current()
    assert usage.limit_bytes == (psutil.virtual_memory().total if limit_mib is None else limit_mib * MIB)
    assert 10 * MIB < usage.rss_bytes < 10_000 * MIB


def test_the_threshold_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEMORY_THRESHOLD_MB", raising=False)
    assert MemorySettings().memory_threshold_mb == 500
    monkeypatch.setenv("MEMORY_THRESHOLD_MB", "1.5")
    assert MemoryMonitor().current().threshold_bytes == MIB * 3 // 2
    assert MemoryMonitor(threshold_mb=2).current().threshold_bytes == 2 * MIB


@pytest.mark.parametrize(("threshold_mb", "level"), [(1, logging.WARNING), (100_000, logging.INFO)])
def test_usage_is_logged_with_its_numbers(threshold_mb: float, level: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        usage = MemoryMonitor(threshold_mb).log_memory_usage()
    (record,) = caplog.records
    assert (record.message, record.levelno) == ("memory_usage", level)
    assert vars(record)["rss_bytes"] == usage.rss_bytes > 0
    assert vars(record)["threshold_bytes"] == threshold_mb * MIB
    assert vars(record)["limit_bytes"] == usage.limit_bytes


def test_each_rise_over_the_threshold_is_told_once() -> None:
    told: list[MemoryUsage] = []
    now_mib = psutil.Process().memory_info().rss // MIB
    monitor = MemoryMonitor(now_mib + 100, told.append)
    for rise in (1, 2):
        assert not monitor.current().is_over_threshold
        ballast = bytearray(b"x" * (200 * MIB))
        for _ in range(3):
            assert monitor.current().is_over_threshold
        assert len(told) == rise
        del ballast


async def test_it_measures_again_and_again_until_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    calls = asyncio.Event()

    def on_threshold(usage: MemoryUsage) -> None:
        calls.set()
        raise LookupError(f"{usage.rss_bytes}")

    monitor = MemoryMonitor(1, on_threshold)
    task = asyncio.create_task(monitor.run(0.001))
    await calls.wait()
    await asyncio.sleep(0.005)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(record.message, record.levelname) for record in caplog.records] == [
        ("memory_usage", "WARNING"),
        ("memory_monitor_failed", "ERROR"),
    ]


async def test_a_source_may_keep_a_context_open_from_item_to_item() -> None:
    variable: ContextVar[int] = ContextVar("variable", default=0)

    async def source() -> AsyncIterator[int]:
        token = variable.set(1)
        yield variable.get()
        yield variable.get()
        variable.reset(token)

    async def same(item: int) -> int:
        return item

    assert [item async for item in stream(source(), process=same)] == [1, 1]


async def test_a_sync_factory_that_asks_for_its_own_value_is_told() -> None:
    loader: LazyLoader[int] = LazyLoader(lambda: loader.value)
    with pytest.raises(RuntimeError, match="this very thread"):
        await asyncio.wait_for(loader.get(), 10)
