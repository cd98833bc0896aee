"""The queue as its users see it."""

import asyncio
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import URL

from app.utils._jobs_model import MOST_PRIORITY, Job, JobFunction, JobStatus, QueueUnavailableError
from app.utils._jobs_reference import checked_arguments, reference_to
from app.utils._jobs_runner import Order, Runner
from app.utils._jobs_settings import TaskSettings, jobs_url
from app.utils.advanced_logging import current_request_id

if TYPE_CHECKING:
    from app.utils._jobs_calendar import Calendar
    from app.utils._jobs_engine import Engine
    from app.utils._jobs_keeper import Keeper
    from app.utils._jobs_lease import Lease
    from app.utils._jobs_store import Store

RETENTION = timedelta(days=7)
"""How long a finished job is remembered."""
LONGEST_DELAY = timedelta(days=365)
STOP_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class _Work:
    """What a process needs to do jobs."""

    engine: "Engine"
    runner: Runner
    lease: "Lease"


@dataclass(frozen=True, slots=True)
class _Open:
    """What exists between start and stop."""

    store: "Store"
    calendar: "Calendar"
    keeper: "Keeper"
    work: _Work | None


class JobQueue:
    """Takes jobs, and does them. At most one that does is started in a process at a time."""

    def __init__(
        self, max_workers: int | None = None, *, database_url: URL | str | None = None, does_jobs: bool = True
    ) -> None:
        """Does nothing yet, and needs no event loop.

        `max_workers`: jobs that this process does at once; None: from the environment. `database_url`: the
        application's database, SQLite or PostgreSQL. None: from the environment. `does_jobs=False`: takes jobs and
        answers for them, and leaves the doing to other processes.
        """
        self._max_workers = TaskSettings().max_workers if max_workers is None else max_workers
        if self._max_workers < 1:
            raise ValueError("max_workers must be at least 1.")
        self._database_url = database_url
        self._does_jobs = does_jobs
        self._open: _Open | None = None

    @property
    def is_started(self) -> bool:
        """In this process."""
        return self._open is not None

    async def start(self) -> None:
        """Begin to take jobs, first those that a dead process has left.

        Raises QueueUnavailableError when the database does not answer, and RuntimeError when a queue that does jobs
        is started in this process already.
        """
        global _started  # noqa: PLW0603 - the engine underneath is one to a process
        if self._open is not None:
            raise RuntimeError("This JobQueue is started already.")
        if not self._does_jobs:
            self._open = await asyncio.to_thread(_open, jobs_url(self._database_url), None)
            return
        with _starting:
            if _started is not None:
                raise RuntimeError("A JobQueue is started in this process already; stop it first.")
            _started = self
        try:
            self._open = await asyncio.to_thread(_open, jobs_url(self._database_url), self._max_workers)
        except BaseException:
            _started = None
            raise

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Begin no more jobs, give those in work that many seconds to end, and hand back the others: another process,
        or the next start, does them from the beginning. Does nothing on a queue that is not started."""
        global _started  # noqa: PLW0603
        if self._open is None:
            return
        parts, self._open = self._open, None
        try:
            await asyncio.to_thread(_close, parts, within_s)
        finally:
            if _started is self:
                _started = None

    async def submit(
        self,
        func: JobFunction,
        /,
        *,
        name: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        retries: int = 0,
        backoff_s: float = 1.0,
        timeout_s: float | None = None,
        unique_key: str | None = None,
        priority: int = 0,
        delay_s: float = 0.0,
        **kwargs: Any,
    ) -> str:
        """Store a job that calls `func(**arguments, **kwargs)`, and return its id.

        `arguments` is for those with a name that is also one of this method's. `name`: what people see, by default
        the function's. `retries`: further attempts after one that failed, the first after `backoff_s` seconds, each
        later one after twice the pause before it. `timeout_s`: time limit of an attempt; a sync function that passes
        it is not tried again, as its thread cannot be stopped. `unique_key`: while a job with this key is pending or
        running, no other is stored, and its id is returned. `priority`: -100 to 100; of the jobs that wait, the
        highest is started first, and of equal ones the oldest. `delay_s`: pending for at least so many seconds, and
        at most a year; started within about a second after.

        Raises TypeError, which names the fault, for a function or argument that cannot be stored, and
        QueueUnavailableError.
        """
        order = order_for(func, {**(arguments or {}), **kwargs}, retries, backoff_s, timeout_s)
        if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
            raise ValueError(f"priority must be between -{MOST_PRIORITY} and {MOST_PRIORITY}.")
        if not 0 <= delay_s <= LONGEST_DELAY.total_seconds():
            raise ValueError(f"delay_s must be between 0 and {LONGEST_DELAY.total_seconds():.0f}.")
        return await self.enqueue(
            order, name or func.__name__, unique_key=unique_key, priority=priority, delay_s=delay_s
        )

    async def enqueue(
        self,
        order: Order,
        name: str,
        *,
        job_id: str | None = None,
        unique_key: str | None = None,
        priority: int = 0,
        delay_s: float = 0.0,
    ) -> str:
        """`submit` for an order that is made, and perhaps under an id of its own: what has it already is not stored
        again, whatever has become of it."""
        parts = self._parts()
        stored = await asyncio.to_thread(
            parts.store.enqueue,
            order,
            name=name,
            job_id=job_id,
            unique_key=unique_key,
            priority=priority,
            delay_s=delay_s,
        )
        parts.keeper.hurry()
        return stored

    def get_job(self, job_id: str) -> Job | None:
        """The job as it stands now; `None`: there is none, or no more. Reads the database, which takes about a
        millisecond; an event loop that must never wait calls `get_job_async`. Raises QueueUnavailableError."""
        return self._parts().store.find(job_id)

    async def get_job_async(self, job_id: str) -> Job | None:
        """`get_job` without holding up the event loop."""
        return await asyncio.to_thread(self.get_job, job_id)

    async def active_jobs(self) -> list[Job]:
        """Pending and running jobs of all processes, the oldest first; at most a thousand."""
        return await asyncio.to_thread(self._parts().store.active)

    async def list_jobs(
        self, *, status: JobStatus | None = None, name: str | None = None, limit: int = 50
    ) -> list[Job]:
        """Jobs of all processes, the newest first; None: any."""
        return await asyncio.to_thread(self._parts().store.list_jobs, status, name, limit)

    def get_stats(self) -> dict[str, int]:
        """Number of jobs by status, of all processes. Reads the database, as `get_job` does."""
        counts = {status.value: 0 for status in JobStatus}
        for group in self._parts().store.groups():
            counts[group.status.value] += group.count
        return counts

    async def cancel(self, job_id: str) -> None:
        """Stop a job, within about a second where another process does it; does nothing to one that is over.

        In an async function asyncio.CancelledError is raised; a sync one goes on until it calls `progress`."""
        parts = self._parts()
        await asyncio.to_thread(parts.store.cancel, job_id)
        if parts.work:
            parts.work.runner.cancel(job_id)

    async def retry(self, job_id: str) -> None:
        """Put a job that failed or was cancelled into the queue once more: under its id, with its arguments and all
        its attempts, and without its unique key. Raises JobStateError for any other."""
        parts = self._parts()
        await asyncio.to_thread(parts.store.retry, job_id)
        parts.keeper.hurry()

    async def delete_finished(self, older_than: timedelta = RETENTION) -> int:
        """Forget jobs that ended longer ago than that, and schedules that no process has kept since; returns how many
        jobs."""
        parts = self._parts()
        await asyncio.to_thread(parts.calendar.forget, time.time() - older_than.total_seconds())
        return await asyncio.to_thread(parts.store.delete_finished, older_than)

    @property
    def calendar(self) -> "Calendar":
        """For `TaskScheduler`."""
        return self._parts().calendar

    async def newest_with_prefix(self, prefix: str) -> Job | None:
        """The newest job whose id begins so."""
        found = await asyncio.to_thread(self._parts().store.list_jobs, limit=1, id_prefix=prefix)
        return found[0] if found else None

    def _parts(self) -> _Open:
        if self._open is None:
            raise QueueUnavailableError("The job queue is not started.")
        return self._open


_started: JobQueue | None = None
_starting = threading.Lock()


def started_queue() -> JobQueue:
    if _started is None:
        raise QueueUnavailableError("No job queue is started in this process.")
    return _started


def _open(url: URL, max_workers: int | None) -> _Open:
    """`max_workers` None: to do no jobs."""
    from app.utils._jobs_calendar import Calendar  # noqa: PLC0415 - what these need takes 250 ms to import
    from app.utils._jobs_keeper import Keeper, WorkKeeper  # noqa: PLC0415
    from app.utils._jobs_store import Store  # noqa: PLC0415

    if url.database and url.get_backend_name() == "sqlite":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    store = Store(url)
    calendar = Calendar(store.engine)
    try:
        store.make_tables()
        calendar.make_table()
        work = _begin_work(store, max_workers) if max_workers else None
    except BaseException:
        store.close()
        raise
    keeper = WorkKeeper(store, calendar, work.engine, work.runner, work.lease) if work else Keeper(store, calendar)
    keeper.start()
    return _Open(store, calendar, keeper, work)


def _begin_work(store: "Store", max_workers: int) -> _Work:
    from app.utils._jobs_database import reachable  # noqa: PLC0415
    from app.utils._jobs_engine import Engine  # noqa: PLC0415
    from app.utils._jobs_lease import lease_for  # noqa: PLC0415

    process = uuid4().hex
    runner = Runner(store.note)
    lease = lease_for(store.engine, process)
    engine = Engine(store, process, runner, max_workers)
    try:
        with reachable():
            lease.renew()
        engine.launch()
    except BaseException:
        engine.destroy()
        lease.release()
        raise
    return _Work(engine, runner, lease)


def _close(parts: _Open, within_s: float) -> None:
    work = parts.work
    if work:
        work.engine.stop_taking()
        work.runner.close(within_s)
    parts.keeper.stop()
    if work:
        work.engine.destroy()
    parts.store.close()
    if work:
        work.lease.release()  # last: from here on others may take over what is left


def order_for(
    func: JobFunction, arguments: dict[str, Any], retries: int, backoff_s: float, timeout_s: float | None
) -> Order:
    """Raises TypeError or ValueError for what `JobQueue.submit` refuses."""
    if retries < 0 or not (backoff_s >= 0 and math.isfinite(backoff_s)):
        raise ValueError("retries and backoff_s must not be negative.")
    if timeout_s is not None and not (timeout_s > 0 and math.isfinite(timeout_s)):
        raise ValueError("timeout_s must be a positive number of seconds.")
    return Order(
        function=reference_to(func),
        arguments=checked_arguments(func, arguments),
        retries=retries,
        backoff_s=backoff_s,
        timeout_s=timeout_s,
        request_id=current_request_id(),
    )
