"""Jobs at regular times."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.utils._jobs_cadence import Cron, Every, cadence_of
from app.utils._jobs_model import JobFunction, QueueUnavailableError, Schedule, UnknownScheduleError
from app.utils._jobs_queue import JobQueue, order_for, started_queue
from app.utils._jobs_runner import Order

if TYPE_CHECKING:
    from app.utils._jobs_calendar import Entry

logger = logging.getLogger("app.jobs")


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    order: Order
    cadence: Every | Cron

    @property
    def key(self) -> str:
        return _key(self.name)


def _key(name: str) -> str:
    return f"schedule:{name}"


class TaskScheduler:
    """Submits jobs at regular times, each once however many processes have the same schedule.

    Time is divided into slots, on which all processes agree: of equal length, counted from 1970, or beginning when a
    cron expression says so, in UTC. Each slot has one job, submitted at its beginning. How far a schedule has got is
    kept in the database, so after a pause, however long, the last slot that was missed has its job at once, and those
    before it have none. A schedule that was never kept before begins at once if it has an interval, and with its next
    slot if it has a cron expression, as has one whose expression has changed. A slot is passed over while the task's
    job of an earlier one is not over, and while the schedule is paused.
    """

    def __init__(self, queue: JobQueue | None = None) -> None:
        """`queue` None: the one that is started in this process."""
        self._queue = queue
        self._tasks: dict[str, _Task] = {}
        self._loops: list[asyncio.Task[None]] = []

    def add_task(
        self,
        func: JobFunction,
        /,
        interval_seconds: float | None = None,
        *,
        cron: str | None = None,
        name: str | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """To be called before `start`. `cron`: five fields, or `@daily` and the like, in UTC.

        Raises ValueError for a name that is taken, an interval or expression that is not possible, and unless there
        is exactly one of the two; and TypeError as `JobQueue.submit` does."""
        name = name or func.__name__
        cadence = cadence_of(interval_seconds, cron)
        task = _Task(name, order_for(func, dict(arguments or {}), 0, 1.0, None), cadence)
        if (
            self._tasks.setdefault(name, task) != task
        ):  # the same once more, as by an application's second start, is fine
            raise ValueError(f"There is another task {name} already; give this one another name.")

    async def start(self) -> None:
        """Raises QueueUnavailableError when the queue is not started."""
        queue = self._started()
        self._loops = [asyncio.create_task(_keep(queue, task)) for task in self._tasks.values()]

    async def stop(self) -> None:
        """Submit nothing more. The queue may have been stopped before."""
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    async def pause(self, name: str) -> None:
        """Let no process submit jobs of this schedule, also after a restart, until `resume`. A job that is in the
        queue is not touched. Raises UnknownScheduleError for one that no process has ever kept."""
        await self._set_paused(name, is_paused=True)

    async def resume(self, name: str) -> None:
        """Go on with the next slot. Raises as `pause` does."""
        await self._set_paused(name, is_paused=False)

    async def schedules(self) -> list[Schedule]:
        """Those of all processes, by name; also those that no process keeps any more, for some days."""
        queue = self._started()
        entries = await asyncio.to_thread(queue.calendar.entries)
        return [await _schedule(queue, entry) for entry in entries]

    async def _set_paused(self, name: str, *, is_paused: bool) -> None:
        calendar = self._started().calendar
        if not await asyncio.to_thread(calendar.set_paused, name, is_paused):
            known = ", ".join(entry.name for entry in await asyncio.to_thread(calendar.entries))
            raise UnknownScheduleError(f"There is no schedule {name}; there are: {known or 'none'}.")

    def _started(self) -> JobQueue:
        queue = self._queue or started_queue()
        if not queue.is_started:
            raise QueueUnavailableError("The job queue is not started: start it before its schedule.")
        return queue


async def _schedule(queue: JobQueue, entry: "Entry") -> Schedule:
    return Schedule(
        name=entry.name,
        cadence=str(entry.cadence),
        is_paused=entry.is_paused,
        next_at=None if entry.is_paused else datetime.fromtimestamp(entry.next_slot, UTC),
        kept_at=datetime.fromtimestamp(entry.kept_at, UTC),
        last_job=await queue.newest_with_prefix(f"{_key(entry.name)}:"),
    )


_TRY_AGAIN_AFTER_S = 10.0
_LOOK_AGAIN_AFTER_S = 300.0
"""A machine that slept is late by so much at most."""


async def _keep(queue: JobQueue, task: _Task) -> None:
    while True:
        now = time.time()
        wait_s = min(task.cadence.next_after(now) - now, _LOOK_AGAIN_AFTER_S)
        try:
            await _submit_slot(queue, task, task.cadence.slot_at(now))
        except Exception as error:
            logger.warning("schedule_failed", extra={"task": task.name, "error": str(error)})
            wait_s = min(wait_s, _TRY_AGAIN_AFTER_S)
        await asyncio.sleep(max(now + wait_s - time.time(), 0.001))


async def _submit_slot(queue: JobQueue, task: _Task, begin: float) -> None:
    """Unless that has been done."""
    entry = await asyncio.to_thread(queue.calendar.keep, task.name, task.cadence)
    if entry.done_slot is not None and entry.done_slot >= begin:
        return
    if not entry.is_paused:
        slot = datetime.fromtimestamp(begin, UTC).isoformat()
        await queue.enqueue(task.order, task.name, job_id=f"{task.key}:{slot}", unique_key=task.key)
    await asyncio.to_thread(queue.calendar.set_done, task.name, begin)
