"""Sources and the reports of their imports."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.dialect import upsert
from app.stations.tables import ImportRun, Source

STOPPED = "The process was stopped."
_LOOKED_BACK = 200
"""Runs, most of which have failed before they read anything, until the input is rather read once more."""
_FACTS = ("title", "homepage", "licence", "licence_url", "attribution", "cadence_s", "status_ttl_s")


async def register_source(session: AsyncSession, facts: dict[str, Any]) -> None:
    """Write what is known of a source: the columns of `sources`, `name` first of all."""
    await session.execute(upsert(session, Source.__table__, key=("name",), replace=_FACTS), [facts])


@dataclass(frozen=True, slots=True)
class Input:
    """What an import reads."""

    shown: str
    """File name or URL, without credentials."""
    key: str
    """The same for the same address, its query included."""


async def start_run(session: AsyncSession, source: str, given: Input, full: bool, now: datetime) -> int:
    """Note that an import has begun; return the run's id."""
    values = {"source": source, "input": given.shown, "input_key": given.key, "full": full, "started_at": now}
    return int((await session.execute(insert(ImportRun).values(values).returning(ImportRun.id))).scalar_one())


async def drop_run(session: AsyncSession, run_id: int) -> None:
    """Forget a run that has done nothing, and is not to count as a failure."""
    await session.execute(delete(ImportRun).where(ImportRun.id == run_id))


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run has ended: columns of `import_runs`."""

    finished_at: datetime
    report: dict[str, Any]
    error: str | None = None
    """`None`: it ended well."""
    input_unchanged: bool = False
    input_version: dict[str, Any] | None = None
    not_before: datetime | None = None


async def finish_run(session: AsyncSession, run_id: int, end: RunEnd) -> None:
    """Store the report of a run that has ended, well or not."""
    await session.execute(update(ImportRun).where(ImportRun.id == run_id).values(**asdict(end)))


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """An import that ended well."""

    started_at: datetime
    finished_at: datetime
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """An import that did not."""

    finished_at: datetime
    error: str
    not_before: datetime | None
    """Until when the host is to be left alone."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How fresh a source is."""

    last_success: ImportSummary | None
    """The newest run that ended well, be it that there was nothing new; `None`: none has."""
    last_import: ImportSummary | None
    """The newest of those that has read its input."""
    failures: int
    """Runs that failed since the last success; one that was stopped with its process did not."""
    last_failure: Failure | None
    """The newest of them; `None`: the newest run that has ended did so well."""
    is_mixed: bool = False
    """Other inputs were imported into the source since the last success."""

    @property
    def is_failing(self) -> bool:
        return self.failures > 0

    @property
    def has_runs(self) -> bool:
        """Whether any run has ended."""
        return self.last_success is not None or self.is_failing


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source that has been imported."""

    name: str
    title: str
    homepage: str
    licence: str
    licence_url: str
    attribution: str
    cadence_s: int
    state: SourceState


async def known_sources(session: AsyncSession) -> list[KnownSource]:
    """Every source that has been imported, by name."""
    names = ("name", "title", "homepage", "licence", "licence_url", "attribution", "cadence_s")
    rows = (await session.execute(select(*(getattr(Source, name) for name in names)).order_by(Source.name))).all()
    return [KnownSource(**row._mapping, state=await source_state(session, row.name)) for row in rows]


async def source_state(
    session: AsyncSession, source: str, input_key: str | None = None, catalogues: Collection[str] = ()
) -> SourceState:
    """Of all its inputs, or of one. `catalogues`: sources whose inputs may hold stations of any other."""
    ended = _ended(source, input_key)
    good = ended.where(ImportRun.error.is_(None))
    success = _summary((await session.execute(good.limit(1))).scalar())
    changed = _summary((await session.execute(good.where(~ImportRun.input_unchanged).limit(1))).scalar())
    failed = ended.where(ImportRun.error.is_not(None), ImportRun.error != STOPPED)
    if success is not None:
        failed = failed.where(ImportRun.started_at > success.started_at)
    failures = int(await session.scalar(select(func.count()).select_from(failed.subquery())) or 0)
    newest = (await session.execute(failed.limit(1))).scalar()
    since = success.started_at if success and input_key else None
    mixed = since is not None and await _others_since(session, {source, *catalogues}, input_key, since) > 0
    return SourceState(success, changed, failures, _failure(newest), is_mixed=mixed)


async def _others_since(session: AsyncSession, sources: set[str], input_key: str | None, since: datetime) -> int:
    others = (ImportRun.input_key != input_key) | ImportRun.input_key.is_(None)
    query = select(func.count()).select_from(ImportRun)
    return int(
        await session.scalar(query.where(ImportRun.source.in_(sources), ImportRun.started_at > since, others)) or 0
    )


def _newest_first(*sources: str) -> Select[ImportRun]:
    query = select(ImportRun).where(ImportRun.source.in_(sources))
    return query.order_by(ImportRun.started_at.desc(), ImportRun.id.desc())


def _ended(source: str, input_key: str | None = None) -> Select[ImportRun]:
    """Runs that are over, the newest first."""
    query = _newest_first(source).where(ImportRun.finished_at.is_not(None))
    return query if input_key is None else query.where(ImportRun.input_key == input_key)


def _summary(run: ImportRun | None) -> ImportSummary | None:
    if run is None or run.finished_at is None:
        return None
    return ImportSummary(run.started_at, run.finished_at, run.report or {})


def _failure(run: ImportRun | None) -> Failure | None:
    if run is None or run.finished_at is None:
        return None
    return Failure(run.finished_at, run.error or "", run.not_before)


async def newest_version(
    session: AsyncSession, source: str, input_key: str, run_id: int, catalogues: Collection[str] = ()
) -> dict[str, Any] | None:
    """What version of this input the stations are from, by the runs other than `run_id`; `None`: it has none, or some
    stations are, or may be, from another: a run that failed or was killed may have stored a part of what it read.
    `catalogues`: sources whose inputs may hold stations of any other."""
    query = _newest_first(source, *catalogues).where(ImportRun.id != run_id).limit(_LOOKED_BACK)
    others: Sequence[ImportRun] = (await session.scalars(query)).all()
    newest = next((run for run in others if not _stored_nothing(run)), None)
    if newest is None or newest.finished_at is None or newest.error is not None or newest.input_key != input_key:
        return None
    return newest.input_version


def _stored_nothing(run: ImportRun) -> bool:
    return run.finished_at is not None and run.error is not None and (run.report or {}).get("read") == 0


async def comparable_report(session: AsyncSession, source: str, shown_input: str) -> dict[str, Any] | None:
    """The report of the newest import that should have read about as much as one of the whole of this input."""
    alike = ImportRun.full | (ImportRun.input == shown_input)
    good = _ended(source).where(ImportRun.error.is_(None), ~ImportRun.input_unchanged, alike)
    newest = (await session.execute(good.limit(1))).scalar()
    return newest.report if newest is not None else None


@dataclass(frozen=True, slots=True)
class Run:
    """One import, ended or not."""

    started_at: datetime
    finished_at: datetime | None
    """`None`: it is under way, or its process was killed."""
    error: str | None
    input_unchanged: bool
    report: dict[str, Any] | None


async def newest_runs(session: AsyncSession, source: str, limit: int) -> list[Run]:
    """The newest first."""
    columns = [getattr(ImportRun, each.name) for each in fields(Run)]
    query = select(*columns).where(ImportRun.source == source).order_by(ImportRun.started_at.desc()).limit(limit)
    return [Run(*row) for row in (await session.execute(query)).all()]


async def end_orphans(session: AsyncSession, begun_before: datetime, now: datetime, source: str | None = None) -> int:
    """Note of runs without an end, of one source or all, that their process was stopped; return how many."""
    orphans = ImportRun.finished_at.is_(None) & (ImportRun.started_at < begun_before)
    if source is not None:
        orphans &= ImportRun.source == source
    return _row_count(await session.execute(update(ImportRun).where(orphans).values(finished_at=now, error=STOPPED)))


async def forget_runs(session: AsyncSession, begun_before: datetime) -> int:
    """Delete runs that are over and older than that; return how many. Of each source and input the newest that ended
    well stay: they are what the next import goes by."""
    kept = (
        select(func.max(ImportRun.id))
        .where(ImportRun.error.is_(None), ImportRun.finished_at.is_not(None))
        .group_by(ImportRun.source, ImportRun.input_key, ImportRun.full, ImportRun.input_unchanged)
    )
    old = ImportRun.finished_at.is_not(None) & (ImportRun.started_at < begun_before) & ImportRun.id.not_in(kept)
    return _row_count(await session.execute(delete(ImportRun).where(old)))


def _row_count(done: Any) -> int:
    return cast("CursorResult[Any]", done).rowcount
