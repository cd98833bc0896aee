"""Writing many stations with one request."""

import asyncio
import logging
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, TypeAdapter

from app.api.auth import StationsWriteKey
from app.api.deps import FollowerDep, StationWriterDep
from app.api.errors import FieldProblem, MalformedJsonError, documented, field_problem
from app.api.parameters import given_once
from app.errors import VoltWayError
from app.ingest.bulk import MAX_FAULTS, Fault, Unreadable
from app.replica import Follower
from app.stations import StationCreate

router = APIRouter(prefix="/api/v1/stations", tags=["stations"])
logger = logging.getLogger(__name__)

MAX_STATIONS = 10_000
MAX_BYTES = 20_000_000
UPLOAD_WITHIN_S = 60
_JSON, _LINES = "application/json", "application/x-ndjson"


class OnError(StrEnum):
    """What to do when some stations are not valid."""

    REJECT = "reject"
    """Store nothing and answer 422."""
    COLLECT = "collect"
    """Store the others."""


class BulkResult(BaseModel):
    """What became of the stations; together they are as many as were sent."""

    created: int = Field(examples=[2])
    updated: int = Field(description="Known by source and external_id, with other content.", examples=[1])
    unchanged: int = Field(description="Known, with the same content: nothing was written.", examples=[0])
    rejected: int | None = Field(None, description="Not valid; only with `on_error=collect`.", examples=[1])
    errors: list[FieldProblem] | None = Field(
        None,
        description=f"Why, for the first {MAX_FAULTS} faults; only with `on_error=collect`.",
        examples=[[{"location": "body", "index": 3, "name": "title", "message": "Field required"}]],
    )


_EXAMPLE = [
    {
        "source": "example",
        "external_id": "harbour-1",
        "title": "Charging park at the old harbour",
        "operator": "Example Power",
        "city": "Hamburg",
        "country": "DE",
        "latitude": 53.5453,
        "longitude": 9.9661,
        "access": "public",
        "evses": [
            {"uid": "1", "connectors": [{"type": "ccs2", "power_kw": 150}]},
            {"uid": "2", "connectors": [{"type": "type2", "power_kw": 22}]},
        ],
    },
    {
        "source": "example",
        "external_id": "station-2",
        "title": "Market square",
        "latitude": 53.57,
        "longitude": 10.02,
    },
]
_REFERENCE = "#/components/schemas/{model}"
_BODY: dict[str, Any] = {
    "required": True,
    "description": f"At most {MAX_STATIONS:,} stations and {MAX_BYTES // 10**6} MB; as NDJSON, one station a line.",
    "content": {
        _JSON: {
            "schema": TypeAdapter(list[StationCreate]).json_schema(ref_template=_REFERENCE),
            "example": _EXAMPLE,
        },
        _LINES: {
            "schema": {"type": "string"},
            "example": b"".join(orjson.dumps(each) + b"\n" for each in _EXAMPLE).decode(),
        },
    },
}


@router.post(
    "/bulk",
    summary="Create and update stations",
    dependencies=[given_once("on_error")],
    response_model=BulkResult,
    response_model_exclude_none=True,
    responses=documented(400, 401, 403, 413, 415, 422, 503),
    openapi_extra={"requestBody": _BODY},
)
async def write_stations(
    request: Request,
    key: StationsWriteKey,
    writer: StationWriterDep,
    follower: FollowerDep,
    on_error: Annotated[
        OnError,
        Query(description="When a station is not valid: `reject`: store none; `collect`: store the others."),
    ] = OnError.REJECT,
) -> BulkResult:
    """Needs a key with the scope `stations:write`.

    A station whose `source` and `external_id` are known is updated; one without `external_id` is always a new one.
    Sources that are imported from a registry cannot be written. When the answer comes, the stations are stored, and
    the process that answered finds them.
    """
    form = _lines if _media_type(request) == _LINES else _array
    async with writer.turn():
        read = partial(form, await _read_in_time(request))
        outcome = await writer.write(read, keep_good=on_error is OnError.COLLECT)
    faults = [_as_error(fault) for fault in outcome.faults]
    if outcome.rejected and on_error is OnError.REJECT:
        raise RequestValidationError(faults)
    counts = {"created": outcome.created, "updated": outcome.updated, "unchanged": outcome.unchanged}
    stored = {"stations_" + name: count for name, count in counts.items()}  # a log record's `created` is a time
    logger.info("stations_written", extra={"key_id": key.id, **stored, "stations_rejected": outcome.rejected})
    if outcome.created or outcome.updated:
        await _show(follower)
    if on_error is OnError.REJECT:
        return BulkResult(**counts)
    return BulkResult(**counts, rejected=outcome.rejected, errors=[field_problem(fault) for fault in faults])


async def _read_in_time(request: Request) -> bytes:
    try:
        async with asyncio.timeout(UPLOAD_WITHIN_S):
            return await _read(request)
    except TimeoutError:
        raise HTTPException(408, f"The body did not arrive within {UPLOAD_WITHIN_S} s.") from None


def _media_type(request: Request) -> str:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in {_JSON, _LINES} or request.headers.get("Content-Encoding", "identity") != "identity":
        raise HTTPException(415, f"Send {_JSON} or {_LINES}, not compressed.")
    return media_type


async def _read(request: Request) -> bytes:
    """The body, as far as it is allowed to go."""
    declared = request.headers.get("Content-Length", "0")
    body = bytearray()
    if int(declared) <= MAX_BYTES:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                break
        else:
            return bytes(body)
    raise HTTPException(413, f"The body is larger than {MAX_BYTES // 10**6} MB: send it in parts.")


def _array(body: bytes) -> list[object]:
    try:
        items = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJsonError(str(error)) from error
    if not isinstance(items, list):
        whole = {"loc": ("body",), "msg": "This must be a JSON array of stations", "input": None}
        raise RequestValidationError([whole])
    if len(items) > MAX_STATIONS:
        raise _too_many()
    return items


def _lines(body: bytes) -> Iterator[object]:
    """Blank lines do not count."""
    for number, line in enumerate(line for line in body.split(b"\n") if line.strip()):
        if number == MAX_STATIONS:
            raise _too_many()
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield Unreadable(f"This line is not JSON: {error}")


def _too_many() -> HTTPException:
    return HTTPException(413, f"These are more than {MAX_STATIONS:,} stations: send them in parts.")


def _as_error(fault: Fault) -> dict[str, Any]:
    return {"loc": ("body", fault.index, fault.field), "msg": fault.message, "input": fault.value}


async def _show(follower: Follower) -> None:
    """Let the next search find what was written. It is stored, so a failure here is none of the request's."""
    try:
        await follower.catch_up()
    except VoltWayError as error:
        logger.warning("write_not_shown_yet", extra={"error": str(error)})
