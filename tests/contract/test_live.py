"""Live status on both databases: the newest observation of an EVSE counts, however they come."""

import re
from contextlib import closing
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from app.db import Database
from app.ingest.sightings import Sighting, record
from app.stations import live, repository
from app.stations.evse_id import key_of
from app.stations.live import Effect, Observation
from app.stations.model import Evse
from app.stations.vocabulary import EvseStatus
from tests.make import NOW, station

FREE, BUSY, BROKEN = EvseStatus.AVAILABLE, EvseStatus.CHARGING, EvseStatus.OUTOFORDER


async def put(database: Database, external_id: str = "1", source: str = "test", **evse_ids: str | None) -> int:
    """A station with EVSEs of these uids and public ids; return its id."""
    evses = tuple(Evse(uid=uid, evse_id=evse_id) for uid, evse_id in evse_ids.items())
    async with database.open_session() as session:
        await repository.store(
            session, source, [station(external_id, evses=evses).model_copy(update={"source": source})], NOW
        )
        return (await repository.ids_of(session, source, [external_id]))[external_id]


async def see(database: Database, *seen: tuple[str, EvseStatus, int], station_id: int = 1) -> list[Effect]:
    """Uid, status and seconds after the beginning of an hour before now."""
    observations = [
        Observation(station_id, uid, status, NOW + timedelta(hours=-1, seconds=seconds))
        for uid, status, seconds in seen
    ]
    async with database.open_session() as session:
        return await live.observe(session, "feed", observations, NOW)


async def stored(database: Database) -> list[tuple[Any, ...]]:
    query = "SELECT station_id, evse_uid, status, observed_at FROM evse_status ORDER BY station_id, evse_uid"
    async with database.open_session(read_only=True) as session:
        return [tuple(row) for row in await session.execute(text(query))]


async def find(database: Database, *spelt: str) -> dict[str, list[tuple[int, str]]]:
    async with database.open_session(read_only=True) as session:
        found = await session.run_sync(live.find_evses, [key_of(each) for each in spelt])
    return {key: sorted(places) for key, places in found.items()}


async def test_an_older_observation_never_overwrites_a_newer_one(database: Database) -> None:
    await put(database, a=None)
    assert await see(database, ("a", FREE, 10)) == [Effect.APPLIED]
    assert await see(database, ("a", BUSY, 9)) == [Effect.SUPERSEDED]
    assert await see(database, ("a", FREE, 10)) == [Effect.UNCHANGED]
    assert await see(database, ("a", BUSY, 11)) == [Effect.APPLIED]
    assert [status for _, _, status, _ in await stored(database)] == ["CHARGING"]


async def test_of_several_observations_in_one_call_the_newest_counts(database: Database) -> None:
    await put(database, a=None, b=None)
    effects = await see(database, ("a", FREE, 1), ("b", BUSY, 5), ("a", BROKEN, 3), ("a", BUSY, 2))
    assert effects == [Effect.APPLIED, Effect.APPLIED, Effect.APPLIED, Effect.SUPERSEDED]
    assert [status for _, _, status, _ in await stored(database)] == ["OUTOFORDER", "CHARGING"]


async def test_the_outcome_is_the_same_in_every_order(database: Database) -> None:
    seen = (("a", FREE, 5), ("a", BUSY, 5), ("a", BROKEN, 4), ("a", EvseStatus.UNKNOWN, 5))
    await put(database, a=None)
    ends = set()
    for order in permutations(seen):
        async with database.open_session() as session:
            await session.execute(text("DELETE FROM evse_status"))
        for each in order:
            await see(database, each)
        ends.add(tuple(await stored(database)))
    assert [status for ((_, _, status, _),) in ends] == ["CHARGING"]


async def test_two_states_of_one_moment_are_told(database: Database) -> None:
    await put(database, a=None)
    assert await see(database, ("a", BUSY, 5), ("a", FREE, 5)) == [Effect.APPLIED, Effect.CONFLICTING]
    assert await see(database, ("a", BROKEN, 5)) == [Effect.CONFLICTING]
    assert [status for _, _, status, _ in await stored(database)] == ["OUTOFORDER"]


async def test_an_observation_from_the_future_is_one_of_now(database: Database) -> None:
    await put(database, a=None)
    assert await see(database, ("a", BUSY, 7_200)) == [Effect.APPLIED]
    async with database.open_session(read_only=True) as session:
        (read,) = await repository.get_many(session, [1], NOW)
    assert read.evses[0].observed_at == NOW


@pytest.mark.parametrize("spelt", ["DE*AB7*E840*6487", "DEAB7E8406487", "de-ab7-e840-6487", " DE AB7 E8406487"])
async def test_an_evse_is_found_by_its_id_in_any_spelling(database: Database, spelt: str) -> None:
    station_id = await put(database, a="DE*AB7*e840*6487", b="DE*AB7*E840*6488", c=None)
    assert await find(database, spelt) == {"DEAB7E8406487": [(station_id, "a")]}


async def test_ids_follow_whoever_writes_the_stations(database: Database) -> None:
    one, other = await put(database, "1", a="FR*1"), await put(database, "2", source="other", x="fr1", y="*-")
    assert await find(database, "FR1", "*") == {"FR1": [(one, "a"), (other, "x")]}
    await put(database, "1", a="FR*2", b="FR*1")
    assert await find(database, "FR1", "FR2") == {"FR1": [(one, "b"), (other, "x")], "FR2": [(one, "a")]}
    async with database.open_session() as session:
        await session.execute(text("UPDATE stations SET evses = '[]' WHERE external_id = '1'"))
        await repository.remove(session, "other", ["2"], NOW)
    assert await find(database, "FR1", "FR2") == {}
    await put(database, "2", source="other", x="fr1")  # it is back
    assert await find(database, "FR1") == {"FR1": [(other, "x")]}
    async with database.open_session() as session:
        await repository.erase_source(session, "other")
        assert (await session.execute(text("SELECT count(*) FROM evse_keys"))).scalar_one() == 0


async def test_a_sighting_is_recorded_in_every_station_that_has_the_evse(database: Database) -> None:
    one, other = await put(database, "1", a="FR*1"), await put(database, "2", source="other", x="fr1")
    sightings = [
        Sighting("FR1", BUSY, NOW),
        Sighting("FR2", BUSY, NOW),
        Sighting((one, "a"), FREE, NOW - timedelta(seconds=1)),
        Sighting((one, "b"), FREE, NOW),
        Sighting((99, "a"), FREE, NOW),
    ]
    async with database.open_session() as session:
        told = await session.run_sync(record, "feed", sightings, NOW, None)
    assert told == ["applied", "unknown", "superseded", "unknown", "unknown"]
    assert [row[:3] for row in await stored(database)] == [(one, "a", "CHARGING"), (other, "x", "CHARGING")]


async def test_states_are_written_without_reading_whole_tables(database: Database) -> None:
    async with database.open_session() as session:
        stations = [station(str(n), evses=(Evse(uid="1", evse_id=f"FR*{n}"),)) for n in range(1_000)]
        await repository.store(session, "test", stations, NOW)
        ids = await repository.ids_of(session, "test", [each.external_id for each in stations])
        all_of_them = [Observation(station_id, "1", FREE, NOW - timedelta(hours=1)) for station_id in ids.values()]
        await live.observe(session, "test", all_of_them, NOW)
    sightings = [Sighting("FR1", BUSY, NOW), Sighting((ids["2"], "1"), BUSY, NOW)]
    plans: list[str] = []

    def explain(connection: Any, _: object, statement: str, parameters: Any, *__: object) -> None:
        if "given" in statement or "json_each" in statement:
            how = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
            with closing(connection.connection.cursor()) as cursor:
                cursor.execute(f"{how} {statement}", parameters)
                plans.extend(str(row[-1]) for row in cursor)

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        with database.open_session_here() as here:
            assert record(here, "feed", sightings, NOW, None) == ["applied", "applied"]
    finally:
        event.remove(Engine, "before_cursor_execute", explain)
    assert len(plans) > 8
    assert not any(re.search(r"Seq Scan|SCAN (stations|evse_)", line) for line in plans), plans


async def test_a_dry_run_tells_and_writes_nothing(database: Database) -> None:
    await put(database, a="FR*1")
    async with database.open_session(read_only=True) as session:
        told = await session.run_sync(record, "feed", [Sighting("FR1", BUSY, NOW)], NOW, None, dry_run=True)
    assert told == ["applied"]
    assert await stored(database) == []
