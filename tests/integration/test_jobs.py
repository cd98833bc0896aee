"""Jobs on both databases: how they are taken, and how they end."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.utils._jobs_cadence import Every
from app.utils.advanced_logging import log_context
from app.utils.background_tasks import Job, JobQueue, JobStateError, JobStatus, TaskScheduler, UnknownScheduleError
from app.utils.metrics import REGISTRY
from tests.integration import work

FINAL = {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}
DEADLINE_S = 30.0


async def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition that another process or thread brings about."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
    return value


async def end_of(queue: JobQueue, job_id: str) -> Job:
    def final() -> Job | None:
        job = queue.get_job(job_id)
        assert job is not None
        return job if job.status in FINAL else None

    found: Job = await until(final)
    return found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def jobs_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('jobs')}/voltway.db"
    server: str = request.getfixturevalue("postgresql_server")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS jobs WITH (FORCE)")
        connection.execute("CREATE DATABASE jobs")
    return server.rsplit("/", 1)[0] + "/jobs"


@pytest.fixture(scope="module")
def queue(jobs_url: str) -> Iterator[JobQueue]:
    """One for the module: it does not depend on an event loop."""
    queue = JobQueue(max_workers=5, database_url=jobs_url)
    asyncio.run(queue.start())
    yield queue
    asyncio.run(queue.stop(0.1))


async def test_a_job_returns_what_its_function_returns(queue: JobQueue) -> None:
    job = await end_of(queue, await queue.submit(work.add, name="sum", left=1, right=2))
    assert (job.name, job.status, job.result, job.error) == ("sum", JobStatus.COMPLETED, 3, None)
    assert (job.progress, job.attempts) == (1.0, 1)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at


async def test_a_job_is_found_without_holding_up_the_loop_and_an_unknown_one_is_none(queue: JobQueue) -> None:
    job_id = await queue.submit(work.add, left=1, right=2)
    assert (await queue.get_job_async(job_id)) is not None
    assert queue.get_job("00000000-0000-0000-0000-000000000000") is None
    await end_of(queue, job_id)


async def test_arguments_may_have_the_names_that_submit_has(queue: JobQueue) -> None:
    job_id = await queue.submit(work.echo, name="shown", arguments={"name": "one", "func": "two"})
    assert (await end_of(queue, job_id)).result == ["one", "two"]
    assert (await end_of(queue, await queue.submit(work.echo, func="two", arguments={"name": "one"}))).result


async def test_a_sync_function_runs_in_a_thread_and_holds_up_nothing(queue: JobQueue, tmp_path: Path) -> None:
    hanging = await queue.submit(work.sleep_through_the_first, started=f"{tmp_path}/started", seconds=1.0)
    await until((tmp_path / "started").exists)
    thread = await end_of(queue, await queue.submit(work.thread_of))
    job = queue.get_job(hanging)
    assert job is not None
    assert job.status is JobStatus.RUNNING
    assert thread.result == "job-thread_of"
    assert (await end_of(queue, hanging)).result == "done by the first"


async def test_what_fails_is_tried_again_after_growing_pauses_and_ends_with_the_reason(
    queue: JobQueue, tmp_path: Path
) -> None:
    notes = tmp_path / "attempts"
    job_id = await queue.submit(work.fail_and_note, retries=2, backoff_s=0.2, file=str(notes))
    job = await end_of(queue, job_id)
    times = [float(line) for line in notes.read_text().splitlines()]
    assert (job.status, job.error, job.attempts) == (JobStatus.FAILED, "ValueError: no luck", 3)
    assert [
        later - earlier >= pause for earlier, later, pause in zip(times, times[1:], (0.2, 0.4), strict=False)
    ] == [
        True,
        True,
    ]


async def test_a_retry_may_succeed(queue: JobQueue, tmp_path: Path) -> None:
    job_id = await queue.submit(work.fail_once, retries=1, backoff_s=0.01, file=f"{tmp_path}/tried")
    job = await end_of(queue, job_id)
    assert (job.status, job.result, job.attempts) == (JobStatus.COMPLETED, "luck", 2)


async def test_a_job_that_sees_no_sense_in_another_attempt_gets_none(queue: JobQueue, tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    job = await end_of(queue, await queue.submit(work.find_no_sense_in_it, retries=3, file=str(tried)))
    assert (job.status, job.error) == (JobStatus.FAILED, "FinalJobError: the disk is full")
    assert tried.read_text() == "once\n"


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (work.return_a_set, "What tests.integration.work:return_a_set returned cannot be stored"),
        (work.leave, "SystemExit: 3"),
        (work.leave_in_a_thread, "SystemExit: 4"),
        (work.cancel_itself, "The function was cancelled, but not by the queue"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_job_that_cannot_end_well_ends_with_a_clear_message(
    queue: JobQueue, function: Callable[..., object], error: str
) -> None:
    job = await end_of(queue, await queue.submit(function))
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.startswith(error)
    assert (await end_of(queue, await queue.submit(work.add, left=1, right=1))).result == 2


async def test_text_that_no_database_holds_ends_the_job_all_the_same(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "app.jobs")  # pytest-xdist cannot pass half a letter on either
    job = await end_of(queue, await queue.submit(work.fail_with_half_a_letter, name="half \ud83d\x00"))
    assert job.status is JobStatus.FAILED
    assert job.error == "ValueError: bad record \\ud83d"
    assert queue.get_job("\x00") is None
    assert queue.get_job("\ud83d") is None
    with pytest.raises(TypeError, match="unique_key"):
        await queue.submit(work.add, left=1, right=2, unique_key="a\x00b")


async def test_a_plain_wrapper_of_an_async_function_is_awaited(queue: JobQueue) -> None:
    job = await end_of(queue, await queue.submit(work.traced_add, left=1, right=2))
    assert job.result == 3


async def test_a_time_limit_ends_an_async_and_a_sync_function(queue: JobQueue, tmp_path: Path) -> None:
    files = {name: f"{tmp_path}/{name}" for name in ("started", "ended")}
    stubborn = await queue.submit(work.work_until_told, timeout_s=0.2, retries=3, arguments=files)
    waiting = await queue.submit(work.wait_for_ever, timeout_s=0.2, started=f"{tmp_path}/other")
    for job_id, attempts in ((stubborn, 1), (waiting, 1)):
        job = await end_of(queue, job_id)
        assert (job.status, job.attempts) == (JobStatus.FAILED, attempts)
        assert job.error == "It took longer than its time limit of 0.2 s."
    await until(Path(files["ended"]).exists)


@pytest.mark.parametrize("function", [work.wait_for_ever, work.work_until_told], ids=["async", "sync"])
async def test_cancelling_stops_the_work(queue: JobQueue, tmp_path: Path, function: Callable[..., object]) -> None:
    files = {name: f"{tmp_path}/{name}" for name in ("started", "ended")}
    job_id = await queue.submit(function, arguments=files)
    await until(Path(files["started"]).exists)
    await queue.cancel(job_id)
    assert (await end_of(queue, job_id)).status is JobStatus.CANCELLED
    await until(Path(files["ended"]).exists)


async def test_of_a_job_that_is_cancelled_and_at_once_retried_one_run_goes_on(
    queue: JobQueue, jobs_url: str, tmp_path: Path
) -> None:
    """From without, so that the process that has it in work is not told."""
    operator = JobQueue(database_url=jobs_url, does_jobs=False)
    await operator.start()
    started, ended = tmp_path / "started", tmp_path / "ended"
    job_id = await queue.submit(work.wait_for_ever, started=str(started), ended=str(ended))
    await until(started.exists)
    started.unlink()
    await operator.cancel(job_id)
    await operator.retry(job_id)
    await operator.stop()
    await until(started.exists)
    assert ended.exists()  # the first run, before the second began
    ended.unlink()
    job = queue.get_job(job_id)
    assert job is not None
    assert job.status is JobStatus.RUNNING
    await queue.cancel(job_id)
    await until(ended.exists)
    assert (await end_of(queue, job_id)).status is JobStatus.CANCELLED


async def test_progress_is_seen_while_the_job_runs(queue: JobQueue, tmp_path: Path) -> None:
    job_id = await queue.submit(work.work_until_told, started=f"{tmp_path}/started", ended=f"{tmp_path}/ended")

    def half_way() -> bool:
        job = queue.get_job(job_id)
        return job is not None and (job.status, job.progress, job.message) == (JobStatus.RUNNING, 0.5, "half way")

    await until(half_way)
    await queue.cancel(job_id)
    await until((tmp_path / "ended").exists)


async def test_a_unique_key_gives_the_same_job_while_it_is_active(queue: JobQueue, tmp_path: Path) -> None:
    first = await queue.submit(work.wait_for_ever, unique_key="one", started=f"{tmp_path}/1")
    assert await queue.submit(work.wait_for_ever, unique_key="one", started=f"{tmp_path}/2") == first
    assert first in {job.id for job in await queue.active_jobs() if job.unique_key == "one"}
    await queue.cancel(first)
    second = await queue.submit(work.add, unique_key="one", left=1, right=1)
    assert second != first
    assert (await end_of(queue, second)).result == 2


async def test_the_lines_of_a_job_carry_its_id_and_that_of_the_request_that_caused_it(queue: JobQueue) -> None:
    with log_context(request_id="r-1", other="not this"):
        job_id = await queue.submit(work.log_fields)
    job = await end_of(queue, job_id)
    assert job.result == {"job_id": job_id, "job": "log_fields", "request_id": "r-1"}


async def test_jobs_are_counted_and_measured_by_how_they_ended(queue: JobQueue) -> None:
    def measured() -> float:
        labels = {"name": "total", "outcome": "completed"}
        return REGISTRY.get_sample_value("job_duration_seconds_count", labels) or 0.0

    before, stats = measured(), queue.get_stats()
    assert set(stats) == {"pending", "running", "completed", "failed", "cancelled"}
    await end_of(queue, await queue.submit(work.total, values=[1, 2, 3]))
    assert queue.get_stats()["completed"] == stats["completed"] + 1
    await until(lambda: measured() == before + 1)


async def test_a_slot_of_a_schedule_runs_once_however_often_schedulers_start(queue: JobQueue, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    for _ in range(3):
        scheduler = TaskScheduler()
        scheduler.add_task(work.note_the_job, 86_400 * 6, arguments={"file": str(notes)})
        await scheduler.start()
        await until(notes.exists)
        await scheduler.stop()
    await until(lambda: not [job for job in queue_active(queue) if job.name == "note_the_job"])
    assert len(notes.read_text().splitlines()) == 1


def queue_active(queue: JobQueue) -> list[Job]:
    return queue._parts().store.active()


async def test_finished_jobs_are_forgotten_after_their_retention(queue: JobQueue) -> None:
    job = await end_of(queue, await queue.submit(work.add, left=1, right=2))
    assert await queue.delete_finished(timedelta(days=1)) == 0
    assert await queue.delete_finished(timedelta(0)) >= 1
    assert queue.get_job(job.id) is None


@pytest.mark.parametrize("jobs_url", ["postgresql"], indirect=True)
async def test_the_queue_goes_on_when_the_server_has_closed_all_connections(
    queue: JobQueue, jobs_url: str, tmp_path: Path
) -> None:
    held = await queue.submit(work.work_until_told, started=f"{tmp_path}/started", ended=f"{tmp_path}/ended")
    await until((tmp_path / "started").exists)
    lease = (
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND (classid::bigint << 32) | objid::bigint = hashtextextended(%s, 7)"
    )
    with psycopg.connect(jobs_url, autocommit=True) as connection:
        work_parts = queue._parts().work
        assert work_parts is not None
        process = work_parts.engine.process
        assert connection.execute(lease, [process]).fetchone()
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = 'jobs' AND pid <> pg_backend_pid()"
        )
        assert (await end_of(queue, await queue.submit(work.add, left=1, right=2))).result == 3
        await until(lambda: connection.execute(lease, [process]).fetchone())
    await queue.cancel(held)
    await until((tmp_path / "ended").exists)


async def test_jobs_are_listed_the_newest_first_by_name_and_status(queue: JobQueue) -> None:
    ids = [await queue.submit(work.add, name="listed", left=1, right=number) for number in range(3)]
    failed = await queue.submit(work.leave, name="listed")
    for job_id in [*ids, failed]:
        await end_of(queue, job_id)
    completed = await queue.list_jobs(name="listed", status=JobStatus.COMPLETED)
    assert sorted(job.id for job in completed) == sorted(ids)
    assert [job.created_at for job in completed] == sorted((job.created_at for job in completed), reverse=True)
    assert [job.id for job in await queue.list_jobs(name="listed", status=JobStatus.FAILED)] == [failed]
    assert len(await queue.list_jobs(limit=2)) == 2
    assert await queue.list_jobs(name="no such name") == await queue.list_jobs(name="half \ud83d") == []


async def test_what_failed_or_was_cancelled_can_be_retried_under_its_id_and_nothing_else(
    queue: JobQueue, tmp_path: Path
) -> None:
    job_id = await queue.submit(work.fail_once, file=f"{tmp_path}/tried")
    assert (await end_of(queue, job_id)).error == "OSError: not yet"
    await queue.retry(job_id)
    job = await end_of(queue, job_id)
    assert (job.status, job.result, job.error, job.attempts) == (JobStatus.COMPLETED, "luck", None, 1)
    with pytest.raises(JobStateError, match="is completed: only what failed or was cancelled"):
        await queue.retry(job_id)
    running = await queue.submit(work.wait_for_ever, started=f"{tmp_path}/started")
    await until((tmp_path / "started").exists)
    with pytest.raises(JobStateError, match="is running"):
        await queue.retry(running)
    await queue.cancel(running)
    (tmp_path / "started").unlink()
    await queue.retry(running)
    await until((tmp_path / "started").exists)
    await queue.cancel(running)
    with pytest.raises(JobStateError, match="There is no job"):
        await queue.retry("none")


async def test_a_cron_schedule_waits_for_its_time_and_makes_up_for_the_last_one_that_was_missed(
    queue: JobQueue, jobs_url: str, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"

    async def schedule() -> TaskScheduler:
        scheduler = TaskScheduler(queue)
        scheduler.add_task(work.note_the_job, cron="0 0 1 1 *", name="yearly", arguments={"file": str(notes)})
        await scheduler.start()
        await until(lambda: [entry for entry in queue.calendar.entries() if entry.name == "yearly"])
        return scheduler

    def missed(years: int) -> None:
        table = queue.calendar._table
        with queue.calendar._engine.begin() as connection:
            earlier = {"done_slot": table.c.done_slot - years * 366 * 86_400}
            connection.execute(table.update().where(table.c.name == "yearly").values(earlier))

    await (await schedule()).stop()
    assert not notes.exists()
    this_year = f"schedule:yearly:{datetime.now(UTC).year}-01-01T00:00:00+00:00"
    for _ in range(2):  # its job is remembered, so the second time it is not done again
        missed(years=3)
        scheduler = await schedule()
        await until(lambda: queue.calendar.entries()[-1].next_slot > time.time())
        await end_of(queue, this_year)
        await scheduler.stop()
        assert notes.read_text().split() == [this_year]


async def test_only_a_schedule_that_exists_can_be_paused(queue: JobQueue) -> None:
    with pytest.raises(UnknownScheduleError, match="There is no schedule none; there are: "):
        await TaskScheduler(queue).pause("none")


async def test_schedules_that_nobody_keeps_are_forgotten_unless_they_are_paused(queue: JobQueue) -> None:
    for name in ("left", "paused"):
        queue.calendar.keep(name, Every(3_600.0))
    await TaskScheduler(queue).pause("paused")
    await queue.delete_finished(timedelta(days=1))
    assert {"left", "paused"} <= {schedule.name for schedule in await TaskScheduler(queue).schedules()}
    await queue.delete_finished(timedelta(0))
    assert {schedule.name for schedule in await TaskScheduler(queue).schedules()} == {"paused"}
