"""The replica against the database that it follows."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy import delete, text, update

from app.api.v1 import render
from app.db import Database
from app.errors import DatabaseUnavailableError, NotReadyError
from app.replica import Follower
from app.stations import Station, live, repository, runs
from app.stations.catalogue import Catalogue
from app.stations.feed import prune
from app.stations.live import Observation
from app.stations.model import Connector, Evse
from app.stations.query import StationQuery
from app.stations.tables import Change
from app.stations.vocabulary import ConnectorType, EvseStatus
from tests.make import FACTS, NOW, station


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def follower(database: Database, clock: Clock) -> Follower:
    return Follower(Catalogue(database), render.summary, clock)


def _titles(follower: Follower) -> list[str]:
    return [item["title"] for item in orjson.loads(follower.replica.search(StationQuery()).body)]


def _statuses(follower: Follower) -> list[str]:
    return [item["status"] for item in orjson.loads(follower.replica.search(StationQuery()).body)]


async def _store(database: Database, *names: str, **fields: object) -> None:
    async with database.open_session() as session:
        await repository.store(session, "test", [station(name, **fields) for name in names], NOW)


async def test_nothing_is_answered_before_the_first_load(follower: Follower) -> None:
    assert follower.age_s is None
    with pytest.raises(NotReadyError):
        follower.replica.search(StationQuery())


async def test_it_loads_then_follows_every_change(database: Database, follower: Follower) -> None:
    await _store(database, "a", "b")
    await follower.catch_up()
    assert _titles(follower) == ["Station a", "Station b"]
    await _store(database, "c")
    await _store(database, "a", title="renamed")
    async with database.open_session() as session:
        await repository.remove(session, "test", ["b"], NOW)
    await follower.catch_up()
    assert _titles(follower) == ["renamed", "Station c"]
    async with database.open_session() as session:
        await session.execute(delete(Station).where(Station.external_id == "a"))
        await session.execute(update(Station).where(Station.external_id == "b").values(deleted_at=None))
    await follower.catch_up()
    assert _titles(follower) == ["Station b", "Station c"]


async def test_changes_are_applied_without_loading_anew(
    database: Database, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _store(database, "a")
    await follower.catch_up()
    monkeypatch.setattr(Catalogue, "all_stations", None)
    await _store(database, *(str(n) for n in range(2_500)))
    await follower.catch_up()
    assert len(follower.replica) == 2_501


async def test_a_station_has_another_version_with_whatever_changes_in_it(
    database: Database, follower: Follower
) -> None:
    async def version(statement: str | None = None) -> int | None:
        if statement:
            async with database.open_session() as session:
                await session.execute(text(statement))
        await follower.catch_up()
        return follower.replica.version_of(station_id)

    await _store(database, "a", "b")
    async with database.open_session() as session:
        station_id = (await repository.ids_of(session, "test", ["a"]))["a"]
        seen = Observation(station_id, "1", EvseStatus.AVAILABLE, NOW)
        await live.observe(session, "test", [seen], NOW)
        await runs.register_source(session, FACTS.as_row())
    versions = [
        await version(),
        await version("UPDATE stations SET title = 'by hand'"),
        await version("UPDATE evse_status SET observed_at = '2026-05-01 12:00:01.000000'"),
        await version("UPDATE sources SET attribution = 'Somebody'"),
    ]
    assert len(set(versions)) == 4
    again = Follower(Catalogue(database), render.summary, follower._now)
    await again.catch_up()
    assert again.replica.version_of(station_id) == versions[-1]
    assert await version("UPDATE stations SET deleted_at = created_at WHERE external_id = 'a'") is None


async def test_facts_of_a_source_that_stay_as_they_are_are_no_change(database: Database, follower: Follower) -> None:
    await _store(database, "a")
    async with database.open_session() as session:
        await runs.register_source(session, FACTS.as_row())
    await follower.catch_up()
    async with database.open_session() as session:
        before = (await session.execute(text("SELECT count(*) FROM changes"))).scalar_one()
        await runs.register_source(session, FACTS.as_row())
        assert (await session.execute(text("SELECT count(*) FROM changes"))).scalar_one() == before


async def test_it_loads_anew_when_its_place_in_the_feed_is_gone(database: Database, follower: Follower) -> None:
    await _store(database, "a")
    await follower.catch_up()
    await _store(database, "b")
    await _store(database, "c")
    async with database.open_session() as session:
        await prune(session, datetime.now(UTC) + timedelta(days=2))
        assert len((await session.execute(text("SELECT seq FROM changes"))).all()) == 1
    await follower.catch_up()
    assert _titles(follower) == ["Station a", "Station b", "Station c"]
    async with database.open_session() as session:
        await session.execute(delete(Change))
        await session.execute(text("DELETE FROM stations WHERE external_id = 'a'"))
    await follower.catch_up()
    assert _titles(follower) == ["Station b", "Station c"]


async def test_a_live_status_is_shown_until_it_is_too_old(
    database: Database, follower: Follower, clock: Clock
) -> None:
    await _store(database, "a")
    async with database.open_session() as session:
        ids = await repository.ids_of(session, "test", ["a"])
    await follower.catch_up()
    assert _statuses(follower) == ["unknown"]
    async with database.open_session() as session:
        seen = Observation(ids["a"], "1", EvseStatus.AVAILABLE, NOW)
        await live.observe(session, "test", [seen], NOW, timedelta(seconds=60))
    await follower.catch_up()
    assert _statuses(follower) == ["available"]
    clock.now = NOW + timedelta(seconds=59)
    await follower.catch_up()
    assert _statuses(follower) == ["available"]
    clock.now = NOW + timedelta(seconds=60)
    await follower.catch_up()
    assert _statuses(follower) == ["unknown"]
    available = StationQuery.model_validate({"status": "available"})
    assert follower.replica.search(available).body == b"[]"
    assert follower.replica.age(clock.now) == []  # told of once, not at every poll


async def test_states_of_one_evse_or_of_several_come_and_go(database: Database, follower: Follower) -> None:
    evses = tuple(Evse(uid=uid, connectors=(Connector(type=ConnectorType.CCS2),)) for uid in "123")
    await _store(database, "a", "b", evses=evses)
    async with database.open_session() as session:
        a, b = (await repository.ids_of(session, "test", ["a", "b"])).values()
    await follower.catch_up()
    for told, forgotten in (
        ([(a, "1", EvseStatus.AVAILABLE)], ""),
        ([(a, "2", EvseStatus.CHARGING), (a, "3", EvseStatus.OUTOFORDER), (b, "2", EvseStatus.AVAILABLE)], ""),
        ([(b, "2", EvseStatus.CHARGING)], "evse_uid = '1'"),
        ([(b, "1", EvseStatus.AVAILABLE), (b, "no such EVSE", EvseStatus.AVAILABLE)], "evse_uid IN ('2', '3')"),
    ):
        async with database.open_session() as session:
            await live.observe(session, "test", [Observation(*each, NOW) for each in told], NOW)
        await follower.catch_up()
        async with database.open_session() as session:
            if forgotten:
                await session.execute(text(f"DELETE FROM evse_status WHERE {forgotten}"))
        await follower.catch_up()
        anew = Follower(Catalogue(database), render.summary, follower._now)
        await anew.catch_up()
        assert [follower.replica.version_of(each) for each in (a, b)] == [
            anew.replica.version_of(each) for each in (a, b)
        ]
        assert follower.replica.search(StationQuery()) == anew.replica.search(StationQuery())


async def test_a_word_written_by_hand_poisons_nothing(database: Database, follower: Follower) -> None:
    await _store(database, "a")
    async with database.open_session() as session:
        ids = await repository.ids_of(session, "test", ["a"])
        await live.observe(session, "test", [Observation(ids["a"], "1", EvseStatus.AVAILABLE, NOW)], NOW)
        await session.execute(text("UPDATE evse_status SET status = 'Available'"))
    await follower.catch_up()
    assert _statuses(follower) == ["unknown"]


async def test_its_age_grows_while_the_database_is_away(database: Database, follower: Follower, clock: Clock) -> None:
    await _store(database, "a")
    await follower.catch_up()
    assert follower.age_s == 0
    async with database.open_session() as session:
        await session.execute(text("ALTER TABLE changes RENAME TO hidden"))
    clock.now = NOW + timedelta(seconds=90)
    with pytest.raises(DatabaseUnavailableError):
        await follower.catch_up()
    assert follower.age_s == 90
    assert _titles(follower) == ["Station a"]
