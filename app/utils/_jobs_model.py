"""What a job is, as its submitter and its own function see it."""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import JsonValue

JobFunction = Callable[..., object]
"""A sync or async function that stands in a module, so that any process finds it by its name."""


class JobStatus(StrEnum):
    """Where a job stands. The last three are final."""

    PENDING = "pending"
    """Stored, and waiting for a process with a free place, or for its time."""
    RUNNING = "running"
    """Taken by a process. Should that die, another one takes the job over, still under this status."""
    COMPLETED = "completed"
    FAILED = "failed"
    """`Job.error` says why; there will be no further attempt."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """A job at the moment of asking."""

    id: str
    name: str
    status: JobStatus
    result: JsonValue
    """What the function returned; `None` until it has."""
    error: str | None
    progress: float
    """0 to 1, as told by the function; 1 once it has returned."""
    message: str
    """What the function last said about its progress."""
    attempts: int
    """How often the function was started: retries and takeovers count."""
    priority: int
    """-100 to 100; the highest of those that wait is started first."""
    unique_key: str | None
    """`None`: not unique, or over."""
    created_at: datetime
    delayed_until: datetime | None
    """Only while it waits for its time."""
    started_at: datetime | None
    """When the process that has it now took it."""
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A task of a `TaskScheduler`, as all processes know it."""

    name: str
    cadence: str
    """`every 1 h`, or a cron expression (UTC)."""
    is_paused: bool
    next_at: datetime | None
    """When its next slot begins; in the past: that slot is overdue. `None` while it is paused."""
    kept_at: datetime
    """When a process last looked after it; a running one does so at least every five minutes."""
    last_job: Job | None
    """The newest that is remembered."""


MOST_PRIORITY = 100


class JobStateError(Exception):
    """The job is not in a state in which this can be done to it, or there is no such job."""


class UnknownScheduleError(LookupError):
    """No process has ever kept a schedule of this name."""


class QueueUnavailableError(ConnectionError):
    """The queue's database does not answer, or the queue is not started in this process."""


class FinalJobError(Exception):
    """Raise it, or a class of your own under it, in a job: another attempt would end no better. The job fails at
    once."""


class JobCancelledError(Exception):
    """Raised by `progress` inside a sync function whose job was cancelled, ran out of time or was handed back."""


@dataclass(slots=True)
class Run:
    """A job while this process carries it out."""

    job_id: str
    over: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits for the function any more."""
    cancelled: bool = False
    told: tuple[float, str] | None = None
    """Progress that is not yet written down."""


current_run: ContextVar[Run | None] = ContextVar("current_run", default=None)


def storable(text: str) -> str:
    """The text without what PostgreSQL (NUL) or UTF-8 (half a surrogate pair) cannot hold."""
    return text.replace("\x00", "").encode("utf-8", "backslashreplace").decode()


def progress(fraction: float, message: str = "") -> None:
    """Tell how far the job is: 0 to 1. To be called inside a job; elsewhere it does nothing.

    Costs nothing worth counting, so it may be called for every record: it is written down about once a second.
    Raises JobCancelledError once the job is not wanted any more. That is how a sync function, which nothing can stop
    from outside, stops.
    """
    run = current_run.get()
    if run is None:
        return
    if run.over.is_set():
        raise JobCancelledError(f"Job {run.job_id} is not wanted any more.")
    run.told = (min(max(fraction, 0.0), 1.0), storable(message[:500]))


def current_job_id() -> str | None:
    """The job that the caller is part of. The same in every attempt, so files may be named after it."""
    run = current_run.get()
    return run.job_id if run else None
