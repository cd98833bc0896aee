"""What must happen now and then while a process has a queue."""

import logging
import threading
from datetime import UTC, datetime

from app.utils import metrics
from app.utils._jobs_calendar import Calendar
from app.utils._jobs_engine import BUSY_POLL_S, IDLE_POLL_S, Engine
from app.utils._jobs_lease import Lease
from app.utils._jobs_model import JobStatus
from app.utils._jobs_runner import Runner
from app.utils._jobs_store import Group, Store

logger = logging.getLogger("app.jobs")
TICK_S = 1.0
_COUNT_EVERY_TICKS = 10
_IDLE_AFTER_TICKS = 5
_ASTRAY_AFTER_TICKS = 5


class Keeper:
    """A thread that measures the queue. A thread, because no job and no request can hold it up."""

    def __init__(self, store: Store, calendar: Calendar) -> None:
        self._store, self._calendar = store, calendar
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="jobs-keeper", daemon=True)
        self._ticks = 0
        self._failing = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After one more tick."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def hurry(self) -> None:
        """A job was submitted here."""

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
        if self._ticks % _COUNT_EVERY_TICKS == 0:
            _measure(self._store.groups())
            _measure_schedules(self._calendar)
        self._ticks += 1


class WorkKeeper(Keeper):
    """Besides, takes over the jobs of dead processes, stops cancelled jobs, writes down progress and sets the pace of
    polling."""

    def __init__(self, store: Store, calendar: Calendar, engine: Engine, runner: Runner, lease: Lease) -> None:
        super().__init__(store, calendar)
        self._engine, self._runner, self._lease = engine, runner, lease
        self._poll_s = BUSY_POLL_S
        self._idle_ticks = 0
        self._dead_for: dict[str, int] = {}
        self._astray_for: dict[str, int] = {}

    def hurry(self) -> None:
        if self._poll_s != BUSY_POLL_S:
            self._wake.set()

    def _tick(self) -> None:
        self._lease.renew()
        self._runner.write_progress()
        if running := self._runner.running():
            for job_id in self._store.not_held_by(self._engine.process, running):
                self._runner.cancel(job_id)
        active = self._store.groups(active_only=True)
        self._adopt(active)
        if any(group.process == self._engine.process for group in active):
            self._recover()
        self._set_pace(busy=bool(active))
        super()._tick()

    def _adopt(self, active: list[Group]) -> None:
        """Take over from processes that have died. All lose their lease when the database restarts, and are given
        some ticks to take it again."""
        owners = {group.process for group in active if group.process} - {self._engine.process}
        dead = [owner for owner in owners if not self._lease.is_held(owner)]
        self._dead_for = {owner: self._dead_for.get(owner, 0) + 1 for owner in dead}
        gone = sorted(owner for owner, ticks in self._dead_for.items() if ticks > self._lease.grace_ticks)
        if gone:
            logger.warning("jobs_taken_over", extra={"processes": gone})
            self._store.take_from(gone, self._store.held_by(gone))

    def _recover(self) -> None:
        """Put back jobs that the queue says this process has, and it has not: the answer to its taking them was lost
        with a connection."""
        held = set(self._store.held_by([self._engine.process])) - set(self._engine.in_work())
        self._astray_for = {job_id: self._astray_for.get(job_id, 0) + 1 for job_id in held}
        astray = sorted(job_id for job_id, ticks in self._astray_for.items() if ticks > _ASTRAY_AFTER_TICKS)
        if astray:
            logger.warning("jobs_put_back", extra={"jobs": astray})
            self._store.take_from([self._engine.process], astray)

    def _set_pace(self, *, busy: bool) -> None:
        """Look for jobs often while there are any, and seldom when there were none for a while."""
        self._idle_ticks = 0 if busy else self._idle_ticks + 1
        poll_s = IDLE_POLL_S if self._idle_ticks > _IDLE_AFTER_TICKS else BUSY_POLL_S
        if poll_s != self._poll_s:
            self._engine.poll_every(poll_s)
            self._poll_s = poll_s


def _measure(groups: list[Group]) -> None:
    for status in JobStatus:
        metrics.jobs.labels(status.value).set(sum(group.count for group in groups if group.status is status))
    pending = [group.oldest for group in groups if group.status is JobStatus.PENDING]
    oldest = (datetime.now(UTC) - min(pending)).total_seconds() if pending else 0.0
    metrics.jobs_oldest_pending_seconds.set(max(oldest, 0.0))


def _measure_schedules(calendar: Calendar) -> None:
    for entry in calendar.entries():
        metrics.schedule_paused.labels(entry.name).set(entry.is_paused)
        metrics.schedule_next_timestamp_seconds.labels(entry.name).set(entry.next_slot)
