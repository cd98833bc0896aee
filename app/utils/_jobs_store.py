"""The queue's database: DBOS (https://docs.dbos.dev) behind the few words that the rest of the jobs' code needs.

Takes a quarter of a second to import, which only `JobQueue.start` does.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowStatus, error
from pydantic import JsonValue

from app.utils._jobs_database import engine_for, reachable, schema_of
from app.utils._jobs_model import MOST_PRIORITY, Job, JobStateError, JobStatus, storable
from app.utils._jobs_runner import Order

NAME = "background-tasks"
"""Of the application and of its queue, in DBOS's tables."""
VERSION = "1"
"""DBOS resumes a job only under the version it began with. Ours survive any release: they hold names and JSON."""
_PAGE = 1_000

_STATUS = {
    "ENQUEUED": JobStatus.PENDING,
    "DELAYED": JobStatus.PENDING,
    "PENDING": JobStatus.RUNNING,
    "SUCCESS": JobStatus.COMPLETED,
    "ERROR": JobStatus.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": JobStatus.FAILED,
    "CANCELLED": JobStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs of one status and, where they run, of one process."""

    status: JobStatus
    process: str | None
    count: int
    oldest: datetime
    """Since when the first of them could have been started; later than now if all of them are delayed."""


class Store:
    """Reads and writes the queue, without doing any job. All methods block; any thread may call them.

    They raise QueueUnavailableError while the database is away.
    """

    def __init__(self, url: sa.URL) -> None:
        _quieten()
        self.engine = engine_for(url)
        self._client = DBOSClient(
            system_database_engine=self.engine,
            serializer=DBOSPortableJSONSerializer(),
            application_name=NAME,
            lazy=True,
            retry_connection_errors=False,
        )
        names = "workflow_uuid", "name", "status", "executor_id", "created_at", "delay_until_epoch_ms"
        columns: list[sa.ColumnClause[Any]] = [*map(sa.column, names), sa.column("attributes", sa.JSON)]
        self._jobs = sa.table("workflow_status", *columns, schema=schema_of(self.engine))

    def make_tables(self) -> None:
        """Does nothing where they are."""
        with reachable():
            self._client._sys_db.run_migrations()  # the public way starts a process that does jobs

    def close(self) -> None:
        """Once, at the end."""
        self._client.destroy()
        self.engine.dispose()

    def enqueue(
        self,
        order: Order,
        *,
        name: str,
        job_id: str | None = None,
        unique_key: str | None = None,
        priority: int = 0,
        delay_s: float = 0.0,
    ) -> str:
        """Store a job and return its id; or that of the job that has this id, or, while it is active, this key."""
        options: EnqueueOptions = {
            "workflow_name": "job",
            "queue_name": NAME,
            "workflow_id": job_id or uuid4().hex,
            "attributes": {"name": storable(name)},
            "app_version": VERSION,
            "priority": _rank(priority),
        }
        if delay_s > 0:
            options["delay_seconds"] = delay_s
        if unique_key is not None:
            if storable(unique_key) != unique_key:
                raise TypeError("unique_key: it must be text without NUL and without half surrogate pairs.")
            options |= {"deduplication_id": unique_key, "duplication_policy": "return-existing"}
        with reachable():
            return self._client.enqueue(options, order).get_workflow_id()

    def find(self, job_id: str) -> Job | None:
        return next(iter(self._read([job_id])), None) if storable(job_id) == job_id else None

    def list_jobs(
        self, status: JobStatus | None = None, name: str | None = None, limit: int = _PAGE, *, id_prefix: str = ""
    ) -> list[Job]:
        """The newest first."""
        if storable(name or "") != (name or ""):
            return []
        jobs = self._jobs.c
        query = sa.select(jobs.workflow_uuid).where(jobs.name == "job")
        if status is not None:
            query = query.where(jobs.status.in_([word for word, meant in _STATUS.items() if meant is status]))
        if name is not None:
            query = query.where(jobs.attributes["name"].as_string() == name)
        if id_prefix:
            query = query.where(jobs.workflow_uuid.startswith(id_prefix, autoescape=True))
        query = query.order_by(jobs.created_at.desc(), jobs.workflow_uuid).limit(limit)
        with reachable(), self.engine.connect() as connection:
            ids = list(connection.scalars(query))
        found = {job.id: job for job in self._read(ids)} if ids else {}
        return [found[job_id] for job_id in ids if job_id in found]

    def _read(self, job_ids: list[str]) -> list[Job]:
        with reachable():
            rows = self._client.list_workflows(workflow_ids=job_ids, name="job", load_input=False)
        return [_job_of(row) for row in rows]

    def active(self) -> list[Job]:
        """Pending and running jobs, the oldest first; at most a thousand."""
        with reachable():
            rows = self._client.list_workflows(
                queue_name=NAME,
                status=["DELAYED", "ENQUEUED", "PENDING"],
                limit=_PAGE,
                load_input=False,
                load_output=False,
            )
        return [_job_of(row) for row in rows]

    def note(self, job_id: str, about: dict[str, JsonValue]) -> None:
        """Keep something about a job beside it."""
        with reachable():
            self._client.update_workflow_attributes(job_id, about, merge=True)

    def cancel(self, job_id: str) -> None:
        with reachable():
            self._client.cancel_workflow(job_id)

    def retry(self, job_id: str) -> None:
        """Put a job that failed or was cancelled into the queue once more. Raises JobStateError."""
        job = self.find(job_id)
        if job is None:
            raise JobStateError(f"There is no job {job_id}, or it is no more remembered.")
        if job.status not in {JobStatus.FAILED, JobStatus.CANCELLED}:
            raise JobStateError(
                f"Job {job_id} is {job.status.value}: only what failed or was cancelled can be retried."
            )
        self.note(job_id, {"progress": 0.0, "message": "", "retries": 0})
        try:
            with reachable():
                self._client.rewind_workflow(job_id, queue_name=NAME)
        except error.DBOSException as other:
            raise JobStateError(f"Job {job_id} has just been put into the queue by somebody else.") from other

    def not_held_by(self, process: str, job_ids: list[str]) -> list[str]:
        """Those of the jobs that are cancelled, or that another process has taken over."""
        jobs = self._jobs.c
        is_held = sa.and_(jobs.status == "PENDING", jobs.executor_id == process)
        query = sa.select(jobs.workflow_uuid).where(jobs.workflow_uuid.in_(job_ids), sa.not_(is_held))
        with reachable(), self.engine.connect() as connection:
            return list(connection.scalars(query))

    def held_by(self, processes: list[str]) -> list[str]:
        """Jobs that these processes have in work, as far as the queue knows."""
        jobs = self._jobs.c
        query = sa.select(jobs.workflow_uuid).where(jobs.status == "PENDING", jobs.executor_id.in_(processes))
        with reachable(), self.engine.connect() as connection:
            return list(connection.scalars(query))

    def take_from(self, processes: list[str], job_ids: list[str]) -> None:
        """Put jobs back into the queue, unless another process has done so. Any number may at once."""
        with reachable():
            for job_id in job_ids:  # what DBOS's own recovery does; it has no public name
                self._client._sys_db.reenqueue_for_recovery(job_id, processes, NAME)

    def groups(self, *, active_only: bool = False) -> list[Group]:
        """How many jobs there are of each kind; delayed ones are not active. DBOS has no call that counts."""
        jobs = self._jobs.c
        process = sa.case((jobs.status == "PENDING", jobs.executor_id))
        ready_at = sa.func.coalesce(jobs.delay_until_epoch_ms, jobs.created_at)
        query = sa.select(jobs.status, process, sa.func.count(), sa.func.min(ready_at)).group_by(jobs.status, process)
        if active_only:
            query = query.where(jobs.status.in_(("ENQUEUED", "PENDING")))
        with reachable(), self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [Group(_STATUS[status], holder, count, _time(oldest)) for status, holder, count, oldest in rows]

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


def _rank(priority: int) -> int:
    """DBOS's priority: from 1, which comes first."""
    return MOST_PRIORITY + 1 - priority


def _job_of(row: WorkflowStatus) -> Job:
    status = _STATUS[row.status]
    about: dict[str, Any] = row.attributes or {}
    reason = str(row.error) if row.error else None
    if row.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        reason = f"Given up: {row.recovery_attempts} processes that ran it have ended before it did."
    done = status is JobStatus.COMPLETED
    return Job(
        id=row.workflow_id,
        name=about.get("name", ""),
        status=status,
        result=row.output if done else None,
        error=reason,
        progress=1.0 if done else about.get("progress", 0.0),
        message=about.get("message", ""),
        attempts=(row.recovery_attempts or 0) + about.get("retries", 0),
        priority=MOST_PRIORITY + 1 - row.priority if row.priority else 0,
        unique_key=row.deduplication_id,
        created_at=_time(row.created_at or 0),
        delayed_until=_time(row.delay_until_epoch_ms or 0) if row.status == "DELAYED" else None,
        started_at=_time(row.dequeued_at) if row.dequeued_at else None,
        finished_at=_time(row.completed_at) if row.completed_at else None,
    )


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1_000, UTC)


_OURS_TO_TELL = ("Exception encountered in asynchronous workflow", "Asyncio task cancelled")


def _quieten() -> None:
    """Let DBOS log through the application's own handlers, and not tell how a job ended: that we do."""
    log = logging.getLogger("dbos")
    log.setLevel(logging.WARNING)
    if not log.handlers:  # else it would add one of its own, and keep everything to itself
        log.addHandler(logging.NullHandler())
        log.addFilter(lambda record: not str(record.msg).startswith(_OURS_TO_TELL))
