"""The queue as its users see it."""

import asyncio
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import URL

from app.utils._jobs_model import Job, JobFunction, JobStatus, QueueUnavailableError
from app.utils._jobs_reference import checked_arguments, reference_to
from app.utils._jobs_runner import Order, Runner
from app.utils._jobs_settings import TaskSettings, jobs_url
from app.utils.advanced_logging import current_request_id

if TYPE_CHECKING:
    from app.utils._jobs_keeper import Keeper
    from app.utils._jobs_lease import Lease
    from app.utils._jobs_store import Store

RETENTION = timedelta(days=7)
"""How long a finished job is remembered. Longer than any schedule's interval, or a slot could run twice."""
STOP_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class _Open:
    """What exists between start and stop."""

    store: "Store"
    runner: Runner
    keeper: "Keeper"
    lease: "Lease"


class JobQueue:
    """Takes jobs, and does them. At most one is started in a process at a time."""

    def __init__(self, max_workers: int | None = None, *, database_url: URL | str | None = None) -> None:
        """Does nothing yet, and needs no event loop.

        `max_workers`: jobs that each process does at once; of several processes, the number of the one started last
        holds for all. `database_url`: the application's database, SQLite or PostgreSQL. None: from the environment.
        """
        self._max_workers = TaskSettings().max_workers if max_workers is None else max_workers
        if self._max_workers < 1:
            raise ValueError("max_workers must be at least 1.")
        self._database_url = database_url
        self._open: _Open | None = None

    @property
    def is_started(self) -> bool:
        """In this process."""
        return self._open is not None

    async def start(self) -> None:
        """Begin to take jobs, first those that a dead process has left.

        Raises QueueUnavailableError when the database does not answer, and RuntimeError when a queue is started in
        this process already.
        """
        global _started  # noqa: PLW0603 - the engine underneath is one to a process
        with _starting:
            if _started is not None:
                raise RuntimeError("A JobQueue is started in this process already; stop it first.")
            _started = self
        try:
            self._open = await asyncio.to_thread(self._start)
        except BaseException:
            _started = None
            raise

    def _start(self) -> _Open:
        from app.utils._jobs_keeper import Keeper  # noqa: PLC0415 - what it needs takes 250 ms to import
        from app.utils._jobs_lease import lease_for  # noqa: PLC0415
        from app.utils._jobs_store import Store, reachable  # noqa: PLC0415

        url = jobs_url(self._database_url)
        if url.database and url.get_backend_name() == "sqlite":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        store = Store(url, process=uuid4().hex)
        runner = Runner(store.note)
        lease = lease_for(store.engine, store.process)
        try:
            with reachable():
                lease.renew()
            store.launch(runner, self._max_workers)
        except BaseException:
            store.destroy()
            lease.release()
            raise
        keeper = Keeper(store, runner, lease)
        keeper.start()
        return _Open(store, runner, keeper, lease)

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Begin no more jobs, give those in work that many seconds to end, and hand back the others: another process,
        or the next start, does them from the beginning. Does nothing on a queue that is not started."""
        global _started  # noqa: PLW0603
        if self._open is None:
            return
        parts, self._open = self._open, None
        try:
            await asyncio.to_thread(_stop, parts, within_s)
        finally:
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
        **kwargs: Any,
    ) -> str:
        """Store a job that calls `func(**arguments, **kwargs)`, and return its id.

        `arguments` is for those with a name that is also one of this method's. `name`: what people see, by default
        the function's. `retries`: further attempts after one that failed, the first after `backoff_s` seconds, each
        later one after twice the pause before it. `timeout_s`: time limit of an attempt; a sync function that passes
        it is not tried again, as its thread cannot be stopped. `unique_key`: while a job with this key is pending or
        running, no other is stored, and its id is returned.

        Raises TypeError, which names the fault, for a function or argument that cannot be stored, and
        QueueUnavailableError.
        """
        order = order_for(func, {**(arguments or {}), **kwargs}, retries, backoff_s, timeout_s)
        return await self.enqueue(order, name or func.__name__, unique_key=unique_key)

    async def enqueue(
        self, order: Order, name: str, *, job_id: str | None = None, unique_key: str | None = None
    ) -> str:
        """`submit` for an order that is made, and perhaps under an id of its own: what has it already is not stored
        again, whatever has become of it."""
        parts = self._parts()
        stored = await asyncio.to_thread(parts.store.enqueue, order, name=name, job_id=job_id, unique_key=unique_key)
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
        parts.runner.cancel(job_id)

    async def delete_finished(self, older_than: timedelta = RETENTION) -> int:
        """Forget jobs that ended longer ago than that; returns how many."""
        return await asyncio.to_thread(self._parts().store.delete_finished, older_than)

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


def _stop(parts: _Open, within_s: float) -> None:
    parts.store.stop_taking()
    parts.runner.close(within_s)
    parts.keeper.stop()
    parts.store.destroy()
    parts.lease.release()  # last: from here on others may take over what is left


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
