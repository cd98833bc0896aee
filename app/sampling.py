"""Figures that no event tells: the replica's size and age, the freshness of sources. Read again and again."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.errors import NotReadyError
from app.ingest.feeds import Feed
from app.ingest.freshness import Freshness, SourceView, source_views
from app.replica import Follower
from app.stations import live, runs
from app.utils import metrics
from app.webhooks import figures as webhooks

logger = logging.getLogger(__name__)

EVERY_S = 5.0
STATUS_TURNS = 12
"""Statuses are counted every so many turns, as it takes longer."""


async def keep_sampling(database: Database, follower: Follower, feeds: Sequence[Feed]) -> None:
    """Set the gauges until cancelled."""
    turn = 0
    while True:
        _sample_replica(follower)
        try:
            await _sample_sources(database, feeds)
            await _sample_webhooks(database)
            if turn % STATUS_TURNS == 0:
                await _sample_statuses(database)
        except (SQLAlchemyError, OSError) as error:  # the follower reports that the database is away
            logger.debug("sources_not_sampled", extra={"reason": type(error).__name__})
        turn += 1
        await asyncio.sleep(EVERY_S)


def _sample_replica(follower: Follower) -> None:
    try:
        counts = follower.replica.count_by_source()
    except NotReadyError:
        return
    metrics.replica_stations.set(sum(counts.values()))
    for source, count in counts.items():
        metrics.source_stations.labels(source).set(count)
    if follower.caught_up_at:
        metrics.replica_current_timestamp_seconds.set(follower.caught_up_at.timestamp())


async def _sample_sources(database: Database, feeds: Sequence[Feed]) -> None:
    for view in await source_views(database, feeds, datetime.now(UTC)):
        if view.url or view.source.state.has_runs:
            _set_state(view)


async def _sample_webhooks(database: Database) -> None:
    now = datetime.now(UTC)
    async with database.open_session(read_only=True) as session:
        counts = await webhooks.count_by_state(session)
        oldest = await webhooks.oldest_undelivered(session, now)
    for state, count in counts.items():
        metrics.webhooks.labels(state).set(count)
    metrics.webhook_oldest_undelivered_seconds.set(0.0 if oldest is None else max(_seconds(oldest, now), 0.0))


async def _sample_statuses(database: Database) -> None:
    async with database.open_session(read_only=True) as session:
        for counted in await live.count_by_source(session, datetime.now(UTC)):
            metrics.live_evses.labels(counted.source, "fresh").set(counted.fresh)
            metrics.live_evses.labels(counted.source, "stale").set(counted.stale)


def _set_state(view: SourceView) -> None:
    source, state = view.source.name, view.source.state
    metrics.source_enabled.labels(source).set(view.url is not None)
    metrics.source_cadence_seconds.labels(source).set(view.source.cadence_s)
    metrics.source_failing.labels(source).set(view.status is Freshness.FAILING)
    metrics.source_failures_in_a_row.labels(source).set(state.failures)
    if state.last_success:
        ended_at = state.last_success.finished_at
        metrics.source_last_success_timestamp_seconds.labels(source).set(ended_at.timestamp())
    if state.last_import:
        _set_last_import(source, state.last_import)


def _set_last_import(source: str, run: runs.ImportSummary) -> None:
    metrics.source_last_duration_seconds.labels(source).set(_seconds(run.started_at, run.finished_at))
    records = run.report["records"]
    outcomes = {**records, **{name: sum(run.report[name].values()) for name in ("skipped", "rejected")}}
    outcomes |= run.report.get("statuses", {})
    for outcome, count in outcomes.items():
        metrics.source_last_records.labels(source, outcome).set(count)


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
