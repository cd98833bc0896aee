"""What becomes of jobs when processes are killed and databases go away.

`python -m benchmarks.takeover`
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path

from app.utils._jobs_settings import jobs_url
from app.utils.background_tasks import JobQueue
from benchmarks.figures import print_table
from tests import services
from tests.integration import work
from tests.integration.test_jobs import end_of, until
from tests.integration.test_jobs_processes import WORK, Process

Case = Callable[[str, Path], Coroutine[None, None, tuple[str, float]]]
"""Says what happened, and how many seconds it took."""


async def killed_mid_job(url: str, folder: Path) -> tuple[str, float]:
    """Seconds from the kill to the end of the job in another process."""
    output = folder / "output"
    with Process(url) as owner, ExitStack() as stack:
        job_id = owner.submit(f"{WORK}.write_in_two_lives", file=str(output), lines=20)
        await until((folder / "output.begun").exists)
        survivor = stack.enter_context(Process(url))  # later, so that the owner has the job
        began = time.monotonic()
        owner.die()
        job = await survivor.end_of(job_id)
        took_s = time.monotonic() - began
    right = output.read_text() == "".join(f"{line}\n" for line in range(20)) and not (folder / "output.part").exists()
    return f"{job['status']}, {job['attempts']} attempts, output {'right' if right else 'WRONG'}", took_s


async def killed_before_start(url: str, folder: Path) -> tuple[str, float]:
    """Seconds from the start of the next process to the end of the job."""
    with Process(url, max_workers=1) as first:
        first.submit(f"{WORK}.sleep_through_the_first", started=str(folder / "busy"), seconds=600)
        await until((folder / "busy").exists)
        job_id = first.submit(f"{WORK}.add", left=1, right=2)
        first.die()
    began = time.monotonic()
    with Process(url) as second:
        job = await second.end_of(job_id)
        return f"{job['status']}, result {job['result']}", time.monotonic() - began


def one_schedule(count: int) -> Case:
    """Of so many processes."""

    async def case(url: str, folder: Path) -> tuple[str, float]:
        notes = folder / "notes"
        task = {"function": f"{WORK}.note_the_job", "every_s": 1.0, "arguments": {"file": str(notes)}}
        began = time.monotonic()
        with ExitStack() as stack:
            processes = [stack.enter_context(process) for process in [Process(url) for _ in range(count)]]
            for process in processes:
                process.tell({"schedule": task})
            await until(lambda: notes.exists() and len(notes.read_text().splitlines()) >= 8)
            for process in processes:
                process.end()
        slots = [datetime.fromisoformat(line.split(":", 2)[2]) for line in notes.read_text().splitlines()]
        missed = round((max(slots) - min(slots)).total_seconds()) + 1 - len(set(slots))
        told = f"{len(set(slots))} slots, {len(slots) - len(set(slots))} run twice, {missed} missed"
        return told, time.monotonic() - began

    return case


async def _under_load(url: str, folder: Path, outage: Callable[[JobQueue], Awaitable[None]]) -> tuple[str, float]:
    queue = JobQueue(database_url=url, does_jobs=False)
    await queue.start()
    with Process(url), Process(url):
        accepted = {
            await queue.submit(work.write_square, folder=str(folder), number=number, seconds=0.2): number
            for number in range(40)
        }
        await until(lambda: len(list(folder.iterdir())) >= 4)
        await outage(queue)
        began = time.monotonic()
        right = 0
        for job_id, number in accepted.items():
            right += (await end_of(queue, job_id)).result == number**2
        took_s = time.monotonic() - began
    await queue.stop()
    return f"{right} of {len(accepted)} completed and right", took_s


def restarted(server: services.PostgresqlServer) -> Case:
    """Seconds from the server's return to the end of the last job."""

    async def outage(_: JobQueue) -> None:
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)

    return lambda url, folder: _under_load(url, folder, outage)


async def locked(url: str, folder: Path) -> tuple[str, float]:
    """Seconds from the lock's end, after three seconds, to the end of the last job."""

    async def outage(_: JobQueue) -> None:
        with closing(sqlite3.connect(str(jobs_url(url).database), isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await asyncio.sleep(3)
            other.execute("COMMIT")

    return await _under_load(url, folder, outage)


CASES: dict[str, Case] = {
    "owner killed in the middle of a job": killed_mid_job,
    "killed between submit and start": killed_before_start,
    "two processes, one schedule": one_schedule(2),
    "four processes, one schedule": one_schedule(4),
}


def main() -> None:
    rows = []
    for name, case in (CASES | {"file locked for 3 s under load": locked}).items():
        rows.append([name, "SQLite", *_told(case, None)])
    programs = services.postgresql_programs()
    if programs is None:
        print("PostgreSQL: not tried, its programs are not installed")
    else:
        for name, case in CASES.items():
            with services.postgresql(programs) as url:
                rows.append([name, "PostgreSQL", *_told(case, url)])
        with services.restartable_postgresql(programs) as server:
            rows.append(
                ["server crashed and restarted under load", "PostgreSQL", *_told(restarted(server), server.url)]
            )
    print_table(["case", "database", "what happened", "seconds"], rows)


def _told(case: Case, url: str | None) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="voltway-takeover-") as database, tempfile.TemporaryDirectory() as folder:
        happened, took_s = asyncio.run(case(url or f"sqlite:///{database}/voltway.db", Path(folder)))
    return [happened, f"{took_s:.1f}"]


if __name__ == "__main__":
    main()
