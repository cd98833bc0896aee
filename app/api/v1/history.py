"""What is remembered of a station's states."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy.exc import SQLAlchemyError

from app.api.deps import DatabaseDep
from app.api.errors import documented
from app.api.parameters import given_once
from app.errors import DatabaseUnavailableError
from app.stations import history, repository
from app.stations.history import Period, StatusAt
from app.stations.model import StoredStation
from app.stations.occupancy import Use, UseOverTime
from app.stations.query import Parameters
from app.stations.vocabulary import EvseStatus

router = APIRouter(prefix="/api/v1/stations/{station_id}/history", tags=["stations"])

MAX_DAYS = 90
MAX_LISTED = 1_000
_DAY = timedelta(days=1)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _is_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone of the IANA database, such as Europe/Berlin") from None
    return name


class HistoryQuery(Parameters):
    """Over which time, and how."""

    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = Field(28, description="How many days back it reaches.")
    timezone: Annotated[str, StringConstraints(max_length=100), AfterValidator(_is_zone)] = Field(
        "UTC", description="Whose clocks `hours_of_week` go by.", examples=["Europe/Berlin"]
    )
    changes: bool = Field(False, description=f"Also list the newest {MAX_LISTED:,} changes.")


class UseShape(BaseModel):
    """Hours are those of all EVSEs together."""

    occupancy: float | None = Field(
        description="occupied ÷ (available + occupied + out of service); null: nothing is known.", examples=[0.25]
    )
    available_hours: float = Field(examples=[3.0])
    occupied_hours: float = Field(examples=[1.0])
    out_of_service_hours: float = Field(examples=[0.0])


class HourShape(UseShape):
    """An hour; the last one is not over yet."""

    start: datetime = Field(examples=["2026-05-01T12:00:00Z"])


class HourOfWeekShape(UseShape):
    """An hour of the week."""

    weekday: str = Field(description="In English, in small letters.", examples=["monday"])
    hour: int = Field(description="0 to 23, on the clocks of `timezone`.", examples=[17])


class EvseUseShape(UseShape):
    """One EVSE."""

    uid: str = Field(examples=["1"])
    uptime: float | None = Field(examples=[0.998])


class ChangeShape(BaseModel):
    """An EVSE got into another state."""

    evse_uid: str = Field(examples=["1"])
    at: datetime = Field(examples=["2026-05-01T12:03:10Z"])
    status: EvseStatus


class StationHistory(UseShape):
    """How much a station is used, and how dependable it is."""

    station_id: int = Field(examples=[4711])
    start: datetime = Field(examples=["2026-04-03T12:00:00Z"])
    end: datetime = Field(examples=["2026-05-01T12:03:10Z"])
    uptime: float | None = Field(
        description="(available + occupied) ÷ (available + occupied + out of service), as 23 CFR 680.116(b) counts; "
        "times of which nothing is known, and EVSEs that are planned or removed, do not. Null: nothing is known.",
        examples=[0.998],
    )
    last_24_hours: list[HourShape] = Field(description="The last 24 full hours of UTC, and the one that goes on.")
    timezone: str = Field(examples=["Europe/Berlin"])
    hours_of_week: list[HourOfWeekShape] = Field(description="All 168, from Monday 0:00 on.")
    evses: list[EvseUseShape]
    changes: list[ChangeShape] | None = Field(description="The newest first; null unless asked for.")


@router.get(
    "",
    summary="How a station was used",
    dependencies=[given_once()],
    response_model=None,
    responses={200: {"model": StationHistory}, **documented(404, 422, 503)},
)
async def get_history(
    station_id: Annotated[int, Path(ge=1, le=2**63 - 1, description="VoltWay's own id.", examples=[1])],
    query: Annotated[HistoryQuery, Query()],
    database: DatabaseDep,
) -> Response:
    """Occupancy by the hour of the last day and by the hour of the week, and uptime, from what was seen of the EVSEs.

    A state holds until the next one, or until it is too old. What is not known counts for nothing: neither as free
    nor as out of service.
    """
    end = datetime.now(UTC)
    hour = end.replace(minute=0, second=0, microsecond=0)
    start = hour - query.days * _DAY
    try:
        async with database.open_session(read_only=True) as session:
            found = await repository.get_many(session, [station_id], end)
            if not found:
                raise HTTPException(404, f"There is no station {station_id}.")
            changes = await history.changes_between(session, station_id, start, end)
            periods = await history.periods(session, station_id, changes, start, end)
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseUnavailableError(f"The database cannot be read: {type(error).__name__}.") from error
    told = await asyncio.to_thread(_told, found[0], periods, start, end, query)
    told["changes"] = _listed(changes) if query.changes else None
    return Response(orjson.dumps(told, option=orjson.OPT_UTC_Z), media_type="application/json")


def _told(
    station: StoredStation, periods: dict[str, list[Period]], start: datetime, end: datetime, query: HistoryQuery
) -> dict[str, Any]:
    together = UseOverTime(start, end)
    evses = []
    for evse in station.evses:
        alone = UseOverTime(start, end)
        for over_time in (alone, together):
            over_time.add(periods.get(evse.uid, ()))
        evses.append({"uid": evse.uid, "uptime": _rounded(alone.whole.uptime), **_use(alone.whole)})
    week = together.hours_of_week(ZoneInfo(query.timezone))
    return {
        "station_id": station.id,
        "start": start,
        "end": end,
        "uptime": _rounded(together.whole.uptime),
        **_use(together.whole),
        "last_24_hours": [{"start": at, **_use(use)} for at, use in together.hours(_last_day(end))],
        "timezone": query.timezone,
        "hours_of_week": [{"weekday": _WEEKDAYS[n // 24], "hour": n % 24, **_use(use)} for n, use in enumerate(week)],
        "evses": evses,
    }


def _last_day(end: datetime) -> datetime:
    return end.replace(minute=0, second=0, microsecond=0) - _DAY


def _use(use: Use) -> dict[str, Any]:
    return {
        "occupancy": _rounded(use.occupancy),
        "available_hours": _rounded(use.available_h),
        "occupied_hours": _rounded(use.occupied_h),
        "out_of_service_hours": _rounded(use.out_of_service_h),
    }


def _rounded(value: float | None) -> float | None:
    """Hours to about a third of a second."""
    return None if value is None else round(value, 4)


def _listed(changes: list[StatusAt]) -> list[dict[str, Any]]:
    return [{"evse_uid": each.evse_uid, "at": each.at, "status": each.status} for each in changes[:MAX_LISTED]]
