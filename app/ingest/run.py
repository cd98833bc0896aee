"""The one use case of getting data in: fetch, parse, check, store, report."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.db.alone import alone
from app.errors import BusyError, DatabaseUnavailableError, SourceFormatError, VoltWayError
from app.ingest.checks import Checks, Tally, refuse_suspicious, tally
from app.ingest.rejections import RejectionsFile
from app.ingest.report import Counts, Report
from app.ingest.sightings import Sighting, record
from app.sources.downloads import Version, version_of
from app.sources.fetch import Fetching, fetched, opened
from app.sources.hosts import LeftAloneError
from app.sources.locations import fingerprint, without_secrets
from app.sources.records import Observed, Outcome, Parsed, Rejection, Skip
from app.sources.registry import Source, catalogues, facts_of
from app.stations import feed, repository, runs
from app.stations.evse_id import key_of

BATCH = 1_000
"""Outcomes handled in one unit of work, which is what is lost when the process dies."""
REJECTIONS = "rejections"
"""Folder in the data folder for the lists of rejected records."""
DOWNLOADS = "downloads"
"""Folder in the data folder for what is being downloaded."""
"""A process that slept for longer loads the whole catalogue anew."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to run an import."""

    data_dir: Path
    full: bool = False
    """The input lists all of the source's stations: those that it lacks have vanished."""
    dry_run: bool = False
    """Do everything but write to the database."""
    accept_shrunken: bool = False
    """Believe a full input that has lost much of what it had."""
    only_if_new: bool = False
    """Read nothing where the input of the newest import, by its version, is the same."""
    must_be_usable: bool = False
    """An input none of whose records can be used is an error."""
    known_by: str | None = None
    """The address that the input counts as of, should it differ from it in what it asks for now; `None`: its own."""
    fetching: Fetching | None = None
    """`None`: with the usual limits, in `data_dir`."""


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

    Raises FetchError, SourceFormatError or DatabaseUnavailableError; the run is then stored with its error. Raises
    BusyError, and stores nothing, while another process imports this source or fetches the same.
    """
    run = _Run(database, source, options)
    try:
        return await run.execute(where, on_start)
    except SQLAlchemyError as error:
        raise DatabaseUnavailableError(f"The database failed: {getattr(error, 'orig', error)}") from error


class _Run:
    def __init__(self, database: Database, source: Source, options: ImportOptions) -> None:
        self._database_url, self._open_session = database.url, database.open_session
        self._source = source
        self._name = source.facts.name
        self._options = options
        self._full, self._dry_run = options.full, options.dry_run
        self._fetching = options.fetching or Fetching(options.data_dir / DOWNLOADS)
        self._now = datetime.now(UTC)
        self._report = Report(self._name, source.facts.record_noun, dry_run=options.dry_run)
        self._checks = Checks(of_catalogue=source.is_catalogue)
        self._registered: set[str] = set()
        self._version: Version | None = None
        rejections = f"{self._name}-{self._now:%Y%m%dT%H%M%S%fZ}.csv"
        self._rejections = RejectionsFile(options.data_dir / REJECTIONS / rejections)

    async def execute(self, where: str, on_start: Callable[[Progress], None]) -> Report:
        """Two at once would leave a mixture behind that looks like the later one's input."""
        busy = f"{self._name} is being imported by another process now."
        async with nullcontext() if self._dry_run else alone(self._database_url, f"import-{self._name}", busy):
            return await self._execute(where, on_start)

    async def _execute(self, where: str, on_start: Callable[[Progress], None]) -> Report:
        given = runs.Input(without_secrets(where), fingerprint(self._options.known_by or where))
        run_id = await self._start(given)
        error: str | None = runs.STOPPED
        not_before: datetime | None = None
        try:
            with self._checks, self._rejections:
                known = await self._known(given, run_id) if self._options.only_if_new else None
                await self._import(where, known, on_start)
            error = None
        except BusyError:
            await self._drop(run_id)
            run_id = None
            raise
        except Exception as reason:
            error = str(reason) if isinstance(reason, VoltWayError) else repr(reason)
            not_before = reason.until if isinstance(reason, LeftAloneError) else None
            raise
        finally:
            await self._finish(run_id, error, not_before)
        return self._report

    async def _start(self, given: runs.Input) -> int | None:
        if self._dry_run:
            return None
        async with self._open_session() as session:
            if not self._source.is_catalogue:
                await runs.register_source(session, self._source.facts.as_row())
            await runs.end_orphans(session, self._now, self._now, self._name)  # as nobody else is at it
            return await runs.start_run(session, self._name, given, self._full, self._now)

    async def _drop(self, run_id: int | None) -> None:
        if run_id is not None:
            async with self._open_session() as session:
                await runs.drop_run(session, run_id)

    async def _finish(self, run_id: int | None, error: str | None, not_before: datetime | None) -> None:
        if run_id is None:
            return
        end = runs.RunEnd(
            datetime.now(UTC),
            self._report.as_document(),
            error,
            input_unchanged=self._report.input_unchanged,
            input_version=self._version.as_document() if self._version else None,
            not_before=not_before,
        )
        async with self._open_session() as session:
            await runs.finish_run(session, run_id, end)
            await feed.prune(session, self._now)

    async def _import(self, where: str, known: Version | None, on_start: Callable[[Progress], None]) -> None:
        if self._full and self._source.is_catalogue:
            raise SourceFormatError(
                "An export may be a part of its catalogue: --full cannot know what has vanished. Import without it."
            )
        async with fetched(where, self._fetching, known, self._source.download) as got:
            self._version = got.version
            if got.is_known:
                self._report.input_unchanged = True
                return
            with opened(got.path, self._fetching) as file:
                on_start(Progress(self._report, file, file.seek(0, 2)))
                if self._full and not self._options.accept_shrunken:
                    await self._refuse_suspicious(file, without_secrets(where))
                file.seek(0)
                batches = _batches(self._source.parse(file))
                while batch := await asyncio.to_thread(next, batches, None):
                    await self._handle(batch)
            if self._options.must_be_usable and self._report.rejected.total() == self._report.read > 0:
                raise SourceFormatError(
                    f"None of the {self._report.read:,} {self._report.record_noun} are usable. Another format?"
                )
            if self._full:
                await self._remove_vanished()

    async def _known(self, given: runs.Input, run_id: int | None) -> Version | None:
        """What the stations of the source are from, if it is this input."""
        async with self._open_session(read_only=True) as session:
            newest = await runs.newest_version(session, self._name, given.key, run_id or 0, catalogues())
            return version_of(newest)

    async def _refuse_suspicious(self, file: BinaryIO, shown: str) -> None:
        async with self._open_session(read_only=True) as session:
            before = await runs.comparable_report(session, self._name, shown)
        if before is not None:
            file.seek(0)
            now = await asyncio.to_thread(tally, self._source.parse(file))
            refuse_suspicious(now, Tally.of_report(before), self._report.record_noun)

    async def _handle(self, batch: list[Outcome]) -> None:
        """Count every outcome and store what can be stored, in one unit of work."""
        good: list[Parsed] = []
        observed: list[Observed] = []
        gone: list[str] = []
        for outcome in map(self._checks.apply, batch):
            self._report.read += outcome.records
            if isinstance(outcome, Parsed):
                good.append(outcome)
                self._report.notes.update(outcome.notes)
            elif isinstance(outcome, Observed):
                observed.append(outcome)
                self._report.notes.update(outcome.notes)
            elif isinstance(outcome, Skip):
                self._report.skipped[outcome.reason] += outcome.records
                gone += [outcome.gone_id] if outcome.gone_id else []
            else:
                self._reject(outcome)
        await self._store(good, observed, gone)

    def _reject(self, rejection: Rejection) -> None:
        self._report.rejected[rejection.reason] += rejection.records
        self._rejections.write(rejection)
        self._report.rejections_file = str(self._rejections.path)

    async def _store(self, good: list[Parsed], observed: list[Observed], gone: list[str]) -> None:
        done: list[tuple[list[Parsed], repository.Written]] = []
        async with self._open_session(read_only=self._dry_run) as session:
            await self._register_origins(session, good)
            for name, of_source in sorted(_by_source(good).items()):  # in one order for all, as writers take turns
                stations = [parsed.station for parsed in of_source]
                written = await repository.store(session, name, stations, self._now, dry_run=self._dry_run)
                done.append((of_source, written))
            removed = await repository.remove(session, self._name, gone, self._now, dry_run=self._dry_run)
            statuses = await self._record(session, [_sighting(each) for each in observed])
            live = await self._record(session, await _sightings(session, good))
        self._report.removed += removed
        self._report.live.update(live)
        for each, effect in zip(observed, statuses, strict=True):
            self._report.statuses[effect] += each.records
        for of_source, written in done:
            self._count(of_source, written)

    async def _record(self, session: AsyncSession, sightings: list[Sighting]) -> list[str]:
        facts = self._source.facts
        return await session.run_sync(
            record, facts.name, sightings, self._now, facts.status_ttl, dry_run=self._dry_run
        )

    async def _register_origins(self, session: AsyncSession, good: list[Parsed]) -> None:
        """Write the terms of the sources that a catalogue has stations of; of those that VoltWay reads itself, its
        own words, which are more."""
        for facts in (parsed.facts for parsed in good if parsed.facts and not self._dry_run):
            if facts.name not in self._registered:
                self._registered.add(facts.name)
                await runs.register_source(session, (facts_of(facts.name) or facts).as_row())

    def _count(self, of_source: list[Parsed], written: repository.Written) -> None:
        for kind in ("new", "updated", "unchanged"):
            indexes: list[int] = getattr(written, kind)
            _add(self._report.stations, kind, len(indexes))
            _add(self._report.records, kind, sum(of_source[index].records for index in indexes))

    async def _remove_vanished(self) -> None:
        if not self._report.records.total:
            raise SourceFormatError(
                "The input holds no usable record, so --full would remove every station; it did not."
            )
        if self._checks.unidentified:
            raise SourceFormatError(
                f"{self._checks.unidentified:,} rejected {self._report.record_noun} do not tell which station they "
                "are of, so --full cannot know what has vanished. Nothing was removed; the other records are stored."
            )
        async with self._open_session(read_only=self._dry_run) as session:
            async for page in repository.external_ids(session, self._name):
                vanished = self._checks.missing(page)
                self._report.removed += await repository.remove(
                    session, self._name, vanished, self._now, dry_run=self._dry_run
                )


def _sighting(observed: Observed) -> Sighting:
    return Sighting(key_of(observed.evse_id), observed.status, observed.observed_at)


async def _sightings(session: AsyncSession, good: list[Parsed]) -> list[Sighting]:
    """What came with the stations, which are stored."""
    found = []
    for name, of_source in _by_source([parsed for parsed in good if parsed.seen]).items():
        ids = await repository.ids_of(session, name, [parsed.station.external_id for parsed in of_source])
        for parsed in of_source:
            station_id = ids.get(parsed.station.external_id, 0)  # none in a dry run
            found += [Sighting((station_id, each.evse_uid), each.status, each.observed_at) for each in parsed.seen]
    return found


def _by_source(good: list[Parsed]) -> dict[str, list[Parsed]]:
    by_source: dict[str, list[Parsed]] = {}
    for parsed in good:
        by_source.setdefault(parsed.station.source, []).append(parsed)
    return by_source


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
