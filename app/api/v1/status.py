"""Telling the states of EVSEs."""

import logging

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, TypeAdapter

from app.api.auth import StatusWriteKey
from app.api.bodies import MAX_BYTES
from app.api.deps import FollowerDep, StatusWriterDep
from app.api.errors import FieldProblem, documented, field_problem
from app.api.v1._bodies import MAX_ITEMS, as_error, body_of, receive_items
from app.ingest.bulk import MAX_FAULTS
from app.ingest.status import StatusItem

router = APIRouter(prefix="/api/v1/status", tags=["status"])
logger = logging.getLogger(__name__)


class StatusResult(BaseModel):
    """What became of the items; the counts together are as many as were sent."""

    applied: int = Field(0, description="The newest that is known of their EVSE.", examples=[2])
    unchanged: int = Field(0, description="Known already, to the moment.", examples=[0])
    superseded: int = Field(0, description="Older than what is known.", examples=[0])
    conflicting: int = Field(
        0,
        description="Of the same moment as what is known, but another state: the one that promises less counts.",
        examples=[0],
    )
    unknown: int = Field(0, description="There is no such EVSE.", examples=[1])
    rejected: int = Field(0, description="Not valid: see `errors`.", examples=[0])
    ahead: int = Field(description="Observed later than now; taken as observed now.", examples=[0])
    results: list[str] = Field(
        description="For each item, in order, one of the words above.", examples=[["applied", "applied", "unknown"]]
    )
    errors: list[FieldProblem] = Field(
        description=f"What is wrong with the rejected items; the first {MAX_FAULTS} faults.", examples=[[]]
    )


_EXAMPLE = [
    {"evse_id": "FR*S37*E219783", "status": "AVAILABLE", "observed_at": "2026-08-18T05:49:15+02:00"},
    {"station_id": 1, "evse_uid": "1", "status": "CHARGING", "observed_at": "2026-08-18T03:50:02Z"},
]
_BODY = body_of(
    TypeAdapter(list[StatusItem]),
    _EXAMPLE,
    f"At most {MAX_ITEMS:,} states and {MAX_BYTES // 10**6} MB; as NDJSON, one a line.",
)


@router.post(
    "",
    summary="Tell the states of EVSEs",
    response_model=StatusResult,
    responses=documented(400, 401, 403, 413, 415, 422, 503),
    openapi_extra={"requestBody": _BODY},
)
async def write_status(
    request: Request, key: StatusWriteKey, writer: StatusWriterDep, follower: FollowerDep
) -> StatusResult:
    """Needs a key with the scope `status:write`.

    The newest state of an EVSE counts, in whatever order they come, so a request may be repeated. Items that are not
    valid, or of no known EVSE, do not hold up the others. When the answer comes, the states are stored, and searches
    of the process that answered show them; other processes follow within moments.
    """
    async with writer.turn():
        outcome = await writer.write(await receive_items(request, "states"))
    counts = outcome.counts
    logger.info(
        "status_written",
        extra={"key_id": key.id, "statuses": dict(counts), "statuses_ahead": outcome.ahead},
    )
    if counts["applied"] or counts["conflicting"]:
        await follower.show_written()
    return StatusResult(
        **counts,
        ahead=outcome.ahead,
        results=outcome.results,
        errors=[field_problem(as_error(fault)) for fault in outcome.faults],
    )
