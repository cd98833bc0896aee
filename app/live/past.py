"""What a reader has missed, and what there is: so that it can go on, or begin, without a gap."""

from collections.abc import AsyncIterator, Collection, Iterator
from datetime import datetime, timedelta
from itertools import islice

from app.live.watch import Watch
from app.replica import Replica
from app.stations.catalogue import Catalogue
from app.stations.changes import Changes, FeedPosition
from app.stations.model import StoredStation

MAX_MISSED = 10_000
"""Changes of stations, whoever watches them, that are looked through for a reader that comes back."""
_PAGE = 200
"""Stations read at a time, so that few are in memory for each of many readers."""
_CLOCKS_DIFFER_BY = timedelta(minutes=1)


class TooFarBackError(Exception):
    """More has changed than is told, or it is not known any more what."""


async def missed(
    catalogue: Catalogue, replica: Replica, watch: Watch, since: FeedPosition, now: datetime
) -> AsyncIterator[tuple[FeedPosition, int, StoredStation | None]]:
    """What has changed for a watcher since that position, in the order of the changes: each station's last change,
    its id, and the station itself; `None`: it is not among the watched, and perhaps was.

    To be asked for while a reader of the same watch is open, who is told of what changes meanwhile. Raises
    TooFarBackError and DatabaseUnavailableError.
    """
    changes = await _changes(catalogue, since)
    stale = replica.stale_since(changes.since - _CLOCKS_DIFFER_BY) if changes.since else []  # that is in no feed
    stations = {each: since for each in stale if each not in changes.stations} | changes.stations
    places = replica.places(stations)
    seen = {station_id for station_id, place in places.items() if watch.sees(station_id, place)}
    for page in _pages(stations):
        read = await _read(catalogue, [each for each in page if each in seen], now)
        found = {station.id: station for station in read}
        for station_id in page:
            if station_id in found:
                yield stations[station_id], station_id, found[station_id]
            elif station_id in changes.rewritten and (watch.ids is None or station_id in watch.ids):
                yield stations[station_id], station_id, None


async def _changes(catalogue: Catalogue, since: FeedPosition) -> Changes:
    changes = await catalogue.changes_after(since, MAX_MISSED)
    if changes is None or changes.more:
        raise TooFarBackError
    return changes


async def present(
    catalogue: Catalogue, replica: Replica, watch: Watch, now: datetime, after: int = 0
) -> AsyncIterator[StoredStation]:
    """The watched stations by id, those after that one, as of `now`. Raises DatabaseUnavailableError."""
    for page in _pages([station_id for station_id in ids_seen(replica, watch) if station_id > after]):
        for station in await _read(catalogue, page, now):
            yield station


def ids_seen(replica: Replica, watch: Watch) -> list[int]:
    """The watched stations."""
    if watch.ids is None:
        return replica.ids_in(watch.box, watch.types)
    places = replica.places(watch.ids)
    return sorted(station_id for station_id, place in places.items() if watch.sees(station_id, place))


async def _read(catalogue: Catalogue, ids: Collection[int], now: datetime) -> list[StoredStation]:
    return await catalogue.get_many(ids, now) if ids else []


def _pages(ids: Collection[int]) -> Iterator[list[int]]:
    waiting = iter(ids)
    while page := list(islice(waiting, _PAGE)):
        yield page
