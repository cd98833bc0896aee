"""How fresh each source is, as operators and users see it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from app.db import Database
from app.ingest.feeds import Feed
from app.ingest.sync import next_due
from app.sources.locations import fingerprint, without_secrets
from app.sources.records import SourceFacts
from app.sources.registry import all_sources
from app.stations import runs
from app.stations.runs import KnownSource, SourceState

_STALE_AFTER_CADENCES = 2
"""As the alert VoltwaySourceStale."""


class Freshness(StrEnum):
    """Of a source."""

    OK = "ok"
    STALE = "stale"
    """More than twice as old as it should be."""
    FAILING = "failing"
    """The newest attempt to read it has failed."""
    NEVER = "never"
    """It is to be read by itself, but has not been yet."""
    DISABLED = "disabled"
    """It is not read by itself; what is there was put there by hand."""


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source, be it configured, imported once, or only known how to read."""

    source: KnownSource
    status: Freshness
    age: timedelta | None
    """Since its stations were last known to be up to date; `None`: they never were."""
    next_due: datetime | None
    """`None`: at once or, where it is disabled, never."""
    url: str | None
    """Where it is read from, without secrets; `None`: it is disabled."""


async def source_views(database: Database, feeds: Sequence[Feed], now: datetime) -> list[SourceView]:
    """Of all sources that there are, by name. Raises SQLAlchemyError."""
    sources = {name: _unread(source.facts) for name, source in all_sources().items()}
    async with database.open_session(read_only=True) as session:
        sources |= {source.name: source for source in await runs.known_sources(session)}
        for feed in feeds:
            state = await runs.source_state(session, feed.name, fingerprint(feed.url))
            sources[feed.name] = replace(_unread(feed.source.facts), state=state)
    by_name = {feed.name: feed for feed in feeds}
    return [_view(sources[name], by_name.get(name), now) for name in sorted(sources)]


def _unread(facts: SourceFacts) -> KnownSource:
    cadence_s = int(facts.cadence.total_seconds())
    about = facts.name, facts.title, facts.homepage, facts.licence, facts.licence_url, facts.attribution
    return KnownSource(*about, cadence_s, SourceState(None, None, 0, None))


def _view(source: KnownSource, feed: Feed | None, now: datetime) -> SourceView:
    success = source.state.last_success
    age = None if success is None else max(now - success.finished_at, timedelta(0))
    if feed is None:
        return SourceView(source, Freshness.DISABLED, age, None, None)
    due = next_due(source.state, feed.cadence)
    return SourceView(source, _freshness(source.state, age, feed.cadence), age, due, without_secrets(feed.url))


def _freshness(state: SourceState, age: timedelta | None, cadence: timedelta) -> Freshness:
    if state.is_failing:
        return Freshness.FAILING
    if age is None:
        return Freshness.NEVER
    return Freshness.STALE if age > _STALE_AFTER_CADENCES * cadence else Freshness.OK
