"""Writing many stations with one request."""

import logging
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, TypeAdapter

from app.api.auth import StationsWriteKey
from app.api.bodies import MAX_BYTES
from app.api.deps import FollowerDep, StationWriterDep
from app.api.errors import FieldProblem, documented, field_problem
from app.api.parameters import given_once
from app.api.v1._bodies import MAX_ITEMS, as_error, body_of, receive_items
from app.ingest.bulk import MAX_FAULTS
from app.stations import StationCreate

router = APIRouter(prefix="/api/v1/stations", tags=["stations"])
logger = logging.getLogger(__name__)


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
_BODY = body_of(
    TypeAdapter(list[StationCreate]),
    _EXAMPLE,
    f"At most {MAX_ITEMS:,} stations and {MAX_BYTES // 10**6} MB; as NDJSON, one station a line.",
)


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
    async with writer.turn():
        read = await receive_items(request, "stations")
        outcome = await writer.write(read, keep_good=on_error is OnError.COLLECT)
    faults = [as_error(fault) for fault in outcome.faults]
    if outcome.rejected and on_error is OnError.REJECT:
        raise RequestValidationError(faults)
    counts = {"created": outcome.created, "updated": outcome.updated, "unchanged": outcome.unchanged}
    stored = {"stations_" + name: count for name, count in counts.items()}  # a log record's `created` is a time
    logger.info("stations_written", extra={"key_id": key.id, **stored, "stations_rejected": outcome.rejected})
    if outcome.created or outcome.updated:
        await follower.show_written()
    if on_error is OnError.REJECT:
        return BulkResult(**counts)
    return BulkResult(**counts, rejected=outcome.rejected, errors=[field_problem(fault) for fault in faults])
