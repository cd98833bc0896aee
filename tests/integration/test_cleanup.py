"""What imports leave behind goes when it is of no more use, and not before; on both databases."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from app.db import Database
from app.ingest.cleanup import DOWNLOADS_KEPT_FOR, Retention, clean_up
from app.replica import Follower
from app.replica.slots import Fragment
from app.stations import Station, live, repository, runs
from app.stations.catalogue import Catalogue
from app.stations.tables import EvseStatusRow, ImportRun
from app.stations.vocabulary import EvseStatus
from tests.make import FACTS, station

NOW = datetime.now(UTC)
KEPT = Retention(imports=timedelta(days=30), vanished=timedelta(days=60))
NOTHING = {
    "imports_ended": 0,
    "imports_deleted": 0,
    "stations_deleted": 0,
    "status_changes_deleted": 0,
    "rejection_lists_deleted": 0,
    "downloads_deleted": 0,
}


async def test_where_nothing_is_old_nothing_is_deleted(database: Database, tmp_path: Path) -> None:
    assert await clean_up(database, tmp_path, KEPT, NOW) == NOTHING


async def test_stations_that_vanished_long_ago_go_with_their_status(database: Database, tmp_path: Path) -> None:
    async with database.open_session() as session:
        await runs.register_source(session, FACTS.as_row())
        await repository.store(session, "test", [station(str(n)) for n in range(2_500)], NOW)
        ids = await repository.ids_of(session, "test", ["0", "2499"])
        seen = [live.Observation(number, "1", EvseStatus.AVAILABLE, NOW) for number in ids.values()]
        await live.observe(session, "test", seen, NOW)
        await repository.remove(session, "test", [str(n) for n in range(2_400)], NOW - timedelta(days=61))
        await repository.remove(session, "test", [str(n) for n in range(2_400, 2_450)], NOW - timedelta(days=59))
    follower = Follower(Catalogue(database), lambda stored: Fragment(str(stored.id).encode(), b""))
    await follower.catch_up()
    assert await clean_up(database, tmp_path, KEPT, NOW) == NOTHING | {"stations_deleted": 2_400}
    async with database.open_session(read_only=True) as session:
        assert await session.scalar(select(func.count()).select_from(Station)) == 100
        assert (await session.scalars(select(EvseStatusRow.station_id))).all() == [ids["2499"]]
    await follower.catch_up()  # those who follow meet the deletions, and lose nothing else
    assert len(follower.replica) == 50


async def test_no_station_goes_before_every_process_can_have_heard_of_it(database: Database, tmp_path: Path) -> None:
    async with database.open_session() as session:
        await repository.store(session, "test", [station()], NOW)
        await repository.remove(session, "test", ["1"], NOW - timedelta(hours=30))
    assert await clean_up(database, tmp_path, Retention(vanished=timedelta(0)), NOW) == NOTHING


async def _run(
    database: Database, age: timedelta, *, error: str | None = None, ends: bool = True, input_unchanged: bool = False
) -> int:
    async with database.open_session() as session:
        run_id = await runs.start_run(session, "test", runs.Input("file", "key"), False, NOW - age)
        if ends:
            end = runs.RunEnd(NOW - age, {}, error, input_unchanged=input_unchanged)
            await runs.finish_run(session, run_id, end)
    return run_id


async def test_old_imports_go_but_for_those_that_the_next_goes_by(database: Database, tmp_path: Path) -> None:
    day = timedelta(days=1)
    older, imported = await _run(database, 90 * day), await _run(database, 80 * day)
    unchanged_before, unchanged = [await _run(database, n * day, input_unchanged=True) for n in (70, 60)]
    failed, recent = await _run(database, 50 * day, error="no"), await _run(database, 5 * day, error="no")
    assert await clean_up(database, tmp_path, KEPT, NOW) == NOTHING | {"imports_deleted": 3}
    async with database.open_session(read_only=True) as session:
        left = set((await session.scalars(select(ImportRun.id))).all())
        state = await runs.source_state(session, "test")
    assert left == {imported, unchanged, recent}
    assert not left & {older, unchanged_before, failed}
    assert state.last_import is not None
    assert state.failures == 1


async def test_an_import_whose_process_was_killed_gets_its_end(database: Database, tmp_path: Path) -> None:
    killed = await _run(database, timedelta(days=2), ends=False)
    under_way = await _run(database, timedelta(hours=2), ends=False)
    assert await clean_up(database, tmp_path, KEPT, NOW) == NOTHING | {"imports_ended": 1}
    async with database.open_session(read_only=True) as session:
        ended = {run.id: run.error for run in await session.scalars(select(ImportRun))}
    assert ended == {killed: "The process was stopped.", under_way: None}


async def test_old_files_go(database: Database, tmp_path: Path) -> None:
    for folder, kept_for in (("rejections", KEPT.imports), ("downloads", DOWNLOADS_KEPT_FOR)):
        for name, age in (("old", kept_for + timedelta(hours=1)), ("new", kept_for - timedelta(hours=1))):
            file = tmp_path / folder / name
            file.parent.mkdir(exist_ok=True)
            file.touch()
            written = (datetime.now(UTC) - age).timestamp()
            os.utime(file, (written, written))
    deleted = {"rejection_lists_deleted": 1, "downloads_deleted": 1}
    assert await clean_up(database, tmp_path, KEPT, NOW) == NOTHING | deleted
    assert {path.name for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".db"} >= {"new"}
    assert not list(tmp_path.rglob("old"))
