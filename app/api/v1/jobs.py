"""Background jobs, as an operator wants to see them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, Field

from app.api.auth import JobsReadKey
from app.api.deps import JobsDep
from app.api.errors import documented
from app.api.parameters import given_once
from app.errors import DatabaseUnavailableError
from app.utils.background_tasks import Job, JobStatus, QueueUnavailableError

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
_RESPONSES = documented(400, 401, 403, 422, 503)


class JobView(BaseModel):
    """A job without its arguments and its result, which may be confidential. Times are RFC 3339."""

    id: str = Field(examples=["5e45249cb60d4b6cbd55f09a57f65d62"])
    name: str = Field(examples=["export_data"])
    status: JobStatus = Field(examples=["running"])
    progress: float = Field(description="0 to 1, as the job tells.", examples=[0.5])
    message: str = Field(description="What the job last said.", examples=["48,000 of 96,117 stations"])
    attempts: int = Field(description="How often it was started: retries and takeovers count.", examples=[1])
    priority: int = Field(description="-100 to 100; of jobs that wait, the highest is first.", examples=[0])
    created_at: datetime = Field(examples=["2026-05-01T12:00:00Z"])
    delayed_until: datetime | None = Field(description="Only while it waits for its time.", examples=[None])
    started_at: datetime | None = Field(
        description="By the process that has it now.", examples=["2026-05-01T12:00:01Z"]
    )
    finished_at: datetime | None = Field(examples=[None])
    error: str | None = Field(description="Why it failed.", examples=[None])

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls.model_validate(job, from_attributes=True)


class JobList(BaseModel):
    """The newest first."""

    items: list[JobView]


@router.get("", summary="Background jobs", dependencies=[given_once()], responses=_RESPONSES)
async def list_jobs(
    _: JobsReadKey,
    jobs: JobsDep,
    status: Annotated[JobStatus | None, Query(description="Only jobs that stand so.", examples=["failed"])] = None,
    name: Annotated[
        str | None, Query(description="Only jobs of this name.", examples=["export_data"], max_length=200)
    ] = None,
    limit: Annotated[int, Query(description="At most so many.", ge=1, le=1000)] = 50,
) -> JobList:
    """Jobs of all processes, the newest first. They are remembered for a week after their end."""
    with _answering():
        found = await jobs.list_jobs(status=status, name=name, limit=limit)
    return JobList(items=[JobView.of(job) for job in found])


@router.get("/{job_id}", summary="One background job", responses=_RESPONSES | documented(404))
async def show_job(
    _: JobsReadKey, jobs: JobsDep, job_id: Annotated[str, Path(description="As the list has it.", max_length=200)]
) -> JobView:
    """How far it is, or how it ended."""
    with _answering():
        job = await jobs.get_job_async(job_id)
    if job is None:
        raise HTTPException(404, f"There is no job {job_id[:100]}, or it is no more remembered.")
    return JobView.of(job)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except QueueUnavailableError as error:
        raise DatabaseUnavailableError(str(error)) from error
