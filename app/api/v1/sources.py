"""Where the stations come from, and how fresh each source is."""

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError

from app.api.deps import DatabaseDep, FeedsDep, FollowerDep
from app.api.errors import documented
from app.errors import DatabaseUnavailableError
from app.ingest.freshness import Freshness, SourceView, source_views

router = APIRouter(prefix="/api/v1/sources", tags=["sources"])

_FAILED = "The newest attempt to read this source has failed; its stations are those of `last_success_at`."


class SourceShape(BaseModel):
    """A source of stations."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="As in a station's `source`.", examples=["bnetza"])
    title: str = Field(examples=["Ladesäulenregister der Bundesnetzagentur"])
    homepage: str = Field(examples=["https://www.bundesnetzagentur.de"])
    licence: str = Field(description="SPDX identifier where there is one.", examples=["CC-BY-4.0"])
    licence_url: str = Field(examples=["https://creativecommons.org/licenses/by/4.0/"])
    attribution: str = Field(description="To be shown with the data.", examples=["Bundesnetzagentur.de"])
    stations: int = Field(description="How many of its stations can be found now.", examples=[96514])
    status: Freshness = Field(
        description="`ok`; `stale`: more than twice as old as `cadence_s`; `failing`: the newest attempt has failed; "
        "`never`: not read yet; `disabled`: not read by itself, what is there was put there by hand."
    )
    problem: str | None = Field(description="What `failing` means for the data; else null.", examples=[None])
    last_success_at: datetime | None = Field(
        description="When its stations were last known to be up to date: imported, or found unchanged at the source.",
        examples=["2026-05-01T12:00:00Z"],
    )
    age_s: float | None = Field(description="Seconds since then; null: never.", examples=[3600.0])
    cadence_s: int = Field(description="How often it is to be read.", examples=[86400])
    next_due_at: datetime | None = Field(
        description="When it is to be read next; null: at once or, where it is disabled, never.",
        examples=["2026-05-02T12:00:00Z"],
    )


@router.get("", summary="All sources of stations", responses=documented(503))
async def list_sources(database: DatabaseDep, feeds: FeedsDep, follower: FollowerDep) -> list[SourceShape]:
    """Each with its licence, how many stations it has here, and how fresh they are; by name."""
    now = datetime.now(UTC)
    counts = follower.replica.count_by_source()
    try:
        views = await source_views(database, feeds, now)
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseUnavailableError(f"The sources cannot be read: {type(error).__name__}.") from error
    return [_shape(view, counts.get(view.source.name, 0)) for view in views]


def _shape(view: SourceView, stations: int) -> SourceShape:
    known, success = view.source, view.source.state.last_success
    return SourceShape(
        name=known.name,
        title=known.title,
        homepage=known.homepage,
        licence=known.licence,
        licence_url=known.licence_url,
        attribution=known.attribution,
        stations=stations,
        status=view.status,
        problem=_FAILED if view.status is Freshness.FAILING else None,
        last_success_at=success.finished_at if success else None,
        age_s=round(view.age.total_seconds(), 3) if view.age is not None else None,
        cadence_s=known.cadence_s,
        next_due_at=view.next_due,
    )
