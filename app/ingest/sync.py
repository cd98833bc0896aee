"""Importing, unasked, from the sources that can be fetched without a hand."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.errors import BusyError, VoltWayError
from app.ingest.cleanup import Retention, clean_up
from app.ingest.feeds import Feed, configured_feeds
from app.ingest.report import Report
from app.ingest.run import DOWNLOADS, ImportOptions, run_import
from app.settings import Settings
from app.sources.fetch import Fetching
from app.sources.guest import Limits
from app.sources.hosts import Hosts
from app.sources.locations import fingerprint
from app.sources.registry import catalogues
from app.stations import runs
from app.stations.runs import SourceState

logger = logging.getLogger(__name__)

_OVERLAP = timedelta(hours=1)
"""Asked for twice rather than missed, should the source's clock be behind ours."""
_FIRST_PAUSE = timedelta(minutes=15)
"""After a failure; twice as long after each further one, up to the source's cadence."""


@dataclass(frozen=True)
class Synced:
    """What became of one source."""

    outcome: str
    """`imported`, `unchanged`, `not_due`, `busy` (another process imports it now) or `failed`."""
    report: Report | None = None
    """Of what was imported, or until it failed."""
    error: str | None = None
    next_due: datetime | None = None

    def as_document(self) -> dict[str, Any]:
        """Plain values, without those that are `None`."""
        counts = self.report.as_document() if self.report and self.outcome == "imported" else {}
        told = {"error": self.error, "next": self.next_due.isoformat() if self.next_due else None}
        return {"outcome": self.outcome, **counts, **{name: value for name, value in told.items() if value}}


def fetching(settings: Settings, limits: Limits | None = None) -> Fetching:
    """As the settings allow it."""
    limits = replace(limits or Limits(), max_bytes=int(settings.fetch_max_mb * 1e6))
    return Fetching(settings.data_dir / DOWNLOADS, Hosts(), limits, settings.fetch_contact)


async def sync_configured(
    database: Database, settings: Settings, only: str | None = None, *, force: bool = False
) -> dict[str, Synced]:
    """`sync_sources` for what the settings name; `only`: for one source of them. Raises ConfigurationError too."""
    feeds = [feed for feed in configured_feeds(settings) if only in {None, feed.name}]
    return await sync_sources(database, settings.data_dir, feeds, fetching(settings), force=force)


async def clean_up_configured(database: Database, settings: Settings) -> dict[str, Any]:
    """`clean_up` with the retention of the settings, here because the jobs know this module only. Where the database
    cannot be cleaned up, there is an `error` instead: whoever calls has more to do."""
    kept = Retention(
        imports=timedelta(days=settings.imports_kept_days),
        vanished=timedelta(days=settings.vanished_kept_days),
        history=timedelta(days=settings.history_kept_days),
    )
    try:
        return {**await clean_up(database, settings.data_dir, kept, datetime.now(UTC))}
    except (SQLAlchemyError, OSError) as error:
        logger.warning("cleanup_failed", extra={"error": type(error).__name__})
        return {"error": type(error).__name__}


async def sync_sources(
    database: Database, data_dir: Path, feeds: Sequence[Feed], how: Fetching | None = None, *, force: bool = False
) -> dict[str, Synced]:
    """Import from each feed that is due, one after the other; with `force` from all of them, whether or not their
    input is new. Returns what became of each, by the source's name: one that fails does not stop the others.

    Raises DatabaseUnavailableError or SQLAlchemyError when nothing at all can be read from the database.
    """
    how = how or Fetching(data_dir / DOWNLOADS)
    states = {feed.name: await _state(database, feed) for feed in feeds}
    for feed in feeds:
        failure = states[feed.name].last_failure
        if failure is not None and failure.not_before is not None:
            how.hosts.leave_alone(httpx.URL(feed.url).host, failure.not_before)
    sync = _Sync(database, data_dir, how, force=force)
    return {feed.name: await sync.run(feed, states[feed.name]) for feed in feeds}


async def _state(database: Database, feed: Feed) -> SourceState:
    async with database.open_session(read_only=True) as session:
        return await runs.source_state(session, feed.name, fingerprint(feed.url), catalogues())


class _Sync:
    def __init__(self, database: Database, data_dir: Path, how: Fetching, *, force: bool) -> None:
        self._database, self._data_dir, self._how, self._force = database, data_dir, how, force

    async def run(self, feed: Feed, state: SourceState) -> Synced:
        due = next_due(state, feed.cadence)
        if due is not None and datetime.now(UTC) < due and not self._force:
            return Synced("not_due", next_due=due)
        started: list[Report] = []
        try:
            report = await self._import(feed, state, started)
        except BusyError:
            return Synced("busy")
        except (VoltWayError, SQLAlchemyError, OSError) as error:
            message = str(error) if isinstance(error, VoltWayError) else type(error).__name__
            logger.warning("source_sync_failed", extra={"source": feed.name, "error": message})
            synced = Synced("failed", started[0] if started else None, message)
        except Exception as error:  # a bug in one adapter is no reason to leave the others alone
            logger.exception("source_sync_broken", extra={"source": feed.name})
            synced = Synced("failed", error=f"{type(error).__name__}: {error}")
        else:
            synced = Synced("unchanged" if report.input_unchanged else "imported", report)
            logger.info("source_synced", extra={"source": feed.name, "outcome": synced.outcome})
        return replace(synced, next_due=next_due(await _state(self._database, feed), feed.cadence))

    async def _import(self, feed: Feed, state: SourceState, started: list[Report]) -> Report:
        url, only_changes = self._asked(feed, state)
        options = ImportOptions(
            self._data_dir,
            full=feed.source.is_complete and not only_changes,
            only_if_new=not self._force,
            must_be_usable=True,
            known_by=feed.url,
            fetching=self._how,
        )
        return await run_import(
            self._database, feed.source, url, options, lambda progress: started.append(progress.report)
        )

    def _asked(self, feed: Feed, state: SourceState) -> tuple[str, bool]:
        """Which address, and whether it gives only changes. What tells them on request is read whole once a day, so
        that what has vanished vanishes."""
        if feed.only_changes:
            return _open_changes(feed.url, None if self._force else state), True
        success = state.last_success
        if not feed.tells_changes or self._force or success is None or success.started_at.date() < _today():
            return feed.url, False
        since = f"{success.started_at - _OVERLAP:%Y-%m-%dT%H:%M:%SZ}"
        return str(httpx.URL(feed.url).copy_merge_params({"date_from": since})), True


def _today() -> date:
    return datetime.now(UTC).date()


def next_due(state: SourceState, cadence: timedelta) -> datetime | None:
    """When a source is to be read next; `None`: it never was, so now."""
    failure = state.last_failure
    if failure is None:
        return state.last_success.started_at + cadence if state.last_success else None
    pause = min(cadence, _FIRST_PAUSE * (1 << min(state.failures - 1, 20)))
    return max(failure.finished_at + pause, failure.not_before or failure.finished_at)


def _open_changes(url: str, state: SourceState | None) -> str:
    """Only what is under an open licence, and of that, only what is new to a source in this state; `None`: all."""
    asked = {"opendata": "true"}
    if state is not None and state.last_success is not None and not state.is_mixed:
        asked["modifiedsince"] = f"{state.last_success.started_at - _OVERLAP:%Y-%m-%dT%H:%M:%S}"
    return str(httpx.URL(url).copy_merge_params(asked))
