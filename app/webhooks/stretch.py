"""What has happened since a place: the same for all webhooks that have come as far."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app.replica import Place, place_of
from app.stations import feed, live, repository
from app.stations.model import StoredStation
from app.webhooks.places import Reached

MAX_CHANGES = 2_000
"""Looked through at a time."""
LOOK_FOR_STALE_EVERY = timedelta(minutes=1)
"""It takes longer than reading the feed."""
_PAGE = 200

States = Callable[[StoredStation], dict[str, Any]]
"""What is told of a station."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Stations of which there is something to tell, in the order of what happened."""

    stations: dict[int, Reached]
    """With each, how far the receiver is told who is told of it and of all before it."""
    rewritten: frozenset[int]
    """Those of them that may be elsewhere, or gone."""
    end: Reached
    """How far the receiver is told who is told of all."""
    is_whole: bool
    """Whether there is nothing after it."""


class Told(NamedTuple):
    """A station that there is."""

    place: Place
    event: bytes


async def stretch_after(session: AsyncSession, reached: Reached, now: datetime) -> Stretch | None:
    """What comes after that place; `None`: it is not known any more."""
    if reached.is_between or now - reached.stale_to >= LOOK_FOR_STALE_EVERY:
        return await _stale_after(session, reached, max(now, reached.stale_to))
    changes = await session.run_sync(feed.changes_after, reached.position, MAX_CHANGES)
    if changes is None:
        return None
    stations = {station_id: reached.at(position) for station_id, position in changes.stations.items()}
    return Stretch(stations, frozenset(changes.rewritten), reached.at(changes.position), not changes.more)


async def _stale_after(session: AsyncSession, reached: Reached, now: datetime) -> Stretch:
    after = reached.stale_to, reached.stale_id
    rows = await live.became_stale(session, after, now, MAX_CHANGES)
    stations: dict[int, Reached] = {}
    for ended_at, station_id in rows:
        stations.pop(station_id, None)
        stations[station_id] = reached.stale(ended_at, station_id)
    more = len(rows) == MAX_CHANGES
    end = reached.stale(*rows[-1]) if more else reached.stale(now)
    return Stretch(stations, frozenset(), end, is_whole=False)  # the feed has not been looked at


async def told_of(session: AsyncSession, ids: Collection[int], now: datetime, states: States) -> Mapping[int, Told]:
    """Those of the stations that are there, as of `now`."""
    told = {}
    for page in _pages(ids):
        for station in await repository.get_many(session, page, now):
            event = orjson.dumps({"type": "status", **states(station)}, option=orjson.OPT_UTC_Z)
            told[station.id] = Told(place_of(station), event)
    return told


def _pages(ids: Collection[int]) -> Iterator[list[int]]:
    waiting = iter(ids)
    while page := list(islice(waiting, _PAGE)):
        yield page
