"""Sources and the reports of their imports."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.dialect import upsert
from app.stations.tables import ImportRun, Source

_FACTS = ("title", "homepage", "licence", "licence_url", "attribution", "cadence_s", "status_ttl_s")


async def register_source(session: AsyncSession, facts: dict[str, Any]) -> None:
    """Write what is known of a source: the columns of `sources`, `name` first of all."""
    await session.execute(upsert(session, Source.__table__, key=("name",), replace=_FACTS), [facts])


async def start_run(session: AsyncSession, source: str, shown_input: str, full: bool, now: datetime) -> int:
    """Note that an import has begun; return the run's id."""
    done = await session.execute(
        insert(ImportRun).values(source=source, input=shown_input, full=full, started_at=now).returning(ImportRun.id)
    )
    return int(done.scalar_one())


async def finish_run(
    session: AsyncSession, run_id: int, report: dict[str, Any], error: str | None, now: datetime
) -> None:
    """Store the report of a run that has ended, well or not."""
    await session.execute(
        update(ImportRun).where(ImportRun.id == run_id).values(finished_at=now, report=report, error=error)
    )


@dataclass(frozen=True, slots=True)
class SourceState:
    """How fresh a source is."""

    name: str
    cadence_s: int
    last_success: "ImportSummary | None"
    """The newest import that ended well; `None`: none has."""
    failing: bool
    """Whether the newest import that has ended failed."""


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """An import that ended well."""

    started_at: datetime
    finished_at: datetime
    report: dict[str, Any]


async def source_states(session: AsyncSession) -> list[SourceState]:
    """Every source that has been imported, by name."""
    sources = (await session.execute(select(Source.name, Source.cadence_s).order_by(Source.name))).all()
    return [await _state(session, name, cadence_s) for name, cadence_s in sources]


async def _state(session: AsyncSession, name: str, cadence_s: int) -> SourceState:
    ended = (
        select(ImportRun.started_at, ImportRun.finished_at, ImportRun.report, ImportRun.error)
        .where(ImportRun.source == name, ImportRun.finished_at.is_not(None))
        .order_by(ImportRun.started_at.desc(), ImportRun.id.desc())
        .limit(1)
    )
    newest = (await session.execute(ended)).first()
    good = (await session.execute(ended.where(ImportRun.error.is_(None)))).first()
    success = None if good is None else ImportSummary(good.started_at, good.finished_at, good.report)
    return SourceState(name, cadence_s, success, newest is not None and newest.error is not None)


async def last_success(session: AsyncSession, source: str, shown_input: str) -> datetime | None:
    """When the newest import from this input began that ended well; `None`: there was none."""
    began: datetime | None = await session.scalar(
        select(ImportRun.started_at)
        .where(
            ImportRun.source == source,
            ImportRun.input == shown_input,
            ImportRun.finished_at.is_not(None),
            ImportRun.error.is_(None),
        )
        .order_by(ImportRun.started_at.desc())
        .limit(1)
    )
    return began
