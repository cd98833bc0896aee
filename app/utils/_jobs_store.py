"""The queue's database: DBOS (https://docs.dbos.dev) behind the few words that the rest of the jobs' code needs.

Takes a quarter of a second to import, which only `JobQueue.start` does.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowStatus
from pydantic import JsonValue

from app.utils._jobs_model import Job, JobStatus, QueueUnavailableError, storable
from app.utils._jobs_runner import Order, Runner

NAME = "background-tasks"
"""Of the application and of its queue, in DBOS's tables."""
VERSION = "1"
"""DBOS resumes a job only under the version it began with. Ours survive any release: they hold names and JSON."""
MOST_TAKEOVERS = 10
"""A job that was interrupted more often than this, and may be what kills the processes, is given up."""
BUSY_POLL_S, IDLE_POLL_S = 0.1, 0.5
"""How often every process looks for jobs, at 5 % and 2 % of a core. DBOS goes over to the former in some seconds."""
_PAGE = 1_000
_END_OF_THREAD_S = 10.0

_STATUS = {
    "ENQUEUED": JobStatus.PENDING,
    "DELAYED": JobStatus.PENDING,
    "PENDING": JobStatus.RUNNING,
    "SUCCESS": JobStatus.COMPLETED,
    "ERROR": JobStatus.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": JobStatus.FAILED,
    "CANCELLED": JobStatus.CANCELLED,
}
_SQLITE_PRAGMAS = "journal_mode = WAL", "busy_timeout = 30000", "foreign_keys = ON"
_POSTGRESQL: dict[str, Any] = {
    "pool_size": 5,
    "max_overflow": 5,
    "pool_timeout": 10,
    "pool_pre_ping": True,
    "connect_args": {"connect_timeout": 5, "options": "-c idle_in_transaction_session_timeout=60000"},
}

_runner: Runner | None = None


@DBOS.workflow(name="job", max_recovery_attempts=MOST_TAKEOVERS)
async def _job(order: Order) -> JsonValue:
    assert _runner is not None  # noqa: S101 - DBOS calls it only between `launch` and `destroy`
    return await _runner.run(cast("str", DBOS.workflow_id), order)


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs of one status and, where they run, of one process."""

    status: JobStatus
    process: str | None
    count: int
    oldest: datetime


class Store:
    """One process's access to the queue, from `launch` to `destroy`. All methods block; any thread may call them.

    DBOS is one to a process, and so is this. Methods raise QueueUnavailableError while the database is away.
    """

    def __init__(self, url: sa.URL, process: str) -> None:
        _quieten()
        self.process = process
        self._dbos: DBOS | None = None
        self.engine = _engine(url)
        self._client = DBOSClient(
            system_database_engine=self.engine,
            serializer=DBOSPortableJSONSerializer(),
            application_name=NAME,
            lazy=True,
            retry_connection_errors=False,
        )
        schema = "dbos" if url.get_backend_name() == "postgresql" else None
        columns = ("workflow_uuid", "status", "executor_id", "queue_name", "created_at")
        self._jobs = sa.table("workflow_status", *(sa.column(name) for name in columns), schema=schema)

    def launch(self, runner: Runner, max_workers: int) -> None:
        """Make the tables, and begin to take jobs."""
        global _runner  # noqa: PLW0603 - as DBOS itself, one to a process
        with reachable():
            self._client._sys_db.run_migrations()  # the queue must exist before DBOS looks which ones it has
            self._client.register_queue(NAME, worker_concurrency=max_workers, polling_interval_sec=BUSY_POLL_S)
        _runner = runner
        self._dbos = DBOS(config=self._config())
        DBOS.launch()

    def stop_taking(self) -> None:
        """Take no more jobs. `DBOS.destroy` alone ends the jobs' event loop while a job is just being taken."""
        if self._dbos:
            for event in self._dbos.background_thread_stop_events:
                event.set()
        for thread in threading.enumerate():
            if thread.name.startswith("queue-worker-") and thread.ident:  # one that is just starting cannot be joined
                thread.join(_END_OF_THREAD_S)

    def destroy(self) -> None:
        """End everything; what is still in work is cancelled, but remains in the queue as running."""
        self.stop_taking()
        DBOS.destroy()
        self._client.destroy()
        self.engine.dispose()

    def _config(self) -> DBOSConfig:
        return {
            "name": NAME,
            "system_database_engine": self.engine,
            "serializer": DBOSPortableJSONSerializer(),
            "application_version": VERSION,
            "executor_id": self.process,
            "log_level": "WARNING",
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.1,  # looks at nothing; it is how long its end takes
            "scheduler_polling_interval_sec": 3_600.0,  # nor is there a schedule for it to find
        }

    def enqueue(self, order: Order, *, name: str, job_id: str | None = None, unique_key: str | None = None) -> str:
        """Store a job and return its id; or that of the job that has this id, or, while it is active, this key."""
        options: EnqueueOptions = {
            "workflow_name": "job",
            "queue_name": NAME,
            "workflow_id": job_id or uuid4().hex,
            "attributes": {"name": storable(name)},
            "app_version": VERSION,
        }
        if unique_key is not None:
            if storable(unique_key) != unique_key:
                raise TypeError("unique_key: it must be text without NUL and without half surrogate pairs.")
            options |= {"deduplication_id": unique_key, "duplication_policy": "return-existing"}
        with reachable():
            return self._client.enqueue(options, order).get_workflow_id()

    def find(self, job_id: str) -> Job | None:
        if storable(job_id) != job_id:
            return None
        with reachable():
            found = self._client.list_workflows(workflow_ids=[job_id], queue_name=NAME, load_input=False)
            found = found or self._client.list_workflows(workflow_ids=[job_id], name="job", load_input=False)
        return _job_of(found[0]) if found else None

    def active(self) -> list[Job]:
        """Pending and running jobs, the oldest first; at most a thousand."""
        with reachable():
            rows = self._client.list_workflows(
                queue_name=NAME, status=["ENQUEUED", "PENDING"], limit=_PAGE, load_input=False, load_output=False
            )
        return [_job_of(row) for row in rows]

    def note(self, job_id: str, about: dict[str, JsonValue]) -> None:
        """Keep something about a job beside it."""
        with reachable():
            self._client.update_workflow_attributes(job_id, about, merge=True)

    def cancel(self, job_id: str) -> None:
        with reachable():
            self._client.cancel_workflow(job_id)

    def cancelled(self, job_ids: list[str]) -> list[str]:
        """Those of the jobs that are cancelled."""
        jobs = self._jobs.c
        query = sa.select(jobs.workflow_uuid).where(jobs.status == "CANCELLED", jobs.workflow_uuid.in_(job_ids))
        with reachable(), self.engine.connect() as connection:
            return list(connection.scalars(query))

    def groups(self, *, active_only: bool = False) -> list[Group]:
        """How many jobs there are of each kind. DBOS has no call that counts."""
        jobs = self._jobs.c
        process = sa.case((jobs.status == "PENDING", jobs.executor_id))
        query = sa.select(jobs.status, process, sa.func.count(), sa.func.min(jobs.created_at)).group_by(
            jobs.status, process
        )
        if active_only:
            query = query.where(jobs.status.in_(("ENQUEUED", "PENDING")))
        with reachable(), self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [Group(_STATUS[status], holder, count, _time(oldest)) for status, holder, count, oldest in rows]

    def take_over(self, processes: list[str]) -> None:
        """Put the jobs of dead processes back into the queue. Any number of processes may do so at once."""
        with reachable():
            DBOS._recover_pending_workflows(processes)  # what DBOS's paid coordinator calls; it has no public name

    def poll_every(self, interval_s: float) -> None:
        """How often every process looks for jobs."""
        with reachable():
            queue = self._client.retrieve_queue(NAME)
            if queue:
                queue.set_polling_interval_sec(interval_s)

    def delete_finished(self, older_than: timedelta) -> int:
        """Delete jobs that ended longer ago than that; returns how many."""
        before = (datetime.now(UTC) - older_than).isoformat()
        deleted = 0
        with reachable():
            while old := self._client.list_workflows(
                name="job", completed_before=before, limit=_PAGE, load_input=False, load_output=False
            ):
                self._client.delete_workflows([row.workflow_id for row in old])
                deleted += len(old)
        return deleted


def _job_of(row: WorkflowStatus) -> Job:
    status = _STATUS[row.status]
    about = row.attributes or {}
    error = str(row.error) if row.error else None
    if row.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        error = f"Given up: {row.recovery_attempts} processes that ran it have ended before it did."
    done = status is JobStatus.COMPLETED
    return Job(
        id=row.workflow_id,
        name=about.get("name", ""),
        status=status,
        result=row.output if done else None,
        error=error,
        progress=1.0 if done else about.get("progress", 0.0),
        message=about.get("message", ""),
        attempts=(row.recovery_attempts or 0) + about.get("retries", 0),
        unique_key=row.deduplication_id,
        created_at=_time(row.created_at or 0),
        started_at=_time(row.dequeued_at) if row.dequeued_at else None,
        finished_at=_time(row.completed_at) if row.completed_at else None,
    )


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1_000, UTC)


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url, **_POSTGRESQL)
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    """As DBOS would do for an engine of its own, and with readers and the writer side by side."""
    connection.isolation_level = "IMMEDIATE"
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    if sqlite3.sqlite_version_info < (3, 42):  # DBOS takes for granted that Python 3.12 comes with that version
        connection.create_function("unixepoch", 1, lambda _subsec: round(time.time(), 3))


@contextmanager
def reachable() -> Iterator[None]:
    """Raise QueueUnavailableError for what says that the database is away."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        cause = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        raise QueueUnavailableError(f"The jobs' database does not answer: {cause}") from error


_OURS_TO_TELL = ("Exception encountered in asynchronous workflow", "Asyncio task cancelled")


def _quieten() -> None:
    """Let DBOS log through the application's own handlers, and not tell how a job ended: that we do."""
    log = logging.getLogger("dbos")
    log.setLevel(logging.WARNING)
    if not log.handlers:  # else it would add one of its own, and keep everything to itself
        log.addHandler(logging.NullHandler())
        log.addFilter(lambda record: not str(record.msg).startswith(_OURS_TO_TELL))
