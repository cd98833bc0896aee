"""Is the process alive, and can it do its work?"""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app import __version__
from app.api.deps import DatabaseDep, FollowerDep
from app.errors import NotReadyError

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Health(BaseModel):
    """What an operator looks at first."""

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="`degraded`: searches are answered, but from what was in memory when the database went away; "
        "`unavailable`: no answers yet."
    )
    version: str = Field(examples=[__version__])
    database: Literal["ok", "unavailable"]
    stations: int | None = Field(description="In the replica; null: not loaded.", examples=[2000])
    replica_age_s: float | None = Field(
        description="Seconds since the replica was known to equal the database.", examples=[0.21]
    )


@router.get("/health", summary="Liveness", response_model=Alive)
async def alive() -> Alive:
    """Answers from memory only: whatever else is broken, this process runs."""
    return Alive()


@router.get("/api/v1/health", summary="Readiness", responses={503: {"model": Health}})
async def health(response: Response, database: DatabaseDep, follower: FollowerDep) -> Health:
    """200 while searches can be answered, also when the database is away; else 503."""
    reachable = await database.is_reachable()
    try:
        stations = len(follower.replica)
    except NotReadyError:
        stations = None
        response.status_code = 503
    status: Literal["ok", "degraded", "unavailable"] = "ok"
    if follower.is_failing or not reachable:
        status = "degraded"
    return Health(
        status="unavailable" if stations is None else status,
        version=__version__,
        database="ok" if reachable else "unavailable",
        stations=stations,
        replica_age_s=follower.age_s,
    )
