"""Jobs while the database goes away and comes back."""

import asyncio
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.utils._jobs_settings import jobs_url
from app.utils.background_tasks import JobQueue, JobStatus, QueueUnavailableError
from tests import services
from tests.acceptance.conftest import VOLTWAY, environment
from tests.conftest import ROOT, skip_or_fail
from tests.integration import work
from tests.integration.test_jobs import DEADLINE_S, end_of, until
from tests.integration.test_jobs_processes import Process


@pytest.fixture(scope="module")
def server() -> Iterator[services.PostgresqlServer]:
    """One that may be stopped."""
    programs = services.postgresql_programs()
    if programs is None:
        skip_or_fail("PostgreSQL is not installed, so no outage was tested")
        raise AssertionError
    with services.restartable_postgresql(programs) as server:
        yield server


async def _submit_many(queue: JobQueue, folder: Path, first: int, count: int) -> dict[str, int]:
    return {
        await queue.submit(work.write_square, folder=str(folder), number=number, seconds=0.2): number
        for number in range(first, first + count)
    }


async def test_every_job_that_was_accepted_is_done_when_the_server_crashes_under_load(
    server: services.PostgresqlServer, tmp_path: Path
) -> None:
    queue = JobQueue(database_url=server.url, does_jobs=False)
    await queue.start()
    with Process(server.url), Process(server.url):
        accepted = await _submit_many(queue, tmp_path, 0, 20)
        await until(lambda: len(list(tmp_path.iterdir())) >= 4)
        await asyncio.to_thread(server.stop)
        began = time.monotonic()
        with pytest.raises(QueueUnavailableError, match="does not answer"):
            await queue.submit(work.add, left=1, right=2)
        with pytest.raises(QueueUnavailableError, match="does not answer"):
            queue.get_stats()
        assert time.monotonic() - began < 5
        await asyncio.to_thread(server.start)
        accepted |= await _submit_many(queue, tmp_path, 20, 10)
        for job_id, number in accepted.items():
            job = await end_of(queue, job_id)
            assert (job.status, job.result, job.error) == (JobStatus.COMPLETED, number**2, None)
            assert (tmp_path / str(number)).read_text() == f"{number**2}\n"
        assert queue.get_stats() == {"pending": 0, "running": 0, "completed": 30, "failed": 0, "cancelled": 0}
    await queue.stop()


async def test_a_worker_waits_for_its_database_and_ends_in_time_when_asked(
    server: services.PostgresqlServer, tmp_path: Path
) -> None:
    queue = JobQueue(database_url=server.url, does_jobs=False)
    await queue.start()
    job_id = await queue.submit(work.add, left=1, right=2)
    await asyncio.to_thread(server.stop)
    with subprocess.Popen(
        [VOLTWAY, "worker", "--max-workers", "2"],
        env=environment(tmp_path, DATABASE_URL=server.url, PYTHONPATH=str(ROOT)),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as worker:
        assert worker.stderr is not None
        try:
            lines: list[str] = []
            while not lines or "started_without_jobs" not in lines[-1]:
                lines.append(await asyncio.wait_for(asyncio.to_thread(worker.stderr.readline), DEADLINE_S))
                assert lines[-1], lines
            assert "The worker waits for it" in "".join(lines)
            await asyncio.to_thread(server.start)
            assert (await end_of(queue, job_id)).result == 3
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(10) == 0
        finally:
            worker.kill()
    await queue.stop()


async def test_jobs_wait_for_an_sqlite_file_that_another_process_has_locked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/voltway.db"
    queue = JobQueue(database_url=url)
    await queue.start()
    try:
        running = await queue.submit(work.write_square, folder=str(tmp_path), number=2, seconds=0.2)
        with closing(sqlite3.connect(str(jobs_url(url).database), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            submitting = asyncio.create_task(queue.submit(work.add, left=1, right=2))
            assert queue.get_job(running) is not None  # who reads does not wait
            await asyncio.wait([submitting], timeout=1.0)
            assert not submitting.done()
            other.execute("COMMIT")
        assert (await end_of(queue, await submitting)).result == 3
        assert (await end_of(queue, running)).result == 4
    finally:
        await queue.stop(0.1)
