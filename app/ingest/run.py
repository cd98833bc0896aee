"""The one use case of getting data in: fetch, parse, check, store, report."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.errors import DatabaseUnavailableError, SourceFormatError, VoltWayError
from app.ingest.coordinates import check_coordinates
from app.ingest.rejections import RejectionsFile
from app.ingest.report import Counts, Report
from app.ingest.seen import SeenIds
from app.sources.fetch import fetched, opened, without_secrets
from app.sources.records import Outcome, Parsed, Rejection, Skip
from app.sources.registry import Source
from app.stations import feed, repository, runs

BATCH = 1_000
"""Outcomes handled in one unit of work, which is what is lost when the process dies."""
CHANGES_KEPT_FOR = timedelta(days=1)
"""A process that slept for longer loads the whole catalogue anew."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to run an import."""

    data_dir: Path
    full: bool = False
    """The input lists all of the source's stations: those that it lacks have vanished."""
    dry_run: bool = False
    """Do everything but write to the database."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a progress bar shows; its numbers grow while the import runs."""

    report: Report
    file: BinaryIO
    bytes_total: int

    @property
    def bytes_read(self) -> int:
        return self.bytes_total if self.file.closed else self.file.tell()


async def run_import(
    database: Database,
    source: Source,
    where: str,
    options: ImportOptions,
    on_start: Callable[[Progress], None] = lambda _: None,
) -> Report:
    """Import a file or URL and return the report, which is also stored unless it is a dry run.

    Every batch is a unit of work of its own: should the run end early, each record is stored either as it was or as
    it now is, and the import can be repeated. `on_start` is called once the input is there.

    Raises FetchError, SourceFormatError or DatabaseUnavailableError; the run is then stored with its error.
    """
    run = _Run(database, source, options)
    try:
        return await run.execute(where, on_start)
    except SQLAlchemyError as error:
        raise DatabaseUnavailableError(f"The database failed: {getattr(error, 'orig', error)}") from error


class _Run:
    def __init__(self, database: Database, source: Source, options: ImportOptions) -> None:
        self._open_session = database.open_session
        self._source = source
        self._name = source.facts.name
        self._full, self._dry_run = options.full, options.dry_run
        self._now = datetime.now(UTC)
        self._report = Report(self._name, source.facts.record_noun, dry_run=options.dry_run)
        self._seen = SeenIds()
        self._refused = SeenIds()
        """Ids of rejected records: those stations have not vanished, and another record may describe them rightly."""
        self._unidentified = 0
        """Rejected records that do not tell which station they are of."""
        rejections = f"{self._name}-{self._now:%Y%m%dT%H%M%S%fZ}.csv"
        self._rejections = RejectionsFile(options.data_dir / "rejections" / rejections)

    async def execute(self, where: str, on_start: Callable[[Progress], None]) -> Report:
        run_id = await self._start(without_secrets(where))
        error: str | None = "The process was stopped."
        try:
            with self._seen, self._refused, self._rejections:
                await self._import(where, on_start)
            error = None
        except Exception as reason:
            error = str(reason) if isinstance(reason, VoltWayError) else repr(reason)
            raise
        finally:
            await self._finish(run_id, error)
        return self._report

    async def _start(self, shown: str) -> int | None:
        if self._dry_run:
            return None
        async with self._open_session() as session:
            await runs.register_source(session, self._source.facts.as_row())
            return await runs.start_run(session, self._name, shown, self._full, self._now)

    async def _finish(self, run_id: int | None, error: str | None) -> None:
        if run_id is None:
            return
        async with self._open_session() as session:
            await runs.finish_run(session, run_id, self._report.as_document(), error, datetime.now(UTC))
            await feed.prune(session, self._now - CHANGES_KEPT_FOR)

    async def _import(self, where: str, on_start: Callable[[Progress], None]) -> None:
        async with fetched(where, self._source.download) as path:
            with opened(path) as file:
                on_start(Progress(self._report, file, file.seek(0, 2)))
                file.seek(0)
                batches = _batches(self._source.parse(file))
                while batch := await asyncio.to_thread(next, batches, None):
                    await self._handle(batch)
        if self._full:
            await self._remove_vanished()

    async def _handle(self, batch: list[Outcome]) -> None:
        """Count every outcome and store what can be stored, in one unit of work."""
        good: list[Parsed] = []
        gone: list[str] = []
        for outcome in map(self._checked, batch):
            self._report.read += outcome.records
            if isinstance(outcome, Parsed):
                good.append(outcome)
                self._report.notes.update(outcome.notes)
            elif isinstance(outcome, Skip):
                self._report.skipped[outcome.reason] += outcome.records
                gone += [outcome.gone_id] if outcome.gone_id else []
            else:
                self._reject(outcome)
        await self._store(good, gone)

    def _checked(self, outcome: Outcome) -> Outcome:
        """Reject a station that cannot be where it says, or a record whose id has come before."""
        if isinstance(outcome, Parsed):
            at = outcome.station
            wrong = check_coordinates(at.longitude, at.latitude, at.country)
            if wrong:
                place = f"{at.longitude}, {at.latitude}"
                outcome = _rejection(outcome, "longitude, latitude", place, wrong.reason, wrong.why, wrong.fix)
        external_id = _external_id(outcome)
        if isinstance(outcome, Rejection):
            if external_id is None:
                self._unidentified += 1
            else:
                self._refused.add(external_id)
        elif external_id is not None and not self._seen.add(external_id):
            why, fix = "An earlier record of this input has the same id.", "Give each station one record."
            return _rejection(outcome, "external_id", external_id, "repeated_id", why, fix)
        return outcome

    def _reject(self, rejection: Rejection) -> None:
        self._report.rejected[rejection.reason] += rejection.records
        self._rejections.write(rejection)
        self._report.rejections_file = str(self._rejections.path)

    async def _store(self, good: list[Parsed], gone: list[str]) -> None:
        async with self._open_session(read_only=self._dry_run) as session:
            stations = [parsed.station for parsed in good]
            written = await repository.store(session, self._name, stations, self._now, dry_run=self._dry_run)
            removed = await repository.remove(session, self._name, gone, self._now, dry_run=self._dry_run)
        self._report.removed += removed
        for kind in ("new", "updated", "unchanged"):
            indexes: list[int] = getattr(written, kind)
            _add(self._report.stations, kind, len(indexes))
            _add(self._report.records, kind, sum(good[index].records for index in indexes))

    async def _remove_vanished(self) -> None:
        if not self._report.records.total:
            raise SourceFormatError(
                "The input holds no usable record, so --full would remove every station; it did not."
            )
        if self._unidentified:
            raise SourceFormatError(
                f"{self._unidentified:,} rejected {self._report.record_noun} do not tell which station they are of, "
                "so --full cannot know what has vanished. Nothing was removed; the other records are stored."
            )
        async with self._open_session(read_only=self._dry_run) as session:
            async for page in repository.external_ids(session, self._name):
                vanished = self._refused.missing(self._seen.missing(page))
                self._report.removed += await repository.remove(
                    session, self._name, vanished, self._now, dry_run=self._dry_run
                )


def _external_id(outcome: Outcome) -> str | None:
    if isinstance(outcome, Parsed):
        return outcome.station.external_id
    return outcome.gone_id if isinstance(outcome, Skip) else outcome.external_id


def _rejection(outcome: Parsed | Skip, field: str, value: str, reason: str, why: str, fix: str) -> Rejection:
    return Rejection(outcome.position, field, value, reason, why, fix, _external_id(outcome), records=outcome.records)


def _batches(outcomes: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    """Where the input ends in an error, what came before is given out first."""
    batch: list[Outcome] = []
    try:
        for outcome in outcomes:
            batch.append(outcome)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except SourceFormatError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _add(counts: Counts, kind: str, number: int) -> None:
    setattr(counts, kind, getattr(counts, kind) + number)
