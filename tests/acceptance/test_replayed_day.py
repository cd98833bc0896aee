"""A part of a nation's day, told to two serving processes while fifty watch; VOLTWAY_WHOLE_DAY=1: all of it.

Meanwhile the process that is told is killed, and the database's server too. In the end every EVSE is in the state
that an independent fold over the files says, and so each reader knows it."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx2 as httpx
import psutil
import pytest

from app.db import Database
from app.db.migrate import migrate
from app.ingest.replay import Recording, Service, Told, recordings, replay
from app.ingest.run import ImportOptions, run_import
from app.sources.registry import find_source
from app.stations import repository
from app.stations.model import StoredStation
from tests import services
from tests.acceptance.conftest import VOLTWAY, environment
from tests.acceptance.stream_reader import State, StreamReader, until
from tests.conftest import skip_or_fail
from tests.integration.test_live_day import LESS, folded, key_of
from tests.keys import create_key
from tests.make import NOW

pytestmark = pytest.mark.once

WHOLE_DAY = os.environ.get("VOLTWAY_WHOLE_DAY") == "1"
READERS = 50
PARIS = (2.2, 48.8, 2.5, 48.95)
YEARS_IN_MINUTES = str(10 * 365 * 24 * 60)
"""So that what was seen months ago is not too old."""


class Serving:
    """`voltway serve` at a port of its own, that can be killed and started anew."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._port = services.free_port()
        self._folder, self._database_url = folder, database_url
        self.address = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        variables = {"DATABASE_URL": self._database_url, "STATUS_TTL_MINUTES": YEARS_IN_MINUTES, "LOG_DIR": "logs"}
        self.process = subprocess.Popen(
            [VOLTWAY, "serve", "--port", str(self._port)],
            env=environment(self._folder, **variables), cwd=self._folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)

    @property
    def memory_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6


@contextmanager
def _serving(folder: Path, database_url: str) -> Iterator[Serving]:
    folder.mkdir()
    serving = Serving(folder, database_url)
    try:
        yield serving
    finally:
        serving.process.terminate()
        serving.process.wait(timeout=30)


@pytest.fixture
def postgresql() -> Iterator[services.PostgresqlServer]:
    """One that may be stopped."""
    programs = services.postgresql_programs()
    if programs is None:
        skip_or_fail("PostgreSQL is not installed, so nothing was replayed on it")
        raise AssertionError
    with services.restartable_postgresql(programs) as server:
        yield server


async def test_on_sqlite_readers_know_in_the_end_what_is_true(
    sqlite_url: str, tmp_path: Path, real_data: Path
) -> None:
    await _play(sqlite_url, tmp_path, real_data / "irve", None)


async def test_on_postgresql_readers_know_in_the_end_what_is_true(
    postgresql: services.PostgresqlServer, tmp_path: Path, real_data: Path
) -> None:
    migrate(postgresql.url)
    await _play(postgresql.url, tmp_path, real_data / "irve", postgresql)


async def _play(url: str, folder: Path, irve: Path, server: services.PostgresqlServer | None) -> None:
    database = Database(url)
    await run_import(database, find_source("irve"), str(irve / "static-2026.csv.gz"), ImportOptions(folder))
    stations = await _stations(database)
    await database.close()
    key = await asyncio.to_thread(create_key, url, "replay")
    plan = recordings(irve) if WHOLE_DAY else recordings(irve)[1:25]
    with ExitStack() as stack:
        serving = [stack.enter_context(_serving(folder / name, url)) for name in ("one", "other")]
        readers = _readers([each.address for each in serving], stations)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(reader.run()) for reader, _ in readers]
            for reader, _ in readers:
                await asyncio.wait_for(reader.is_ready.wait(), 60)
            for reader, _ in readers[:5]:
                reader.may_read.clear()  # the slow ones
            memory_mb = [each.memory_mb for each in serving]
            told = await _tell(plan, serving, key, server)
            for reader, _ in readers[:5]:
                reader.may_read.set()
            truth = _truth(plan, stations, told)
            for number, (reader, watched) in enumerate(readers):
                expected = {station_id: truth[station_id] for station_id in watched}
                await until(lambda r=reader, e=expected: r.known == e, 90, f"reader {number} does not know the truth")  # type: ignore[misc]
            grown_mb = max(each.memory_mb - before for each, before in zip(serving[1:], memory_mb[1:], strict=True))
            for task in running:
                task.cancel()
        print(  # noqa: T201 - seen with -s
            f"{told}; {sum(reader.events for reader, _ in readers):,} events, "
            f"{sum(reader.resets for reader, _ in readers)} resets, "
            f"{sum(reader.connections for reader, _ in readers)} connections; {grown_mb:.0f} MB more"
        )
    assert told.balanced
    assert sum(reader.events for reader, _ in readers) > told.became["applied"]
    assert grown_mb < 150


async def _stations(database: Database) -> list[StoredStation]:
    async with database.open_session(read_only=True) as session:
        return [station async for page in repository.all_stations(session, NOW) for station in page]


def _readers(addresses: list[str], stations: list[StoredStation]) -> list[tuple[StreamReader, set[int]]]:
    """Each with the ids of the stations that it watches."""
    random = Random(3)  # noqa: S311 - the same in every run
    readers = []
    for number in range(READERS):
        query, watched = _filter(number % 5 if number > 4 else 5 - number, random, stations)
        order = addresses if number % 2 else addresses[::-1]
        leave_after = random.randint(50, 500) if number % 10 == 7 else None
        readers.append((StreamReader(order, query, leave_after), watched))
    return readers


def _filter(kind: int, random: Random, stations: list[StoredStation]) -> tuple[dict[str, Any], set[int]]:
    if kind in {0, 1}:
        ids = {station.id for station in random.sample(stations, 20 if kind else 500)}
        return {"ids": ",".join(map(str, ids))}, ids
    if kind == 2:
        west, south, east, north = PARIS
        inside = {s.id for s in stations if west <= s.longitude <= east and south <= s.latitude <= north}
        return {"bbox": ",".join(map(str, PARIS))}, inside
    if kind == 3:
        return {"connector": "chademo"}, {s.id for s in stations if "chademo" in _types(s)}
    if kind == 4:
        ids = {station.id for station in stations if station.id % 50 == 1}
        return {"ids": ",".join(map(str, ids)), "connector": ["ccs2", "type2"]}, ids & {
            s.id for s in stations if {"ccs2", "type2"} & _types(s)
        }
    return {}, {station.id for station in stations}


def _types(station: StoredStation) -> set[str]:
    return {connector["type"] for evse in station.evses for connector in evse.connectors}


async def _tell(
    plan: list[Recording], serving: list[Serving], key: str, server: services.PostgresqlServer | None
) -> Told:
    """The first process all of it; it is killed, and the database is, while states are told."""
    total = Told()
    async with httpx.AsyncClient(base_url=serving[0].address, headers={"X-API-Key": key}) as http:
        service = Service(http, find_source("irve-live"), batch=1_000)
        kill, crash = len(plan) // 3, 2 * len(plan) // 3
        mishap: asyncio.Task[None] | None = None
        number = 0
        async for told in replay(plan, None, service):
            total.add(told)
            number += 1
            if number == kill:
                mishap = asyncio.create_task(asyncio.to_thread(_kill_and_start, serving[0]))
            if number == crash and server is not None:
                mishap = asyncio.create_task(asyncio.to_thread(_crash_and_start, server))
        assert mishap is not None
        await mishap
    return total


def _kill_and_start(serving: Serving) -> None:
    serving.kill()
    serving.start()


def _crash_and_start(server: services.PostgresqlServer) -> None:
    server.stop()
    server.start()


def _truth(plan: list[Recording], stations: list[StoredStation], told: Told) -> dict[int, dict[str, State]]:
    """Of every EVSE, by station and uid, as the independent fold says."""
    keys = {(s.id, e.uid): key_of(e.evse_id) for s in stations for e in s.evses if e.evse_id}
    newest, rows, strange = folded([each.path for each in plan], set(keys.values()))
    assert (told.read, told.became["unknown"]) == (rows, strange)
    truth: dict[int, dict[str, State]] = {s.id: {e.uid: (None, e.status) for e in s.evses} for s in stations}
    for (station_id, uid), key in keys.items():
        if key in newest:
            at, word = newest[key]
            truth[station_id][uid] = at, LESS[word]
    return truth
