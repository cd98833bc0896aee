"""What the job queue can do, against a plain row that is inserted and updated in the same database.

`python -m benchmarks.jobs [--count N]`
"""

import argparse
import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import psycopg

from app.utils._jobs_settings import jobs_url
from app.utils.background_tasks import JobQueue, JobStatus
from benchmarks import databases
from benchmarks.databases import Fresh
from benchmarks.figures import print_table
from tests.integration import work
from tests.services import postgresql_programs

WORKERS = 5, 50
_TABLE = "CREATE TABLE plain (id integer PRIMARY KEY, state text)"
_IDLE_AFTER_S = 8.0


@dataclass(frozen=True)
class Figures:
    """Of one database."""

    floor_per_s: float
    jobs_per_s: dict[int, float]
    """By jobs at the same time."""
    latencies_s: list[float]
    """From the call of submit until the job is seen done, for one at a time."""
    idle_share: float
    """Of one core."""


def floor(url: str, count: int) -> float:
    """Rows a second that are inserted, committed, updated and committed."""
    mark = "?" if url.startswith("sqlite") else "%s"
    with closing(_connect(url)) as connection:
        connection.execute(_TABLE)
        began = time.perf_counter()
        for number in range(count):
            connection.execute(f"INSERT INTO plain VALUES ({mark}, 'pending')", (number,))
            connection.execute(f"UPDATE plain SET state = 'done' WHERE id = {mark}", (number,))
        return count / (time.perf_counter() - began)


def _connect(url: str) -> Any:
    if url.startswith("postgresql"):
        return psycopg.connect(url, autocommit=True)
    connection = sqlite3.connect(str(jobs_url(url).database) + ".floor", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


async def throughput(url: str, count: int, workers: int) -> float:
    """Jobs a second, from the first submit until the last is done."""
    queue = JobQueue(workers, database_url=url)
    await queue.start()
    try:
        began = time.perf_counter()
        at_once = asyncio.Semaphore(5)

        async def submit(number: int) -> None:
            async with at_once:
                await queue.submit(work.add, left=number, right=1)

        await asyncio.gather(*map(submit, range(count)))
        while (await asyncio.to_thread(queue.get_stats))["completed"] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return count / (time.perf_counter() - began)
    finally:
        await queue.stop()


async def latencies(queue: JobQueue, count: int) -> list[float]:
    """Seconds until one job is seen done, one after another."""
    taken = []
    for number in range(count):
        began = time.perf_counter()
        job_id = await queue.submit(work.add, left=number, right=1)
        while not await _is_done(queue, job_id):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        taken.append(time.perf_counter() - began)
    return taken


async def _is_done(queue: JobQueue, job_id: str) -> bool:
    job = await queue.get_job_async(job_id)
    return job is not None and job.status is JobStatus.COMPLETED


async def idle_share(seconds: float) -> float:
    """What this process takes of a core meanwhile."""
    began = time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - began) / seconds


async def measure(fresh: Fresh, count: int, single_jobs: int = 100, idle_s: float = 10.0) -> Figures:
    floor_per_s = floor(fresh(), count)
    jobs_per_s = {workers: await throughput(fresh(), count, workers) for workers in WORKERS}
    queue = JobQueue(database_url=fresh())
    await queue.start()
    try:
        taken = await latencies(queue, single_jobs)
        await asyncio.sleep(min(_IDLE_AFTER_S, idle_s))
        share = await idle_share(idle_s)
    finally:
        await queue.stop()
    return Figures(floor_per_s, jobs_per_s, taken, share)


def rows(figures: Figures) -> Iterator[list[str]]:
    yield ["plain rows a second (the floor)", f"{figures.floor_per_s:,.0f}", ""]
    for workers, rate in figures.jobs_per_s.items():
        yield [f"jobs a second, {workers} at a time", f"{rate:,.0f}", f"{rate / figures.floor_per_s:.3f}"]
    for name, value in {"p50": median(figures.latencies_s), "p99": quantiles(figures.latencies_s, n=100)[-1]}.items():
        yield [f"one job, from submit to done, {name}", f"{value * 1_000:,.0f} ms", ""]
    yield ["idle, of one core", f"{figures.idle_share:.1%}", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="jobs (default: 1,000)")
    count: int = parser.parse_args().count
    with databases.sqlite() as fresh:
        _print("SQLite", fresh, count)
    programs = postgresql_programs()
    if programs is None:
        print("PostgreSQL: not measured, its programs are not installed")
        return
    with databases.postgresql(programs) as fresh:
        _print("PostgreSQL", fresh, count)


def _print(database: str, fresh: Callable[[], str], count: int) -> None:
    print(f"{database}: {count:,} jobs that do nothing\n")
    print_table(["what", "measured", "÷ floor"], list(rows(asyncio.run(measure(fresh, count)))))


if __name__ == "__main__":
    main()
