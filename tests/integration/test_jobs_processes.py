"""Jobs of several processes on both databases: what becomes of them when processes die."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.utils.background_tasks import JobQueue, JobStatus, TaskScheduler
from tests.conftest import ROOT
from tests.integration import work
from tests.integration.test_jobs import DEADLINE_S, FINAL, end_of, until

WORK = "tests.integration.work"
WORKERS = 4


class Process:
    """A process with a queue, which does as it is told."""

    def __init__(self, url: str, within_s: float = 1.0, path: Path = ROOT, max_workers: int = WORKERS) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.jobs_process", url, str(within_s), str(max_workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(path)},
        )

    def __enter__(self) -> "Process":
        assert self._read() == "started"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)

    def tell(self, *told: dict[str, Any]) -> list[Any]:
        assert self._process.stdin is not None
        print(json.dumps(told), file=self._process.stdin, flush=True)
        answers: list[Any] = self._read()
        return answers

    def submit(self, function: str, options: dict[str, Any] | None = None, **arguments: Any) -> str:
        told = {"function": function, "arguments": arguments, "options": options or {}}
        return str(self.tell({"submit": told})[0])

    def die(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def end(self) -> None:
        """Let it stop by itself, in time."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(DEADLINE_S)
        self._process.stdin = None
        assert self._process.returncode == 0

    async def end_of(self, job_id: str) -> dict[str, Any]:
        def final() -> dict[str, Any] | None:
            (job,) = self.tell({"job": job_id})
            return job if job["status"] in FINAL else None

        found: dict[str, Any] = await until(final)
        return found

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline() or "null")


async def test_a_job_of_a_killed_process_is_taken_over_within_10_s_and_ends_right(
    database_url: str, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    with Process(database_url) as owner, ExitStack() as stack:
        job_id = owner.submit(f"{WORK}.write_in_two_lives", file=str(output), lines=20)
        await until((tmp_path / "output.begun").exists)
        survivor = stack.enter_context(Process(database_url))
        began = time.monotonic()
        owner.die()
        job = await survivor.end_of(job_id)
        assert time.monotonic() - began < 10
        assert job == {"status": "completed", "result": 20, "error": None, "attempts": 2}
        assert output.read_text() == "".join(f"{line}\n" for line in range(20))
        assert not (tmp_path / "output.part").exists()


async def test_a_job_that_no_process_had_begun_is_done_by_the_next(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "vanishing.py").write_text("def gone() -> None: ...\n")
    busy = [tmp_path / str(number) for number in range(WORKERS)]
    with Process(database_url, path=tmp_path) as first:
        for started in busy:
            first.submit(f"{WORK}.sleep_through_the_first", started=str(started), seconds=600)
        await until(lambda: all(started.exists() for started in busy))
        sum_id = first.submit(f"{WORK}.add", left=1, right=2)
        gone_id = first.submit("vanishing.gone")
        first.die()
    with Process(database_url) as second:
        assert await second.end_of(sum_id) == {"status": "completed", "result": 3, "error": None, "attempts": 1}
        gone = await second.end_of(gone_id)
        assert gone["status"] == "failed"
        assert gone["error"].startswith("There is no function vanishing:gone any more")


async def test_a_process_that_stops_hands_back_what_does_not_end(database_url: str, tmp_path: Path) -> None:
    started = tmp_path / "started"
    with Process(database_url, within_s=0.3) as first:
        job_id = first.submit(f"{WORK}.sleep_through_the_first", started=str(started), seconds=600)
        await until(started.exists)
        first.end()
    with Process(database_url) as second:
        job = await second.end_of(job_id)
        assert (job["result"], job["attempts"]) == ("done by another", 2)


async def test_of_several_processes_with_one_schedule_each_slot_runs_once(database_url: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    task = {"function": f"{WORK}.note_the_job", "every_s": 0.4, "arguments": {"file": str(notes)}}
    with ExitStack() as stack:
        processes = [stack.enter_context(process) for process in [Process(database_url) for _ in range(3)]]
        for process in processes:
            process.tell({"schedule": task})
        await until(lambda: notes.exists() and len(notes.read_text().splitlines()) >= 4)
        for process in processes:
            process.end()
    ids = notes.read_text().splitlines()
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("schedule:note_the_job:") for each in ids)


@pytest.fixture
async def submitter(database_url: str) -> AsyncIterator[JobQueue]:
    """A queue that does no jobs itself."""
    queue = JobQueue(database_url=database_url, does_jobs=False)
    await queue.start()
    yield queue
    await queue.stop()


async def test_of_the_jobs_that_wait_the_most_urgent_are_started_first(
    database_url: str, submitter: JobQueue, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    order = [
        await submitter.submit(work.note_the_job, file=str(notes), priority=priority)
        for priority in (-100, 0, 0, 1, 100)
    ]
    job = submitter.get_job(order[0])
    assert job is not None
    assert (job.priority, job.status) == (-100, JobStatus.PENDING)
    with Process(database_url, max_workers=1) as process:
        for job_id in order:
            await process.end_of(job_id)
    assert notes.read_text().split() == [order[4], order[3], order[1], order[2], order[0]]


async def test_a_delayed_job_waits_can_be_cancelled_keeps_its_key_and_survives_its_submitter(
    database_url: str, submitter: JobQueue, tmp_path: Path
) -> None:
    unwanted, notes = tmp_path / "unwanted", tmp_path / "notes"
    with Process(database_url) as first:
        delayed = first.submit(f"{WORK}.add", {"delay_s": 2.0, "unique_key": "sum"}, left=1, right=2)
        cancelled = first.submit(f"{WORK}.note_the_job", {"delay_s": 0.5}, file=str(unwanted))
        assert first.submit(f"{WORK}.add", {"unique_key": "sum"}, left=3, right=4) == delayed
        await submitter.cancel(cancelled)
        first.die()
    job = submitter.get_job(delayed)
    assert job is not None
    assert (job.status, job.attempts, job.unique_key) == (JobStatus.PENDING, 0, "sum")
    due_at = job.delayed_until
    assert due_at is not None
    assert {each.id for each in await submitter.active_jobs()} == {delayed}
    with Process(database_url):
        assert (await end_of(submitter, await submitter.submit(work.note_the_job, file=str(notes)))).error is None
        job = await end_of(submitter, delayed)
    assert (job.result, job.delayed_until) == (3, None)
    assert job.started_at is not None
    assert job.started_at >= due_at.replace(microsecond=0)  # SQLite's clock has whole seconds
    assert not unwanted.exists()


async def test_each_process_has_its_own_limit(database_url: str, submitter: JobQueue, tmp_path: Path) -> None:
    started = [tmp_path / str(number) for number in range(6)]
    jobs = [await submitter.submit(work.sleep_through_the_first, started=str(file), seconds=600) for file in started]

    def held() -> list[int]:
        groups = submitter._parts().store.groups(active_only=True)
        return sorted(group.count for group in groups if group.process)

    with Process(database_url, max_workers=3), Process(database_url, max_workers=1):
        await until(lambda: held() == [1, 3])
        stats = submitter.get_stats()
        assert (stats["running"], stats["pending"]) == (4, 2)
    for job_id in jobs:
        await submitter.cancel(job_id)


async def test_a_pause_holds_in_all_processes_and_after_a_restart(
    database_url: str, submitter: JobQueue, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    task = {"function": f"{WORK}.note_the_job", "every_s": 0.2, "arguments": {"file": str(notes)}}
    scheduler = TaskScheduler(submitter)

    def count() -> int:
        return len(notes.read_text().splitlines()) if notes.exists() else 0

    with ExitStack() as stack:
        processes = [stack.enter_context(process) for process in [Process(database_url) for _ in range(2)]]
        processes[0].tell({"schedule": task})
        await until(count)
        await scheduler.pause("note_the_job")
        await until(lambda: submitter.get_stats()["pending"] + submitter.get_stats()["running"] == 0)
        processes[0].end()
        processes[1].tell({"schedule": task})
        (paused,) = await scheduler.schedules()
        before = count()

        async def slots_passed() -> bool:
            return (await asyncio.to_thread(submitter.calendar.entries))[0].kept_at > paused.kept_at.timestamp() + 1.0

        while not await slots_passed():
            await asyncio.sleep(0.05)
        assert count() == before
        assert (paused.is_paused, paused.next_at, paused.cadence) == (True, None, "every 0.2 s")
        await scheduler.resume("note_the_job")
        await until(lambda: count() > before)
        (going,) = await scheduler.schedules()
        assert going.next_at is not None
        assert going.last_job is not None
        assert going.last_job.name == "note_the_job"
        processes[1].end()
