"""Deleting what imports leave behind, once it is of no more use."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from app.db import Database
from app.ingest.run import DOWNLOADS, REJECTIONS
from app.stations import feed, history, repository, runs

DOWNLOADS_KEPT_FOR = timedelta(days=7)
"""What nobody has gone on with for so long is of a version that is no more."""
_LONGEST_IMPORT = timedelta(days=1)
"""A run without an end that began before that has lost its process."""
_BATCH = 1_000
"""Stations deleted in one unit of work."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept."""

    imports: timedelta = timedelta(days=90)
    """Reports of imports, and lists of rejected records."""
    vanished: timedelta = timedelta(days=90)
    """Stations that their source has no more; longer than changes, so that every process has heard of it."""
    history: timedelta = timedelta(days=90)
    """Changes of the status of EVSEs."""


async def clean_up(database: Database, data_dir: Path, kept: Retention, now: datetime) -> dict[str, int]:
    """Do all of it; return how many there were of each kind. Raises SQLAlchemyError."""
    async with database.open_session() as session:
        ended = await runs.end_orphans(session, now - _LONGEST_IMPORT, now)
        forgotten = await runs.forget_runs(session, now - kept.imports)
    await _prune_feed(database, now)
    return {
        "imports_ended": ended,
        "imports_deleted": forgotten,
        "stations_deleted": await _erase_vanished(database, now - max(kept.vanished, 2 * feed.KEPT_FOR)),
        "status_changes_deleted": await history.prune(database, now - kept.history, now),
        "rejection_lists_deleted": await asyncio.to_thread(_delete_old, data_dir / REJECTIONS, kept.imports),
        "downloads_deleted": await asyncio.to_thread(_delete_old, data_dir / DOWNLOADS, DOWNLOADS_KEPT_FOR),
    }


async def _prune_feed(database: Database, now: datetime) -> None:
    more = True
    while more:
        async with database.open_session() as session:
            more = await feed.prune(session, now)


async def _erase_vanished(database: Database, before: datetime) -> int:
    """In small units of work, as others wait for each."""
    total = 0
    while True:
        async with database.open_session() as session:
            erased = await repository.erase_vanished(session, before, _BATCH)
        total += erased
        if erased < _BATCH:
            return total


def _delete_old(folder: Path, kept_for: timedelta) -> int:
    """Delete the files that were not written to for so long."""
    before = time.time() - kept_for.total_seconds()
    old = [path for path in folder.glob("*") if path.is_file() and path.stat().st_mtime < before]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
