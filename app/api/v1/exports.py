"""The catalogue as a file: asked for, made by a background job, fetched."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import PurePath
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from app.api.deps import JobsDep
from app.api.errors import documented
from app.api.parameters import given_once
from app.errors import DatabaseUnavailableError
from app.exports import KEPT_FOR, MEDIA_TYPES, ExportFormat, ExportRequest, export_folder, export_large_dataset
from app.utils.background_tasks import Job, JobQueue, JobStatus, QueueUnavailableError

router = APIRouter(prefix="/api/v1/export", tags=["exports"])

MOST_ACTIVE = 3
"""Exports pending or running at a time: anybody may ask for one, and each takes disk and a worker's place."""
RETRY_AFTER_S = 30
TIME_LIMIT_S = 3_600.0
_NAME = "export_data"
_JOB_ID = "5e45249c-b60d-4b6c-bd55-f09a57f65d62"


_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_NO_FILE = documented(404, 409, 410, 422, 503)
JobId = Annotated[str, Path(description="As the answer to `POST /api/v1/export/data` has it.")]


class Queued(BaseModel):
    """The export is stored as a job, and will be made."""

    job_id: str = Field(examples=[_JOB_ID])
    status: str = Field("queued", examples=["queued"])


class ExportLicence(BaseModel):
    """Under which terms the stations of one source may be used; null: not known."""

    source: str = Field(examples=["bnetza"])
    licence: str | None = Field(examples=["CC BY 4.0"])
    licence_url: str | None = Field(examples=["https://creativecommons.org/licenses/by/4.0/"])
    attribution: str | None = Field(examples=["Bundesnetzagentur"])
    stations: int = Field(examples=[96117])


class ExportResult(BaseModel):
    """A file that is ready."""

    file: str = Field(examples=[f"{_JOB_ID}.csv"])
    licence_file: str = Field(examples=[f"{_JOB_ID}-licences.txt"])
    format: ExportFormat = Field(examples=["csv"])
    rows: int = Field(description="Stations in the file.", examples=[96117])
    bytes: int = Field(examples=[48211907])
    sha256: str = Field(description="Of the file, hexadecimal.", examples=["9f86d081884c7d65" * 4])
    read_at: str = Field(description="When the data was read, RFC 3339.", examples=["2026-05-01T12:00:00+00:00"])
    data_version: str = Field(
        description="Equal for two exports: no station has changed between them.", examples=["0-118274"]
    )
    licences: list[ExportLicence]


class ExportStatus(BaseModel):
    """How far an export is."""

    id: str = Field(examples=[_JOB_ID])
    status: JobStatus = Field(examples=["completed"])
    progress: float = Field(description="0 to 1.", examples=[1.0])
    message: str = Field(examples=["96,117 of 96,117 stations"])
    result: ExportResult | None = Field(description="Null until `status` is `completed`.")
    error: str | None = Field(description="Only if `status` is `failed`.", examples=[None])
    download: str | None = Field(
        description="Path of the file, once it is ready.", examples=[f"/api/v1/export/download/{_JOB_ID}"]
    )
    licences: str | None = Field(
        description="Path of the text that names sources and licences; pass it on too.",
        examples=[f"/api/v1/export/download/{_JOB_ID}/licences"],
    )


@router.post(
    "/data",
    summary="Export stations",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[given_once()],
    responses=documented(422, 503) | {429: {**documented(429)[429], "headers": _RETRY_AFTER}},
)
async def export_data(
    query: Annotated[ExportRequest, Query()], request: Request, response: Response, jobs: JobsDep
) -> Queued:
    """Begin to write all stations that pass the filters to a file. While an export is in work, asking for the same
    once more gives the same job."""
    key = f"export:{orjson.dumps(query.arguments, option=orjson.OPT_SORT_KEYS).decode()}"
    with _answering():
        job_id = await jobs.submit(
            export_large_dataset,
            name=_NAME,
            arguments=query.arguments,
            unique_key=key,
            retries=2,
            timeout_s=TIME_LIMIT_S,
        )
        await _refuse_if_too_many(jobs, job_id)
    response.headers["Location"] = str(request.app.url_path_for("export_status", job_id=job_id))
    return Queued(job_id=job_id, status="queued")


async def _refuse_if_too_many(jobs: JobQueue, job_id: str) -> None:
    """Looked at after it was stored: of many requests at the same time, in whatever process, the first ones stay."""
    active = [job.id for job in await jobs.active_jobs() if job.name == _NAME]
    if job_id in active[MOST_ACTIVE:]:
        await jobs.cancel(job_id)
        raise HTTPException(
            429, f"{MOST_ACTIVE} exports are in work; try again later.", {"Retry-After": str(RETRY_AFTER_S)}
        )


@router.get("/status/{job_id}", summary="How far an export is", responses=documented(404, 422, 503))
async def export_status(job_id: JobId, request: Request, jobs: JobsDep) -> ExportStatus:
    """Ask again every second or so until `status` is `completed`, `failed` or `cancelled`."""
    job = await _export(jobs, job_id)
    ready: Any = job.result
    path = request.app.url_path_for
    return ExportStatus(
        id=job.id,
        status=job.status,
        progress=job.progress,
        message=job.message,
        result=ready,
        error="The export could not be made; the log has the details under this id." if job.error else None,
        download=str(path("download_export", job_id=job.id)) if ready else None,
        licences=str(path("download_licences", job_id=job.id)) if ready else None,
    )


_TEXT: dict[int | str, dict[str, Any]] = {200: {"description": "The text.", "content": {"text/plain": {}}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {media_type: {} for media_type in MEDIA_TYPES.values()}},
    206: {"description": "The part of the file that `Range` asks for."},
    416: {"description": "`Range` lies outside of the file."},
}


@router.get(
    "/download/{job_id}",
    summary="An export's file",
    response_class=FileResponse,
    responses=_FILE | _NO_FILE,
)
async def download_export(job_id: JobId, jobs: JobsDep) -> FileResponse:
    """Can be resumed: answers `Range`, with `ETag`. The file is kept for a day."""
    result = await _ready(jobs, job_id)
    return _file(result.file, MEDIA_TYPES[result.format])


@router.get(
    "/download/{job_id}/licences",
    summary="An export's sources and licences",
    response_class=FileResponse,
    responses=_NO_FILE | _TEXT,
)
async def download_licences(job_id: JobId, jobs: JobsDep) -> FileResponse:
    """What must be passed on with the file."""
    result = await _ready(jobs, job_id)
    return _file(result.licence_file, "text/plain; charset=utf-8")


async def _export(jobs: JobQueue, job_id: str) -> Job:
    with _answering():
        job = await jobs.get_job_async(job_id)
    if job is None or job.name != _NAME:
        raise HTTPException(404, f"There is no export {job_id[:100]}, or it is no more remembered.")
    return job


async def _ready(jobs: JobQueue, job_id: str) -> ExportResult:
    job = await _export(jobs, job_id)
    if job.status is not JobStatus.COMPLETED:
        raise HTTPException(409, f"There is no file: the export is {job.status.value}.")
    return ExportResult.model_validate(job.result)


def _file(name: str, media_type: str) -> FileResponse:
    path = export_folder() / PurePath(name).name
    if not path.is_file():
        raise HTTPException(410, f"The file is no more: it is kept for {KEPT_FOR.days} day. Export again.")
    return FileResponse(path, media_type=media_type, filename=f"voltway-stations{path.suffix}")


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except QueueUnavailableError as error:
        raise DatabaseUnavailableError(f"Exports are not possible at the moment: {error}") from error
