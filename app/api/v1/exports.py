"""The catalogue as a file: asked for, made by a background job, fetched."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path, PurePath
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.api.deps import JobsDep
from app.api.errors import documented
from app.api.parameters import given_once
from app.api.v1 import _downloads
from app.errors import DatabaseUnavailableError
from app.exports import (
    MEDIA_TYPES,
    ExportFormat,
    ExportRequest,
    ExportSpaceError,
    check_free_space,
    expires_at,
    export_folder,
    export_large_dataset,
)
from app.utils.background_tasks import Job, JobQueue, JobStatus, QueueUnavailableError

router = APIRouter(prefix="/api/v1/export", tags=["exports"])

MOST_ACTIVE = 3
"""Exports pending or running at a time: anybody may ask for one, and each takes disk and a worker's place."""
RETRY_AFTER_S = 30
RETRY_AFTER_FULL_S = 600
TIME_LIMIT_S = 3_600.0
_NAME = "export_data"
_JOB_ID = "5e45249c-b60d-4b6c-bd55-f09a57f65d62"


_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_ID_PARAMETER = {
    "parameters": [
        {
            "name": "job_id",
            "in": "path",
            "required": True,
            "description": "As the answer to `POST /api/v1/export/data` has it.",
            "schema": {"type": "string"},
        }
    ]
}
"""Documented by hand: FastAPI would also document a 422, and no id is invalid, only unknown."""


def _job_id(request: Request) -> str:
    return str(request.path_params["job_id"])


JobId = Annotated[str, Depends(_job_id)]


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
    expires_at: datetime | None = Field(
        description="When the file will be removed, unless others need its room earlier; null: there is none.",
        examples=["2026-05-02T12:00:00Z"],
    )
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
    responses=documented(400, 422, 503)
    | {status: {**documented(status)[status], "headers": _RETRY_AFTER} for status in (429, 507)},
)
async def export_data(
    query: Annotated[ExportRequest, Query()], request: Request, response: Response, jobs: JobsDep
) -> Queued:
    """Begin to write all stations that pass the filters to a file. While an export is in work, asking for the same
    once more gives the same job."""
    await _refuse_if_disk_is_full()
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


async def _refuse_if_disk_is_full() -> None:
    try:
        await asyncio.to_thread(check_free_space)
    except ExportSpaceError as error:
        raise HTTPException(507, str(error), {"Retry-After": str(RETRY_AFTER_FULL_S)}) from None


@router.get(
    "/status/{job_id}",
    summary="How far an export is",
    responses=documented(404, 503),
    openapi_extra=_ID_PARAMETER,
)
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
        error=_told(job.error) if job.error else None,
        expires_at=await asyncio.to_thread(expires_at, _path(ready["file"])) if ready else None,
        download=str(path("download_export", job_id=job.id)) if ready else None,
        licences=str(path("download_licences", job_id=job.id)) if ready else None,
    )


def _told(error: str) -> str:
    """What the client can act on; of anything else, no more than where to look."""
    kind, _, message = error.partition(": ")
    if kind == ExportSpaceError.__name__:
        return message
    return "The export could not be made; the log has the details under this id."


_NO_FILE = documented(404, 409, 410, 503)
_TEXT: dict[int | str, dict[str, Any]] = {200: {"description": "The text.", "content": {"text/plain": {}}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {media_type: {} for media_type in MEDIA_TYPES.values()},
        "headers": _downloads.HEADERS,
    },
    206: {"description": "The part of the file that `Range` asks for."},
    304: {"description": "The client has the file: `If-None-Match` names it."},
    **documented(416),
}


@router.get(
    "/download/{job_id}",
    summary="An export's file",
    response_class=StreamingResponse,
    responses=_FILE | _NO_FILE,
    openapi_extra=_ID_PARAMETER,
)
async def download_export(job_id: JobId, request: Request, jobs: JobsDep) -> Response:
    """Can be resumed: answers one `Range`, with `ETag` and `If-Range`. `Accept-Encoding: zstd` or `gzip` has it
    compressed on the way, without ranges; GeoParquet is compressed already."""
    result = await _ready(jobs, job_id)
    compressible = result.format is not ExportFormat.GEOPARQUET
    return await _answer(request, result.file, MEDIA_TYPES[result.format], result.sha256, compressible)


@router.get(
    "/download/{job_id}/licences",
    summary="An export's sources and licences",
    response_class=StreamingResponse,
    responses=_NO_FILE | _TEXT | documented(416),
    openapi_extra=_ID_PARAMETER,
)
async def download_licences(job_id: JobId, request: Request, jobs: JobsDep) -> Response:
    """What must be passed on with the file."""
    result = await _ready(jobs, job_id)
    with _gone():
        content = await asyncio.to_thread(_path(result.licence_file).read_bytes)
    digest = sha256(content).hexdigest()
    return await _answer(request, result.licence_file, "text/plain; charset=utf-8", digest, True)


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


async def _answer(request: Request, name: str, media_type: str, sha256: str, compressible: bool) -> Response:
    path = _path(name)
    with _gone():
        if await asyncio.to_thread(expires_at, path) is None:
            raise FileNotFoundError(path)
        download = _downloads.Download(path, media_type, f"voltway-stations{path.suffix}", sha256, compressible)
        return _downloads.answer(request, download)


def _path(name: str) -> Path:
    return export_folder() / PurePath(name).name


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise HTTPException(
            410, "The file is no more: its time is over, or others needed its room. Export again."
        ) from None


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except QueueUnavailableError as error:
        raise DatabaseUnavailableError(f"Exports are not possible at the moment: {error}") from error
