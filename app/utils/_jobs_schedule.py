"""Jobs at regular times."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.utils._jobs_model import JobFunction, QueueUnavailableError
from app.utils._jobs_queue import RETENTION, JobQueue, order_for, started_queue
from app.utils._jobs_runner import Order

logger = logging.getLogger("app.jobs")


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    order: Order
    interval_s: float


class TaskScheduler:
    """Submits jobs at regular times, each once however many processes have the same schedule.

    Time is divided into slots of a task's interval, counted from 1970, so all processes agree on them. Each slot has
    one job: submitted at its beginning, or when the first scheduler starts within it. So a task runs soon after a
    start that follows a longer pause, and not again after one that does not. A slot is passed over while the task's
    job of an earlier one is not over.
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
        interval_seconds: float,
        *,
        name: str | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """To be called before `start`. Raises ValueError for a name that is taken or an interval that is not
        possible, and TypeError as `JobQueue.submit` does."""
        name = name or func.__name__
        if not 0 < interval_seconds < RETENTION.total_seconds():
            raise ValueError(f"interval_seconds must be more than 0 and less than {RETENTION.total_seconds():.0f}.")
        task = _Task(name, order_for(func, dict(arguments or {}), 0, 1.0, None), interval_seconds)
        if (
            self._tasks.setdefault(name, task) != task
        ):  # the same once more, as by an application's second start, is fine
            raise ValueError(f"There is another task {name} already; give this one another name.")

    async def start(self) -> None:
        """Raises QueueUnavailableError when the queue is not started."""
        queue = self._queue or started_queue()
        if not queue.is_started:
            raise QueueUnavailableError("The job queue is not started: start it before its schedule.")
        self._loops = [asyncio.create_task(_submit_slots(queue, task)) for task in self._tasks.values()]

    async def stop(self) -> None:
        """Submit nothing more. The queue may have been stopped before."""
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


_TRY_AGAIN_AFTER_S = 10.0


async def _submit_slots(queue: JobQueue, task: _Task) -> None:
    while True:
        begin = time.time() // task.interval_s * task.interval_s
        slot = datetime.fromtimestamp(begin, UTC).isoformat()
        key = f"schedule:{task.name}"
        wait_s = begin + task.interval_s - time.time()
        try:
            await queue.enqueue(task.order, task.name, job_id=f"{key}:{slot}", unique_key=key)
        except Exception as error:
            logger.warning("schedule_failed", extra={"task": task.name, "error": str(error)})
            wait_s = min(wait_s, _TRY_AGAIN_AFTER_S)
        await asyncio.sleep(max(wait_s, 0.001))
