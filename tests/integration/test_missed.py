"""A reader that comes back, to whatever process, learns all that it has missed."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from app.db import Database
from app.live import Hub, TooFarBackError, Watch, missed, present
from app.replica import Follower
from app.replica.slots import Fragment
from app.stations import live, repository
from app.stations.catalogue import Catalogue
from app.stations.changes import FEED_START, FeedPosition
from app.stations.feed import prune
from app.stations.live import Observation
from app.stations.model import StoredStation
from app.stations.query import Box
from app.stations.vocabulary import EvseStatus
from tests.make import NOW, station

HOUR = timedelta(hours=1)
NAMES = [str(n) for n in range(8)]
WEST = Box(0.0, 40.0, 10.0, 60.0)
WATCHES = (Watch(), Watch(box=WEST), Watch(ids=frozenset(range(1, 5))))


class Process:
    """One of several that serve the same database."""

    def __init__(self, database: Database) -> None:
        self.now = NOW
        self.hub = Hub(lambda place, *_: place.encode(), 10)
        self.catalogue = Catalogue(database)
        self.follower = Follower(self.catalogue, lambda _: Fragment(b"{", b""), lambda: self.now, listener=self.hub)

    async def knows(self, watch: Watch) -> dict[int, str]:
        stations = present(self.catalogue, self.follower.replica, watch, self.now)
        return {station.id: _state(station) async for station in stations}

    async def told(self, watch: Watch, since: FeedPosition) -> dict[int, str]:
        changes = missed(self.catalogue, self.follower.replica, watch, since, self.now)
        return {
            station_id: "gone" if station is None else _state(station) async for _, station_id, station in changes
        }


def _state(station: StoredStation | None) -> str:
    return station.evses[0].status if station else "gone"


async def _store(database: Database, name: str, longitude: float) -> None:
    async with database.open_session() as session:
        await repository.store(session, "test", [station(name, longitude=longitude)], NOW)


async def _observe(database: Database, station_id: int, status: EvseStatus, at: datetime) -> None:
    async with database.open_session() as session:
        await live.observe(session, "test", [Observation(station_id, "1", status, at)], at, HOUR)


async def _change_something(database: Database, random: Random, at: datetime) -> None:
    name = random.choice(NAMES)
    async with database.open_session() as session:
        ids = await repository.ids_of(session, "test", [name])
    match random.choice(["move", "remove", "observe", "observe"]):
        case "remove":
            async with database.open_session() as session:
                await repository.remove(session, "test", [name], at)
        case "observe" if ids:
            status = random.choice([EvseStatus.AVAILABLE, EvseStatus.CHARGING])
            await _observe(database, ids[name], status, at)
        case _:
            await _store(database, name, random.choice([5.0, 20.0]))


@pytest.mark.parametrize("watch", WATCHES, ids=["all", "box", "ids"])
async def test_what_it_knew_and_what_it_missed_are_what_there_is(database: Database, watch: Watch) -> None:
    random = Random(1)  # noqa: S311 - the same in every run
    left, joined = Process(database), Process(database)
    for name in NAMES:
        await _store(database, name, 5.0)
    for _ in range(12):
        await left.follower.catch_up()
        known = await left.knows(watch)
        since = left.hub.position
        for _ in range(random.randrange(6)):
            await _change_something(database, random, NOW)
        await joined.follower.catch_up()
        for station_id, state in (await joined.told(watch, since)).items():
            if state == "gone":
                known.pop(station_id, None)
            else:
                known[station_id] = state
        assert known == await joined.knows(watch)


async def test_a_state_that_grew_too_old_meanwhile_is_told(database: Database) -> None:
    first, second = Process(database), Process(database)
    await _store(database, "a", 5.0)
    await _store(database, "b", 5.0)
    first.now = datetime.now(UTC)  # as the database's clock goes, too
    await _observe(database, 1, EvseStatus.AVAILABLE, first.now)
    await first.follower.catch_up()
    since = first.hub.position
    assert await first.knows(Watch()) == {1: "AVAILABLE", 2: "UNKNOWN"}
    second.now = first.now + 2 * HOUR
    await second.follower.catch_up()
    assert await second.told(Watch(), since) == {1: "UNKNOWN"}
    assert await second.told(Watch(ids=frozenset({2})), since) == {}


async def test_who_was_away_too_long_is_told_to_begin_anew(database: Database) -> None:
    process = Process(database)
    await _store(database, "a", 5.0)
    await process.follower.catch_up()
    since = process.hub.position
    for longitude in (6.0, 7.0):
        await _store(database, "a", longitude)
    async with database.open_session() as session:
        await prune(session, datetime.max.replace(tzinfo=UTC))
    await process.follower.catch_up()
    for place in (since, FEED_START, FeedPosition(10**9, 10**9)):
        with pytest.raises(TooFarBackError):
            await process.told(Watch(), place)
    assert await process.told(Watch(), process.hub.position) == {}
