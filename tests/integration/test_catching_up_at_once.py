"""Several that want the replica to be up to date at the same time."""

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import datetime

import pytest

from app.api.v1 import render
from app.db import Database
from app.replica import Follower
from app.stations import repository
from app.stations.catalogue import Catalogue
from app.stations.changes import Changes, EvsesOf, FeedPosition
from app.stations.model import EvseObservation, StoredStation
from tests.make import NOW, station


class Gate:
    """A catalogue that waits to be let through when it is asked for changes, and counts how often."""

    def __init__(self, database: Database) -> None:
        self._catalogue = Catalogue(database)
        self.asked = 0
        self.entered = asyncio.Event()
        self.may_pass = asyncio.Event()

    async def position(self) -> FeedPosition:
        return await self._catalogue.position()

    def all_stations(self, now: datetime) -> AsyncIterator[list[StoredStation]]:
        return self._catalogue.all_stations(now)

    async def written_at(self, position: FeedPosition) -> datetime | None:
        return await self._catalogue.written_at(position)

    async def changes_after(self, position: FeedPosition) -> Changes | None:
        self.asked += 1
        changes = await self._catalogue.changes_after(position)
        self.entered.set()
        await self.may_pass.wait()
        return changes

    async def get_many(self, ids: Collection[int], now: datetime) -> list[StoredStation]:
        return await self._catalogue.get_many(ids, now)

    async def observed_of(self, asked: EvsesOf) -> list[EvseObservation]:
        return await self._catalogue.observed_of(asked)


async def _write(database: Database, name: str) -> None:
    async with database.open_session() as session:
        await repository.store(session, "test", [station(name)], NOW)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_whoever_waits_sees_its_own_write_and_shares_the_next_turn(database: Database) -> None:
    await _write(database, "first")
    gate = Gate(database)
    follower = Follower(gate, render.summary)
    await follower.catch_up()
    running = asyncio.create_task(follower.catch_up())
    await asyncio.wait_for(gate.entered.wait(), 10)  # it has read the feed before the next write
    await _write(database, "second")
    waiting = [asyncio.create_task(follower.catch_up()) for _ in range(10)]
    await asyncio.sleep(0)  # each of them has asked for its turn
    gate.may_pass.set()
    await asyncio.wait_for(asyncio.gather(running, *waiting), 10)
    assert len(follower.replica) == 2
    assert gate.asked == 2
