"""How many connectors are free, of many stations in one call."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

import orjson
from fastapi import APIRouter, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.deps import FollowerDep
from app.api.errors import documented
from app.api.parameters import given_once
from app.replica.availability import POWER_CLASSES, Availability, ConnectorCount
from app.stations.query import MAX_IDS, BoxText, IdsText, Parameters, parse_box, parse_ids
from app.stations.vocabulary import ConnectorType, StationStatus

router = APIRouter(prefix="/api/v1/availability", tags=["status"])

MAX_STATIONS = 100_000
"""In a box; that many take some tens of milliseconds, for which other requests wait."""


class AvailabilityQuery(Parameters):
    """One of the two."""

    ids: IdsText | None = Field(
        None, description=f"These stations: up to {MAX_IDS:,} ids, with commas between them.", examples=["1,2,3"]
    )
    bbox: BoxText | None = Field(
        None,
        description=f"The stations inside `west,south,east,north`, in degrees: up to {MAX_STATIONS:,}.",
        examples=[None],
    )

    @model_validator(mode="after")
    def _one_is_given(self) -> Self:
        if (self.ids is None) == (self.bbox is None):
            raise PydanticCustomError("missing", "give either ids or bbox", {"parameter": "ids"})
        return self


class ByStatus(BaseModel):
    """How many are in each state."""

    total: int = Field(examples=[3])
    available: int = Field(examples=[1])
    occupied: int = Field(examples=[2])
    maintenance: int = Field(examples=[0])
    unknown: int = Field(examples=[0])


class ConnectorsByStatus(ByStatus):
    """Connectors that are alike, each in the state of its EVSE. Of the connectors of one EVSE one works at a time."""

    type: ConnectorType
    power_class: str = Field(
        description="Highest power in kW: " + ", ".join(f"`{each}`" for each in POWER_CLASSES) + ".",
        examples=["50 to 150"],
    )
    newest_age_s: int | None = Field(
        description="Seconds since the newest of their states was seen; null: none is fresh.",
        examples=[12],
    )
    oldest_age_s: int | None = Field(description="The same of the oldest.", examples=[340])


class StationAvailability(BaseModel):
    """One station."""

    station_id: int = Field(examples=[1])
    status: StationStatus
    connectors: list[ConnectorsByStatus]


class AvailabilityAnswer(BaseModel):
    """What is free."""

    as_of: datetime = Field(examples=["2026-05-01T12:03:10Z"])
    stations: ByStatus
    connectors: list[ConnectorsByStatus] = Field(description="Of all the stations together.")
    items: list[StationAvailability] | None = Field(description="Each of the stations; null with `bbox`.")
    missing: list[int] | None = Field(description="Ids of no station; null with `bbox`.", examples=[[]])


@router.get(
    "",
    summary="Count what is free",
    dependencies=[given_once()],
    response_model=None,
    responses={200: {"model": AvailabilityAnswer}, **documented(422, 503)},
)
async def get_availability(query: Annotated[AvailabilityQuery, Query()], follower: FollowerDep) -> Response:
    """Stations by status, and connectors by type, power class and status, with the age of what is known of them."""
    now = datetime.now(UTC)
    answer: dict[str, Any] = {"items": None, "missing": None}
    if query.ids is not None:
        ids = parse_ids(query.ids)
        together, apart = follower.replica.availability_of(ids)
        answer["items"] = [_item(station_id, found, now) for station_id, found in apart.items()]
        answer["missing"] = sorted(set(ids) - apart.keys())
    else:
        together = _in_box(follower, query.bbox or "")
    answer |= {"as_of": now, "stations": _counts(together.stations), "connectors": _connectors(together, now)}
    return Response(orjson.dumps(answer, option=orjson.OPT_UTC_Z), media_type="application/json")


def _in_box(follower: FollowerDep, bbox: str) -> Availability:
    found = follower.replica.availability_in(parse_box(bbox), MAX_STATIONS)
    if isinstance(found, int):
        message = f"{found:,} stations are inside: no more than {MAX_STATIONS:,} may be"
        raise RequestValidationError(
            [{"type": "value_error", "loc": ("query", "bbox"), "msg": message, "input": bbox}]
        )
    return found


def _item(station_id: int, found: Availability, now: datetime) -> dict[str, Any]:
    status = next(status for status, count in found.stations.items() if count)
    return {"station_id": station_id, "status": status, "connectors": _connectors(found, now)}


def _connectors(found: Availability, now: datetime) -> list[dict[str, Any]]:
    return [_connector_count(count, now.timestamp()) for count in found.connectors]


def _connector_count(count: ConnectorCount, now_s: float) -> dict[str, Any]:
    return {
        "type": count.type,
        "power_class": count.power_class,
        **_counts(count.by_status),
        "newest_age_s": _age(count.newest_seen_s, now_s),
        "oldest_age_s": _age(count.oldest_seen_s, now_s),
    }


def _counts(by_status: dict[StationStatus, int]) -> dict[str, int]:
    return {"total": sum(by_status.values()), **{status.value: count for status, count in by_status.items()}}


def _age(seen_s: int | None, now_s: float) -> int | None:
    return None if seen_s is None else max(0, int(now_s) - seen_s)
