"""What must happen now and then while a process takes jobs."""

import logging
import threading
from datetime import UTC, datetime

from app.utils import metrics
from app.utils._jobs_lease import Lease
from app.utils._jobs_model import JobStatus
from app.utils._jobs_runner import Runner
from app.utils._jobs_store import BUSY_POLL_S, IDLE_POLL_S, Group, Store

logger = logging.getLogger("app.jobs")
TICK_S = 1.0
_COUNT_EVERY_TICKS = 10
_IDLE_AFTER_TICKS = 5


class Keeper:
    """A thread that takes over the jobs of dead processes, stops cancelled jobs, writes down progress, sets the pace
    of polling and measures. A thread, because no job and no request can hold it up."""

    def __init__(self, store: Store, runner: Runner, lease: Lease) -> None:
        self._store, self._runner, self._lease = store, runner, lease
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="jobs-keeper", daemon=True)
        self._poll_s = BUSY_POLL_S
        self._idle_ticks = self._ticks = 0
        self._failing = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Once more writes down progress."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def hurry(self) -> None:
        """A job was submitted here."""
        if self._poll_s != BUSY_POLL_S:
            self._wake.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            self._attempt()
            self._wake.wait(TICK_S)
        self._attempt()

    def _attempt(self) -> None:
        try:
            self._tick()
        except Exception as error:  # the next tick tries again
            if not self._failing:
                logger.warning("jobs_keeper_failed", extra={"error": str(error)}, exc_info=True)
            self._failing = True
        else:
            self._failing = False

    def _tick(self) -> None:
        self._lease.renew()
        self._runner.write_progress()
        if running := self._runner.running():
            for job_id in self._store.cancelled(running):
                self._runner.cancel(job_id)
        active = self._store.groups(active_only=True)
        self._adopt(active)
        self._set_pace(busy=bool(active))
        if self._ticks % _COUNT_EVERY_TICKS == 0:
            _measure(self._store.groups())
        self._ticks += 1

    def _adopt(self, active: list[Group]) -> None:
        owners = {group.process for group in active if group.process} - {self._store.process}
        dead = sorted(owner for owner in owners if not self._lease.is_held(owner))
        if dead:
            logger.warning("jobs_taken_over", extra={"processes": dead})
            self._store.take_over(dead)

    def _set_pace(self, *, busy: bool) -> None:
        """Look for jobs often while there are any, and seldom when there were none for a while."""
        self._idle_ticks = 0 if busy else self._idle_ticks + 1
        poll_s = IDLE_POLL_S if self._idle_ticks > _IDLE_AFTER_TICKS else BUSY_POLL_S
        if poll_s != self._poll_s:
            self._store.poll_every(poll_s)
            self._poll_s = poll_s


def _measure(groups: list[Group]) -> None:
    for status in JobStatus:
        metrics.jobs.labels(status.value).set(sum(group.count for group in groups if group.status is status))
    pending = [group.oldest for group in groups if group.status is JobStatus.PENDING]
    oldest = (datetime.now(UTC) - min(pending)).total_seconds() if pending else 0.0
    metrics.jobs_oldest_pending_seconds.set(oldest)
