"""The job queue in one process: what it refuses, how it starts and stops, and the named tasks."""

import functools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.utils import background_tasks
from app.utils._jobs_cadence import Cadence, Cron, Every
from app.utils._jobs_settings import jobs_url
from app.utils.background_tasks import (
    JobQueue,
    JobStatus,
    QueueUnavailableError,
    TaskScheduler,
    TaskSettings,
    cleanup_old_jobs,
    current_job_id,
    progress,
    refresh_cache,
    sync_external_data,
    warmed_as,
)
from tests.integration import work
from tests.integration.test_jobs import end_of
from tests.services import free_port


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/voltway.db"


class Sums:
    """Holds functions that cannot be jobs, and one that can."""

    def of_an_object(self) -> int:
        return 1

    @staticmethod
    def of_the_class() -> int:
        return 2


def _inner() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    "function",
    [lambda: None, _inner(), functools.partial(work.add, 1), Sums().of_an_object],
    ids=["lambda", "closure", "partial", "bound-method"],
)
async def test_a_function_that_no_other_process_finds_is_refused(function: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="cannot be a job: another process must find it by its name"):
        await JobQueue().submit(function)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"left": 1}, "add: missing a required argument: 'right'"),
        ({"left": 1, "right": 2, "wrong": 3}, "add: got an unexpected keyword argument 'wrong'"),
        ({"left": 1, "right": datetime(2026, 1, 1, tzinfo=UTC)}, "add: argument 'right' cannot be stored"),
        ({"left": {"of": [1, {2}]}, "right": 2}, r"add: argument 'left'\['of'\]\[1\] cannot be stored"),
        ({"left": {1: 1}, "right": 2}, "add: argument 'left'.* cannot be stored"),
        ({"left": float("nan"), "right": 2}, "add: argument 'left' cannot be stored"),
    ],
    ids=["missing", "unknown", "no-json", "deep", "key", "nan"],
)
async def test_arguments_that_cannot_be_used_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        await JobQueue().submit(work.add, arguments=arguments)


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"backoff_s": -1},
        {"timeout_s": 0},
        {"timeout_s": float("inf")},
        {"priority": 101},
        {"delay_s": -1},
        {"delay_s": float("nan")},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        await JobQueue().submit(work.thread_of, **options)


async def test_a_static_method_can_be_a_job(url: str) -> None:
    queue = JobQueue(database_url=url)
    await queue.start()
    try:
        assert (await end_of(queue, await queue.submit(Sums.of_the_class))).result == 2
    finally:
        await queue.stop(0.1)


async def test_a_queue_that_is_not_started_says_so() -> None:
    queue = JobQueue(max_workers=5)
    assert not queue.is_started
    with pytest.raises(QueueUnavailableError, match="not started"):
        await queue.submit(work.thread_of)
    for call in (lambda: queue.get_job("1"), queue.get_stats):
        with pytest.raises(QueueUnavailableError, match="not started"):
            call()
    await queue.stop()  # nothing to do


async def test_a_second_queue_in_the_process_is_refused_until_the_first_has_stopped(url: str, tmp_path: Path) -> None:
    first, second = JobQueue(database_url=url), JobQueue(database_url=f"sqlite:///{tmp_path}/other.db")
    await first.start()
    try:
        with pytest.raises(RuntimeError, match="started in this process already"):
            await second.start()
    finally:
        await first.stop(0.1)
    await second.start()
    await second.stop(0.1)


async def test_it_starts_again_and_again_on_one_database_and_another_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    for name in ("a", "b", "a"):
        queue = JobQueue(database_url=f"sqlite:///{tmp_path}/{name}.db")
        await queue.start()
        assert (await end_of(queue, await queue.submit(work.add, left=1, right=2))).result == 3
        stats = queue.get_stats()
        await queue.stop()
    assert stats["completed"] == 2
    assert [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio")] == []
    assert not list(tmp_path.glob("*.processes"))


async def test_a_database_that_does_not_answer_is_an_error_and_the_next_start_may_succeed(url: str) -> None:
    absent = JobQueue(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(QueueUnavailableError, match="does not answer"):
        await absent.start()
    present = JobQueue(database_url=url)
    await present.start()
    await present.stop(0.1)


async def test_a_queue_that_does_no_jobs_takes_them_beside_one_that_does(url: str) -> None:
    taking, doing = JobQueue(database_url=url, does_jobs=False), JobQueue(database_url=url)
    await taking.start()
    with pytest.raises(RuntimeError, match="started already"):
        await taking.start()
    job_id = await taking.submit(work.add, left=1, right=2)
    assert taking.get_stats()["pending"] == 1
    await doing.start()
    try:
        assert (await end_of(taking, job_id)).result == 3
        await taking.stop()
        assert (await end_of(doing, await doing.submit(work.add, left=2, right=2))).result == 4
    finally:
        await doing.stop(0.1)


def test_importing_the_module_does_not_load_the_engine() -> None:
    code = "import sys, app.utils.background_tasks as tasks; tasks.JobQueue(max_workers=5); tasks.TaskScheduler()"
    code += "; sys.exit('dbos' in sys.modules or 'fastapi' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env=os.environ)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("sqlite+aiosqlite:////var/lib/stations.db", "sqlite:////var/lib/stations-jobs.db"),
        ("sqlite:////var/lib/stations.db", "sqlite:////var/lib/stations-jobs.db"),
        ("postgresql+asyncpg://me:secret@host:5433/name", "postgresql+psycopg://me:secret@host:5433/name"),
        ("postgresql://me@host/name", "postgresql+psycopg://me@host/name"),
    ],
    ids=["aiosqlite", "sqlite", "asyncpg", "postgresql"],
)
def test_jobs_are_kept_beside_an_sqlite_file_and_inside_postgresql(
    written: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jobs_url(written).render_as_string(hide_password=False) == expected
    monkeypatch.setenv("DATABASE_URL", written)
    assert jobs_url(None).render_as_string(hide_password=False) == expected


def test_without_a_database_url_jobs_are_kept_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert jobs_url(None).database == str(tmp_path / "voltway-jobs.db")


@pytest.mark.parametrize("written", ["mysql://host/name", "sqlite:///:memory:"], ids=["mysql", "memory"])
def test_databases_that_cannot_keep_jobs_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="DATABASE_URL"):
        jobs_url(written)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_WORKERS", "TASK_INTERVAL_REFRESH", "TASK_INTERVAL_SYNC"):
        monkeypatch.delenv(name, raising=False)
    defaults = TaskSettings()
    assert (defaults.max_workers, defaults.task_interval_refresh, defaults.task_interval_sync) == (5, 3600, 1800)
    monkeypatch.setenv("MAX_WORKERS", "0")
    with pytest.raises(ValueError, match="max_workers"):
        JobQueue()


def test_a_status_is_its_word() -> None:
    assert [status.value for status in JobStatus] == ["pending", "running", "completed", "failed", "cancelled"]
    assert JobStatus("completed") == "completed"


def test_outside_of_a_job_progress_does_nothing() -> None:
    progress(0.5, "nobody asks")
    assert current_job_id() is None


async def test_a_schedule_needs_a_started_queue_and_possible_tasks() -> None:
    scheduler = TaskScheduler()
    scheduler.add_task(refresh_cache, interval_seconds=3600)
    with pytest.raises(ValueError, match="refresh_cache already"):
        scheduler.add_task(refresh_cache, interval_seconds=60)
    for interval_s in (0, float("inf")):
        with pytest.raises(ValueError, match="interval_seconds"):
            scheduler.add_task(cleanup_old_jobs, interval_seconds=interval_s)
    with pytest.raises(TypeError, match="missing a required argument"):
        scheduler.add_task(work.add, interval_seconds=60)
    with pytest.raises(QueueUnavailableError):
        await scheduler.start()
    await scheduler.stop()


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("61 * * * *", "out of range"),
        ("* * * *", "it needs five fields"),
        ("* * * * * *", "it needs five fields"),
        ("@reboot", "acceptable|columns"),
        ("0 0 30 2 *", "failed to find"),
        ("R R * * *", "R is another time"),
        ("H 3 * * *", "hash_id"),
        ("", "it needs five fields"),
    ],
    ids=["range", "four", "six", "reboot", "never", "random", "hashed", "empty"],
)
def test_a_cron_expression_that_cannot_be_kept_is_refused_with_the_reason(expression: str, why: str) -> None:
    with pytest.raises(ValueError, match=rf"cron='{re.escape(expression)}': .*({why})"):
        TaskScheduler().add_task(refresh_cache, cron=expression)


@pytest.mark.parametrize("options", [{}, {"interval_seconds": 60, "cron": "@daily"}], ids=["neither", "both"])
def test_a_schedule_has_either_an_interval_or_a_cron_expression(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either interval_seconds or cron"):
        TaskScheduler().add_task(refresh_cache, **options)


@pytest.mark.parametrize(
    ("cadence", "now", "slot", "following", "shown"),
    [
        (Cron("0 3 * * *"), "2026-03-29 02:59:59", "2026-03-28 03:00:00", "2026-03-29 03:00:00", "0 3 * * *"),
        (Cron("0 3 * * *"), "2026-03-29 03:00:00", "2026-03-29 03:00:00", "2026-03-30 03:00:00", "0 3 * * *"),
        (Cron("@monthly"), "2024-02-29 12:00:00", "2024-02-01 00:00:00", "2024-03-01 00:00:00", "@monthly"),
        (Cron("0 0 29 2 *"), "2026-01-01 00:00:00", "2024-02-29 00:00:00", "2028-02-29 00:00:00", "0 0 29 2 *"),
        (Every(1_800.0), "2026-01-01 00:59:59", "2026-01-01 00:30:00", "2026-01-01 01:00:00", "every 30 min"),
        (Every(86_400.0), "2026-01-01 00:00:00", "2026-01-01 00:00:00", "2026-01-02 00:00:00", "every 1 d"),
    ],
    ids=["before", "at", "alias", "leap", "interval", "interval-at"],
)
def test_slots_are_the_same_for_all_who_ask(
    cadence: Cadence, now: str, slot: str, following: str, shown: str
) -> None:
    def unix(text: str) -> float:
        return datetime.fromisoformat(f"{text}+00:00").timestamp()

    assert cadence.slot_at(unix(now)) == unix(slot)
    assert cadence.next_after(unix(now)) == unix(following)
    assert str(cadence) == shown


def test_the_same_task_may_be_added_again_as_by_a_second_start() -> None:
    scheduler = TaskScheduler()
    scheduler.add_task(refresh_cache, interval_seconds=3600)
    scheduler.add_task(refresh_cache, interval_seconds=3600)


async def test_a_function_of_the_script_that_is_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work.add, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "add", work.add, raising=False)
    with pytest.raises(TypeError, match="the script that is run"):
        await JobQueue().submit(work.add, left=1, right=2)


async def test_a_schedule_may_be_stopped_after_its_queue(url: str) -> None:
    queue, scheduler = JobQueue(database_url=url), TaskScheduler()
    await queue.start()
    scheduler.add_task(work.thread_of, interval_seconds=3600)
    await scheduler.start()
    await queue.stop()
    await scheduler.stop()


async def test_refreshing_fills_what_is_registered_and_tells_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_tasks, "_caches", {})
    assert await refresh_cache() == {"warmed": {}, "failed": {}}
    warmed = []

    @warmed_as("broken")
    async def broken() -> None:
        raise ValueError("no source")

    @warmed_as("statistics")
    async def statistics() -> None:
        warmed.append("statistics")

    report = await refresh_cache()
    assert warmed == list(report["warmed"]) == ["statistics"]  # type: ignore[arg-type]
    assert report["failed"] == {"broken": "ValueError: no source"}


async def test_cleaning_up_deletes_expired_export_files(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    exports = tmp_path / "exports"
    exports.mkdir()
    for name, age_s in (("old.csv", 86_400 * 2), (".old.csv.x.part", 86_400 * 2), ("new.csv", 0)):
        (exports / name).touch()
        os.utime(exports / name, (written := datetime.now(UTC).timestamp() - age_s, written))
    queue = JobQueue(database_url=sqlite_url)
    await queue.start()
    try:
        job = await end_of(queue, await queue.submit(cleanup_old_jobs))
    finally:
        await queue.stop(0.1)
    assert isinstance(job.result, dict), job.error
    assert job.result.items() >= {"jobs_deleted": 0, "export_files_deleted": 2}.items()
    assert [file.name for file in exports.iterdir()] == ["new.csv"]


async def test_without_a_key_no_source_is_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.delenv("OCM_API_KEY", raising=False)
    assert await sync_external_data() == {}
