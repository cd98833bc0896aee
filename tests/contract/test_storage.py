"""What both databases must do alike."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, select, text

from app.db import Database
from app.db.dialect import see_one_state
from app.db.migrate import check_for_drift, migrate, require_current
from app.errors import SchemaMissingError
from app.stations import Station, StationCreate, live, repository
from app.stations.changes import FEED_START
from app.stations.feed import changes_after, current_position, first_after, prune, written_at
from app.stations.live import Observation
from app.stations.model import Evse, StoredStation
from app.stations.repository import Written
from app.stations.tables import Change
from app.stations.vocabulary import Access, EvseStatus
from tests.make import NOW, station

LATER = NOW + timedelta(hours=1)


async def store(database: Database, *stations: StationCreate, now: datetime = NOW) -> Written:
    async with database.open_session() as session:
        return await repository.store(session, "test", stations, now)


async def read_all(database: Database, now: datetime = NOW) -> list[StoredStation]:
    async with database.open_session(read_only=True) as session:
        pages = [page async for page in repository.all_stations(session, now)]
    return [each for page in pages for each in page]


def test_migrations_lead_to_the_mapped_tables(database_url: str) -> None:
    check_for_drift(database_url)
    require_current(database_url)


def test_migrating_again_does_nothing(database_url: str) -> None:
    migrate(database_url)
    require_current(database_url)


def test_a_database_without_tables_is_refused_with_the_command_to_run(tmp_path: object) -> None:
    with pytest.raises(SchemaMissingError, match="voltway migrate"):
        require_current(f"sqlite:///{tmp_path}/none.db")


async def test_a_session_that_sees_one_state_misses_nothing_that_moves_meanwhile(database: Database) -> None:
    await store(database, *(station(f"{n:04}") for n in range(2 * repository.PAGE)))
    async with database.open_session(read_only=True) as session:
        await see_one_state(session)
        pages = repository.selected_stations(session, repository.Selection(country=None), NOW)
        seen = [each.title for each in await anext(pages)]
        last = f"{2 * repository.PAGE - 1:04}"
        async with database.open_session() as other:
            await repository.remove(other, "test", [last], LATER)
            await repository.store(
                other, "test", [station("new"), station(f"{repository.PAGE:04}", title="Moved")], LATER
            )
        seen += [each.title async for page in pages for each in page]
    assert seen == [f"Station {n:04}" for n in range(2 * repository.PAGE)]


async def test_a_station_is_read_back_as_it_was_stored(database: Database) -> None:
    given = station(
        operator="Stadtwerke Größenwahn",
        address="Straße 1",
        city="Łódź",
        postal_code="01-234",
        country="PL",
        access=Access.PUBLIC,
        opening_hours="24/7",
        price="0,49 €",
    )
    await store(database, given)
    (read,) = await read_all(database)
    for name, value in given:
        if name != "evses":
            assert getattr(read, name) == value
    assert read.evses[0].uid == "1"
    assert read.evses[0].connectors == [{"type": "ccs2", "power_kw": 50.0}]
    assert read.created_at == read.last_updated == NOW


async def test_equal_content_is_not_written_again(database: Database) -> None:
    first = await store(database, station("1"), station("2"))
    assert (first.new, first.updated, first.unchanged) == ([0, 1], [], [])
    async with database.open_session() as session:
        position = await current_position(session)
    again = await store(database, station("1"), station("2", title="renamed"), station("3"), now=LATER)
    assert (again.new, again.updated, again.unchanged) == ([2], [1], [0])
    one, two, three = await read_all(database)
    assert (one.last_updated, two.last_updated, three.last_updated) == (NOW, LATER, LATER)
    assert two.created_at == NOW
    async with database.open_session() as session:
        changes = await session.run_sync(changes_after, position)
    assert changes is not None
    assert changes.stations.keys() == {two.id, three.id}


async def test_a_dry_run_tells_and_stores_nothing(database: Database) -> None:
    async with database.open_session(read_only=True) as session:
        written = await repository.store(session, "test", [station()], NOW, dry_run=True)
    assert written.new == [0]
    assert await read_all(database) == []


async def test_a_removed_station_is_in_no_answer_and_comes_back_with_its_id(database: Database) -> None:
    await store(database, station("1"), station("2"))
    before = {each.external_id: each.id for each in await read_all(database)}
    async with database.open_session() as session:
        assert await repository.remove(session, "test", ["2", "unheard of"], NOW) == 1
        assert await repository.remove(session, "test", ["2"], NOW) == 0
        assert await repository.count(session) == 1
    assert [each.external_id for each in await read_all(database)] == ["1"]
    assert (await store(database, station("2"))).updated == [0]
    assert {each.external_id: each.id for each in await read_all(database)} == before


async def test_a_station_added_by_the_orm_gets_its_derived_columns(database: Database) -> None:
    async with database.open_session() as session:
        session.add(Station(**station(country="DE").dict()))
        session.add(Station(**StationCreate(title="bare", longitude=1, latitude=2).model_dump()))
    unchanged = await store(database, station(country="DE"))
    assert unchanged.unchanged == [0]
    async with database.open_session() as session:
        bare = (await session.execute(select(Station).where(Station.title == "bare"))).scalar_one()
        assert (bare.evse_count, bare.connector_mask, bare.max_power_kw) == (0, 0, None)
        before = bare.last_updated
        bare.title = "changed"
    assert bare.last_updated > before


async def test_a_unit_of_work_that_fails_leaves_nothing(database: Database) -> None:
    async def fail_halfway() -> None:
        async with database.open_session() as session:
            await repository.store(session, "test", [station()], NOW)
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        await fail_halfway()
    assert await read_all(database) == []


async def test_external_ids_come_in_pages_that_hold_them_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "PAGE", 3)
    await store(database, *(station(str(n)) for n in range(7)))
    async with database.open_session(read_only=True) as session:
        pages = [page async for page in repository.external_ids(session, "test")]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert sorted(each for page in pages for each in page) == [str(n) for n in range(7)]


async def test_live_status_outranks_the_record_until_it_is_too_old(database: Database) -> None:
    await store(database, station())
    (read,) = await read_all(database)
    async with database.open_session() as session:
        seen = Observation(read.id, "1", EvseStatus.AVAILABLE, NOW)
        await live.observe(session, "feed", [seen], NOW, timedelta(seconds=60))
    (fresh,) = await read_all(database, NOW + timedelta(seconds=59))
    assert (fresh.evses[0].status, fresh.evses[0].observed_at) == (EvseStatus.AVAILABLE, NOW)
    assert fresh.evses[0].expires_at == NOW + timedelta(seconds=60)
    (stale,) = await read_all(database, NOW + timedelta(seconds=60))
    assert stale.evses[0].status is EvseStatus.UNKNOWN
    assert stale.evses[0].stale_since == NOW + timedelta(seconds=60)


async def test_every_way_to_write_is_in_the_change_feed(database: Database) -> None:
    await store(database, station("1"), station("2"), station("3"))
    one, two, three = await read_all(database)
    async with database.open_session() as session:
        position = await current_position(session)
        assert await session.run_sync(changes_after, position) is not None
    async with database.open_session() as session:
        await live.observe(session, "test", [Observation(one.id, "1", EvseStatus.CHARGING, NOW)], NOW)
        await session.execute(text("UPDATE stations SET title = 'by hand' WHERE external_id = '2'"))
        await session.execute(delete(Station).where(Station.external_id == "3"))
    async with database.open_session() as session:
        changes = await session.run_sync(changes_after, position)
    assert changes is not None
    assert changes.stations.keys() == {one.id, two.id, three.id}
    assert changes.rewritten == {two.id, three.id}
    assert changes.restated[one.id] == {"1"}


async def test_a_change_names_the_evse_unless_several_change_at_once(database: Database) -> None:
    evses = tuple(Evse(uid=uid) for uid in "123")
    await store(database, station("1", evses=evses), station("2", evses=evses))
    one, two = await read_all(database)
    async with database.open_session() as session:
        position = await current_position(session)
    async with database.open_session() as session:
        seen = [(one.id, "1"), (two.id, "2"), (two.id, "3")]
        await live.observe(session, "test", [Observation(*each, EvseStatus.CHARGING, NOW) for each in seen], NOW)
    async with database.open_session() as session:
        changes = await session.run_sync(changes_after, position)
    assert changes is not None
    several = {"2", "3"} if database.url.get_backend_name() == "sqlite" else {None}
    assert changes.restated == {one.id: {"1"}, two.id: several}
    assert changes.since is not None
    async with database.open_session() as session:
        assert changes.since == await written_at(session, position)


async def test_a_reader_takes_the_feed_in_pieces(database: Database) -> None:
    await store(database, station("0"))
    async with database.open_session() as session:
        position = await current_position(session)
    await store(database, *(station(str(n)) for n in range(1, 6)))
    seen: set[int] = set()
    more = True
    while more:
        async with database.open_session() as session:
            changes = await session.run_sync(changes_after, position, 2)
        assert changes is not None
        assert len(changes.stations.keys()) <= 2
        seen |= changes.stations.keys()
        position, more = changes.position, changes.more
    assert len(seen) == 5


async def test_what_has_changed_is_found_without_looking_through_the_feed(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    await store(database, station("1"))
    plans: list[str] = []

    def explain(connection: Any, _: object, statement: str, parameters: Any, *__: object) -> None:
        if not statement.startswith("EXPLAIN") and re.search("changes.seq [<>]|[<>] changes.seq", statement):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append("; ".join(step.detail for step in plan.fetchall()))

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        async with database.open_session() as session:
            await session.run_sync(changes_after, FEED_START)
            await first_after(session, FEED_START)
            await prune(session, NOW + timedelta(days=3_650))
    finally:
        event.remove(Engine, "before_cursor_execute", explain)
    await database.close()
    assert len(plans) == 3
    assert all("INDEX ix_changes_tx_seq (tx=? AND seq" in plan for plan in plans), plans


async def test_a_reader_whose_place_was_pruned_is_told_to_start_anew(database: Database) -> None:
    await store(database, station("1"))
    async with database.open_session() as session:
        old = await current_position(session)
    await store(database, station("2"))
    async with database.open_session() as session:
        new = await current_position(session)
        await prune(session, NOW + timedelta(days=3_650))
        assert await session.run_sync(changes_after, old) is None
        up_to_date = await session.run_sync(changes_after, new)
        assert up_to_date is not None
        assert up_to_date.stations.keys() == set()


async def test_pruning_keeps_what_is_young(database: Database) -> None:
    await store(database, station("1"), station("2"))
    async with database.open_session() as session:
        await prune(session, NOW - timedelta(days=36_500))
        assert len((await session.execute(select(Change))).all()) == 2


async def test_a_late_commit_is_not_skipped(postgresql_url: str) -> None:
    """On PostgreSQL the second transaction may commit, with higher numbers, before the first."""
    database = Database(postgresql_url)
    await store(database, station("0"))
    async with database.open_session() as session:
        position = await current_position(session)
    async with database.open_session() as slow:
        await repository.store(slow, "test", [station("slow")], NOW)
        async with database.open_session() as session:
            other = StationCreate(source="other", external_id="fast", title="fast", longitude=0, latitude=1)
            await repository.store(session, "other", [other], NOW)
        async with database.open_session() as session:
            between = await session.run_sync(changes_after, position)
    assert between is not None
    async with database.open_session() as session:
        after = await session.run_sync(changes_after, between.position)
        ids = await repository.ids_of(session, "test", ["slow"]) | await repository.ids_of(session, "other", ["fast"])
    assert after is not None
    assert between.stations.keys() | after.stations.keys() == set(ids.values())
    await database.close()


async def test_a_truncated_table_makes_readers_start_anew(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    await store(database, station())
    async with database.open_session() as session:
        position = await current_position(session)
    async with database.open_session() as session:
        await session.execute(text("TRUNCATE stations CASCADE"))
    async with database.open_session() as session:
        assert await session.run_sync(changes_after, position) is None
    await database.close()


async def test_erasing_a_source_leaves_the_others(database: Database) -> None:
    await store(database, station())
    async with database.open_session() as session:
        other = StationCreate(source="other", title="stays", longitude=0, latitude=0)
        await repository.store(session, "other", [other], NOW)
        assert await repository.erase_source(session, "test") == 1
    assert [each.title for each in await read_all(database)] == ["stays"]


async def test_the_feed_is_pruned_from_its_front_in_steps(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.stations.feed._STEP", 3)
    async with database.open_session() as session:
        await repository.store(session, "test", [station(str(n)) for n in range(10)], NOW)
    now, left = datetime.now(UTC), []
    for most in (100, 4, 4, 4, 4):
        async with database.open_session() as session:
            more = await prune(session, now, most)
            seqs = (await session.scalars(select(Change.seq).order_by(Change.seq))).all()
        left.append((more, len(seqs), seqs[-1] - seqs[0]))
    assert left == [(False, 10, 9), (True, 7, 6), (False, 4, 3), (False, 4, 3), (False, 4, 3)]
    async with database.open_session() as session:
        while await prune(session, now + timedelta(days=2)):
            pass
        assert len((await session.scalars(select(Change.seq))).all()) == 1
