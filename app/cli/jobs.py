"""`voltway jobs`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli._tables import print_table
from app.db.migrate import require_current
from app.errors import DatabaseUnavailableError, JobRefusedError
from app.settings import Settings
from app.utils.background_tasks import (
    Job,
    JobQueue,
    JobStateError,
    JobStatus,
    QueueUnavailableError,
    Schedule,
    TaskScheduler,
    UnknownScheduleError,
)

jobs = typer.Typer(help="Background jobs and their schedules.", no_args_is_help=True)
Result = TypeVar("Result")
Id = Annotated[str, typer.Argument(metavar="ID", help="As `voltway jobs list` shows it.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="As `voltway jobs schedules` shows it.")]

_NOT_KEPT_AFTER = timedelta(minutes=15)


@jobs.command("list")
def list_(
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs that stand so.")] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs of this name.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 50,
) -> None:
    """Show jobs of all processes, the newest first."""
    found = _run(lambda queue: queue.list_jobs(status=status, name=name, limit=limit))
    rows = [
        [
            job.id, job.name, _status(job), f"{job.progress:.0%}", str(job.attempts), _second(job.created_at),
            _second(job.finished_at), _first_line(job.error),
        ]
        for job in found
    ]  # fmt: skip
    headings = ("id", "name", "status", "progress", "attempts", "created", "finished", "error")
    print_table(headings, rows, spare=("attempts", "progress", "finished", "created"))


@jobs.command()
def show(job_id: Id) -> None:
    """Show all that is known of one job."""
    job = _run(lambda queue: _found(queue, job_id))
    table = Table(box=None, pad_edge=False, show_header=False)
    fields = {
        "id": job.id,
        "name": job.name,
        "status": _status(job),
        "progress": f"{job.progress:.0%} {job.message}".rstrip(),
        "attempts": str(job.attempts),
        "priority": str(job.priority),
        "created": _second(job.created_at),
        "started": _second(job.started_at),
        "finished": _second(job.finished_at),
        "error": job.error or "",
        "result": "" if job.result is None else str(job.result),
    }
    for label, value in fields.items():
        if value:
            table.add_row(label, escape(value))
    Console().print(table)


@jobs.command()
def cancel(job_id: Id) -> None:
    """Stop a job, wherever it is."""

    async def stop(queue: JobQueue) -> Job:
        job = await _found(queue, job_id)
        if job.status not in {JobStatus.PENDING, JobStatus.RUNNING}:
            raise JobStateError(f"Job {job_id} is {job.status.value} already.")
        await queue.cancel(job_id)
        return job

    typer.echo(f"cancelled: {job_id} ({_run(stop).name})")


@jobs.command()
def retry(job_id: Id) -> None:
    """Put a job that failed or was cancelled into the queue once more, under the same id."""

    async def again(queue: JobQueue) -> Job:
        job = await _found(queue, job_id)
        await queue.retry(job_id)
        return job

    typer.echo(f"in the queue again: {job_id} ({_run(again).name})")


@jobs.command()
def schedules() -> None:
    """Show what is done at regular times, with the last job of each."""
    rows = [
        [
            schedule.name, schedule.cadence, _state(schedule), _second(schedule.next_at),
            _second(last.created_at) if last else "", _status(last) if last else "",
        ]
        for schedule in _run(lambda queue: TaskScheduler(queue).schedules())
        for last in [schedule.last_job]
    ]  # fmt: skip
    headings = ("name", "cadence (UTC)", "state", "next", "last job", "its status")
    print_table(headings, rows, spare=("last job", "cadence (UTC)"))


@jobs.command()
def pause(name: Name) -> None:
    """Let no process begin jobs of a schedule, also after a restart, until it is resumed."""
    _run(lambda queue: TaskScheduler(queue).pause(name))
    typer.echo(f"paused: {name}")


@jobs.command()
def resume(name: Name) -> None:
    """Go on with a schedule, from its next slot."""
    _run(lambda queue: TaskScheduler(queue).resume(name))
    typer.echo(f"resumed: {name}")


def _run(use: Callable[[JobQueue], Awaitable[Result]]) -> Result:
    settings = Settings.load()
    require_current(settings.database)

    async def with_queue() -> Result:
        queue = JobQueue(database_url=settings.database, does_jobs=False)
        try:
            await queue.start()
            return await use(queue)
        finally:
            await queue.stop()

    try:
        return asyncio.run(with_queue())
    except QueueUnavailableError as error:
        raise DatabaseUnavailableError(str(error)) from error
    except (JobStateError, UnknownScheduleError) as error:
        raise JobRefusedError(str(error)) from error


async def _found(queue: JobQueue, job_id: str) -> Job:
    job = await queue.get_job_async(job_id)
    if job is None:
        raise JobRefusedError(f"There is no job {job_id}, or it is no more remembered.")
    return job


def _status(job: Job) -> str:
    return f"delayed until {_second(job.delayed_until)}" if job.delayed_until else job.status.value


def _state(schedule: Schedule) -> str:
    if schedule.is_paused:
        return "paused"
    return "kept" if datetime.now(UTC) - schedule.kept_at < _NOT_KEPT_AFTER else "no process keeps it"


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _second(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
