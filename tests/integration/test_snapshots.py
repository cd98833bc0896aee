"""Processes of one machine that share snapshots of what they serve."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random

import pytest

from app.api.v1 import render
from app.db import Database
from app.errors import DatabaseUnavailableError
from app.replica import Follower, Replica, Snapshots
from app.replica import replica as replica_module
from app.replica import snapshot as snapshot_module
from app.replica.replica import HAS_KERNEL
from app.stations import live, repository, runs
from app.stations.catalogue import Catalogue
from app.stations.changes import FeedPosition
from app.stations.feed import prune
from app.stations.live import Observation
from app.stations.model import StoredStation
from app.stations.query import StationQuery
from app.stations.vocabulary import EvseStatus
from tests.make import FACTS, NOW, station, stored

MANY = [f"s{n}" for n in range(60)]


class Reader(Catalogue):
    """Counts how many times everything was read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.whole = 0

    async def all_stations(self, now: datetime) -> AsyncIterator[list[StoredStation]]:
        self.whole += 1
        await asyncio.sleep(0)
        async for page in super().all_stations(now):
            yield page


class Process:
    """What of a serving process concerns the catalogue."""

    def __init__(self, database: Database, folder: Path, catalogue: str = "one") -> None:
        self.now = NOW
        self.reader = Reader(database)
        self.follower = Follower(
            self.reader, render.summary, lambda: self.now, snapshots=Snapshots(folder, catalogue, render.summary)
        )

    def answer(self) -> tuple[bytes, int]:
        found = self.follower.replica.search(StationQuery(limit=1000))
        return found.body, found.version

    async def renewed(self) -> None:
        """Catch up, and let what that has begun come to its end."""
        await self.follower.catch_up()
        await self.follower.settled()


Start = Callable[[], Process]


@pytest.fixture(autouse=True)
def _small_catalogues_are_renewed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "_MIN_UNINDEXED", 8)


@pytest.fixture
def start(database: Database, tmp_path: Path) -> Start:
    return lambda: Process(database, tmp_path)


async def _store(database: Database, *names: str, **fields: object) -> None:
    async with database.open_session() as session:
        await runs.register_source(session, replace(FACTS, status_ttl=timedelta(hours=1)).as_row())
        await repository.store(session, "test", [station(name, **fields) for name in names], NOW)


async def _observe(database: Database, names: list[str], status: EvseStatus, at: datetime = NOW) -> None:
    async with database.open_session() as session:
        ids = await repository.ids_of(session, "test", names)
        await live.observe(session, "test", [Observation(each, "1", status, at) for each in ids.values()], NOW)


async def _reference(database: Database) -> tuple[bytes, int]:
    """By a process that shares nothing."""
    follower = Follower(Catalogue(database), render.summary, lambda: NOW)
    await follower.catch_up()
    found = follower.replica.search(StationQuery(limit=1000))
    return found.body, found.version


async def test_a_process_that_starts_reads_only_what_has_changed_since(database: Database, start: Start) -> None:
    await _store(database, *MANY)
    await start().follower.catch_up()
    await _store(database, "s1", "new", title="changed")
    await _observe(database, ["s2"], EvseStatus.AVAILABLE)
    second = start()
    await second.follower.catch_up()
    assert second.reader.whole == 0
    assert second.answer() == await _reference(database)


async def test_processes_that_start_together_read_all_stations_once(database: Database, start: Start) -> None:
    await _store(database, *MANY)
    processes = [start() for _ in range(4)]
    await asyncio.gather(*(process.follower.catch_up() for process in processes))
    assert sum(process.reader.whole for process in processes) == 1
    assert {process.answer() for process in processes} == {await _reference(database)}


async def test_what_one_renews_the_others_take(database: Database, start: Start) -> None:
    await _store(database, *MANY)
    one, other = start(), start()
    for process in (one, other):
        await process.follower.catch_up()
    await _store(database, *MANY[:20], title="changed")
    await one.renewed()
    await _store(database, "s1", "after", title="after")
    await other.renewed()
    assert not other.follower.replica.is_rebuild_due
    await other.follower.catch_up()
    assert other.answer() == await _reference(database)
    assert other.reader.whole == 0


async def test_whatever_happens_meanwhile_all_show_the_same(database: Database, start: Start) -> None:
    random = Random(5)  # noqa: S311 - not for secrets
    await _store(database, *MANY)
    processes = [start() for _ in range(3)]
    for turn in range(40):
        names = random.sample(MANY, random.randint(1, 12))
        match random.choice(("store", "remove", "observe", "observe")):
            case "store":
                await _store(database, *names, title=f"turn {turn}", operator=f"operator {turn}")
            case "remove":
                async with database.open_session() as session:
                    await repository.remove(session, "test", names, NOW)
            case "observe":
                status = random.choice(list(EvseStatus))
                await _observe(database, names, status, NOW - timedelta(minutes=random.choice((0, 30, 90))))
        process = random.choice(processes)
        if random.random() < 0.1:
            processes[processes.index(process)] = process = start()
        await process.renewed()
        assert process.answer() == await _reference(database)
        operator = StationQuery(operator=f"operator {turn}", limit=1000)
        assert process.follower.replica.search(operator).total == (
            process.answer()[0].count(b'"operator":"operator %d"' % turn)
        )
    for process in processes:
        await process.renewed()
    assert {process.answer() for process in processes} == {await _reference(database)}


async def test_a_snapshot_that_the_feed_does_not_lead_on_from_is_not_used(database: Database, start: Start) -> None:
    await _store(database, *MANY)
    await start().follower.catch_up()
    await _store(database, "s1", title="changed")
    async with database.open_session() as session:
        while await prune(session, NOW + timedelta(days=400)):
            pass
    second = start()
    await second.follower.catch_up()
    assert second.reader.whole == 1
    assert second.answer() == await _reference(database)


async def test_who_must_begin_anew_never_goes_back(database: Database, start: Start) -> None:
    """One process reads everything, the others take what it has made, and nobody an older one."""
    await _store(database, *MANY)
    one, other = start(), start()
    for process in (one, other):
        await process.follower.catch_up()
    await _store(database, "s1", title="changed")
    async with database.open_session() as session:
        await runs.register_source(session, replace(FACTS, licence="another", status_ttl=timedelta(hours=1)).as_row())
    for process in (one, other):
        await process.renewed()
        assert process.answer() == await _reference(database)
    assert (one.reader.whole, other.reader.whole) == (2, 0)


async def test_a_snapshot_of_another_catalogue_is_not_used(migrated_sqlite_file: Path, tmp_path: Path) -> None:
    """As when the database was made anew, or brought back from a backup: its feed may be as long."""
    titles = []
    for name in ("first", "second"):
        shutil.copy(migrated_sqlite_file, tmp_path / name)
        database = Database(f"sqlite:///{tmp_path / name}")
        await _store(database, *MANY, title=name)
        process = Process(database, tmp_path)
        await process.follower.catch_up()
        titles.append((process.reader.whole, process.answer() == await _reference(database)))
        await database.close()
    assert titles == [(1, True), (1, True)]


def test_a_snapshot_is_for_one_way_of_searching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the kernel rows are in no order that it could search."""
    replica = Replica(render.summary, compiled=False)
    replica.put([stored(n, n / 100, 0, []) for n in range(1, 101)], NOW)
    with monkeypatch.context() as without:
        without.setattr(snapshot_module, "HAS_KERNEL", not HAS_KERNEL)
        other = Snapshots(tmp_path, "one", render.summary)
        other.write(partial(replica.begin_rebuild().work, NOW), FeedPosition(0, 1), NOW)
        assert other.newest() is not None
    assert Snapshots(tmp_path, "one", render.summary).newest() is None


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000, b"VoltWay replica\n" + bytes(8), "half"])
async def test_a_file_that_is_no_snapshot_is_replaced(
    database: Database, start: Start, tmp_path: Path, content: bytes | str
) -> None:
    await _store(database, *MANY)
    await start().follower.catch_up()
    (file,) = tmp_path.glob("*.snapshot")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    second, third = start(), start()
    await second.follower.catch_up()
    await third.follower.catch_up()
    assert (second.reader.whole, third.reader.whole) == (1, 0)
    assert second.answer() == third.answer() == await _reference(database)


async def test_without_a_folder_each_process_reads_for_itself(database: Database, tmp_path: Path) -> None:
    await _store(database, *MANY)
    (tmp_path / "file").touch()
    process = Process(database, tmp_path / "file")
    await process.follower.catch_up()
    await _store(database, *MANY[:20], title="changed")
    await process.renewed()
    assert not process.follower.replica.is_rebuild_due
    assert process.answer() == await _reference(database)


async def test_a_process_far_behind_does_not_take_what_is_ahead_of_it(
    database: Database, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _store(database, *MANY)
    one, other = start(), start()
    for process in (one, other):
        await process.follower.catch_up()
    before = other.answer()
    await _store(database, *MANY[:20], title="changed")
    await one.renewed()
    with monkeypatch.context() as broken:

        async def fails(*_: object) -> None:
            raise DatabaseUnavailableError("gone")

        broken.setattr(other.reader, "changes_after", fails)
        with pytest.raises(DatabaseUnavailableError):
            await other.follower.catch_up()
        assert other.answer() == before
    await other.renewed()
    assert other.answer() == await _reference(database)
