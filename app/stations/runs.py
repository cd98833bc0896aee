"""Sources and the reports of their imports."""

from datetime import datetime
from typing import Any

from sqlalchemy import insert, update
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
