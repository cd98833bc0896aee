"""Importing, unasked, from the sources that can be fetched without a hand: today Open Charge Map's API."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.db import Database
from app.errors import VoltWayError
from app.ingest.run import ImportOptions, run_import
from app.sources.registry import find_source
from app.stations import runs

logger = logging.getLogger(__name__)

OCM_API = "https://api.openchargemap.io/v3/poi"
_OVERLAP = timedelta(hours=1)
"""Asked for twice rather than missed, should the source's clock be behind ours."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A source with an address that gives what has changed since a time."""

    source: str
    url: str


async def sync_sources(
    database: Database, data_dir: Path, *, ocm_api_key: str | None, ocm_url: str = OCM_API
) -> dict[str, Any]:
    """Import from each feed that is due by its source's cadence, one after the other. Returns, by source, `outcome`
    (`imported`, `not_due`, `failed`) and what belongs to it; nothing for a source that these settings do not allow.
    """
    feeds = [Feed("ocm", ocm_url)] if ocm_api_key else []
    return {feed.source: await _sync(database, data_dir, feed, ocm_api_key) for feed in feeds}


async def _sync(database: Database, data_dir: Path, feed: Feed, key: str | None) -> dict[str, Any]:
    source = find_source(feed.source, key)
    async with database.open_session(read_only=True) as session:
        last = await runs.last_success(session, feed.source, feed.url)
    if last is not None and datetime.now(UTC) < last + source.facts.cadence:
        return {"outcome": "not_due", "next": (last + source.facts.cadence).isoformat()}
    try:
        report = await run_import(database, source, _changed_since(feed.url, last), ImportOptions(data_dir))
    except VoltWayError as error:
        logger.warning("source_sync_failed", extra={"source": feed.source, "error": str(error)})
        return {"outcome": "failed", "error": str(error)}
    return {"outcome": "imported", **report.as_document()}


def _changed_since(url: str, last: datetime | None) -> str:
    """Only what is under an open licence, and of that, only what is new."""
    asked = {"opendata": "true"}
    if last is not None:
        asked["modifiedsince"] = f"{last - _OVERLAP:%Y-%m-%dT%H:%M:%S}"
    return f"{url}?{urlencode(asked)}"
