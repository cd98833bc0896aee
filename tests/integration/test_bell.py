"""A process hears of what others have committed, and looks for itself where it hears nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app.api.v1 import render
from app.db import Database
from app.db.bell import Bell, bell_of
from app.replica import Follower
from app.stations import repository
from app.stations.catalogue import Catalogue
from tests.make import NOW, station

FOR_EVER_S = 3_600.0


@pytest.fixture
async def bell(database: Database) -> AsyncIterator[Bell]:
    bell = bell_of(database.url)
    yield bell
    await bell.close()


async def store(database: Database, name: str) -> None:
    async with database.open_session() as session:
        await repository.store(session, "test", [station(name)], NOW)


async def test_changes_of_others_are_applied_before_the_next_poll(database: Database, bell: Bell) -> None:
    follower = Follower(Catalogue(database), render.summary)
    await follower.catch_up()
    following = asyncio.create_task(follower.run(FOR_EVER_S, bell.wait))
    other = Database(database.url)
    try:
        for number in range(1, 6):
            await store(other, str(number))
            async with asyncio.timeout(10):
                while len(follower.replica) < number:
                    await asyncio.sleep(0.001)
    finally:
        following.cancel()
        await asyncio.wait([following])
        await other.close()


async def test_what_was_committed_between_two_waits_ends_the_second(database: Database, bell: Bell) -> None:
    await bell.wait(0.2)
    await store(database, "1")
    await asyncio.wait_for(bell.wait(FOR_EVER_S), 10)


async def test_what_was_committed_before_it_first_listened_ends_the_first_wait(
    database: Database, bell: Bell
) -> None:
    await store(database, "1")
    await asyncio.wait_for(bell.wait(FOR_EVER_S), 10)


async def test_when_nothing_happens_it_waits_as_long_as_it_is_told(database: Database, bell: Bell) -> None:
    await bell.wait(0.2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await bell.wait(0.3)
    assert loop.time() - began >= 0.29


async def test_a_database_that_is_away_only_means_to_wait(tmp_path_factory: pytest.TempPathFactory) -> None:
    for url in (f"sqlite:///{tmp_path_factory.mktemp('none')}/none.db", "postgresql://nobody@127.0.0.1:1/none"):
        database = Database(url)
        bell = bell_of(database.url)
        await asyncio.wait_for(bell.wait(0.05), 10)
        await bell.close()
        await database.close()


async def test_a_lost_connection_is_made_anew(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    bell = bell_of(database.url)
    try:
        await bell.wait(0.5)
        listeners = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        async with database.open_session() as session:
            lost = (await session.execute(text(f"SELECT pg_terminate_backend(pid) {listeners}"))).all()
        assert lost == [(True,)]
        await bell.wait(0.05)  # notices
        await bell.wait(0.5)  # is there again
        await store(database, "1")
        await asyncio.wait_for(bell.wait(FOR_EVER_S), 10)
    finally:
        await bell.close()
        await database.close()
