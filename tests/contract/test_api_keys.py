"""Keys in both databases, and the check that every process makes of them."""

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Engine, event, text

from app.auth import KeyRing, Scope, repository
from app.auth.key_ring import NOTE_USE_EVERY, REREAD_AFTER_S, REREAD_FOR_UNKNOWN_AFTER_S
from app.auth.tables import ApiKey
from app.auth.token import hash_of, key_id_of, new_token
from app.db import Database
from app.errors import DatabaseUnavailableError, KeyNameError, KeyRefusedError, MissingScopeError
from tests.make import NOW

WRITE = Scope.STATIONS_WRITE


class Clock:
    """Seconds that pass when it is told so."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def new_ring(database: Database, clock: Clock) -> AsyncIterator[Callable[[], KeyRing]]:
    """Makes what each process has one of."""
    rings: list[KeyRing] = []

    def make() -> KeyRing:
        rings.append(KeyRing(database, lambda: NOW + timedelta(seconds=clock.s), clock))
        return rings[-1]

    yield make
    for ring in rings:
        await ring.close()


@pytest.fixture
def ring(new_ring: Callable[[], KeyRing]) -> KeyRing:
    return new_ring()


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent to a database meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "api_keys" in statement:
            seen.append(statement.split(maxsplit=1)[0])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def make(
    database: Database, name: str = "loader", *, days: int | None = None, scopes: tuple[Scope, ...] = (WRITE,)
) -> str:
    expires_at = None if days is None else NOW + timedelta(days=days)
    async with database.open_session() as session:
        return await repository.create(session, name, scopes, NOW, expires_at)


async def revoke(database: Database, name_or_id: str) -> ApiKey:
    async with database.open_session() as session:
        return await repository.revoke(session, name_or_id, NOW)


async def the_keys(database: Database) -> list[ApiKey]:
    async with database.open_session(read_only=True) as session:
        return await repository.all_keys(session)


async def test_a_key_opens_what_its_scope_says(database: Database, ring: KeyRing) -> None:
    token = await make(database)
    key = await ring.admit(token, WRITE)
    assert (key.id, key.name) == (key_id_of(token), "loader")
    assert key.scopes == {"stations:write"}


async def test_only_the_hash_is_stored(database: Database) -> None:
    token = await make(database)
    async with database.open_session(read_only=True) as session:
        (row,) = (await session.execute(text("SELECT * FROM api_keys"))).all()
    assert token[12:] not in str(row)
    assert hash_of(token) in [bytes(value) for value in row if isinstance(value, bytes | memoryview)]


async def test_a_name_is_given_once_until_it_is_revoked(database: Database) -> None:
    await make(database)
    with pytest.raises(KeyNameError, match="already"):
        await make(database)
    first = await revoke(database, "loader")
    await make(database)
    assert first.revoked_at == NOW
    assert [(key.name, key.revoked_at is None) for key in await the_keys(database)] in [
        [("loader", False), ("loader", True)],
        [("loader", True), ("loader", False)],  # made within the same instant
    ]


@pytest.mark.parametrize("name", ["", " a", "a\n", "x" * 101, "vw_abcd1234"])
async def test_an_unfit_name_is_refused(database: Database, name: str) -> None:
    with pytest.raises(KeyNameError):
        await make(database, name)


async def test_a_key_is_revoked_by_name_id_or_itself_once(database: Database) -> None:
    await make(database, "name")
    by_id, by_itself = await make(database, "by id"), await make(database, "by itself")
    assert (await revoke(database, "name")).name == "name"
    assert (await revoke(database, by_id[:11])).name == "by id"
    assert (await revoke(database, by_itself)).name == "by itself"
    for gone in ("name", by_id[:11], "unheard of", "vw_unknown1"):
        with pytest.raises(KeyNameError, match="voltway keys list"):
            await revoke(database, gone)


async def test_wrong_revoked_and_expired_keys_are_refused_alike(
    database: Database, ring: KeyRing, clock: Clock
) -> None:
    good, expired = await make(database, "good"), await make(database, "expired", days=1)
    revoked = await make(database, "revoked")
    await revoke(database, "revoked")
    await ring.admit(expired, WRITE)
    clock.s += 86_400
    messages = set()
    for token in (expired, revoked, new_token().token, good[:-1] + ("a" if good[-1] != "a" else "b"), "rubbish", ""):
        with pytest.raises(KeyRefusedError) as refused:
            await ring.admit(token, WRITE)
        messages.add(str(refused.value))
    assert len(messages) == 1
    await ring.admit(good, WRITE)


async def test_a_key_without_the_scope_is_told_which(database: Database, ring: KeyRing) -> None:
    token = await make(database, scopes=())
    with pytest.raises(MissingScopeError, match="stations:write") as error:
        await ring.admit(token, WRITE)
    assert error.value.scope == "stations:write"


async def test_a_loader_does_not_cost_a_query_for_each_request(database: Database, ring: KeyRing) -> None:
    token = await make(database)
    with statements() as seen:
        await asyncio.gather(*(ring.admit(token, WRITE) for _ in range(100)))
        for _ in range(500):
            await ring.admit(token, WRITE)
    assert seen.count("SELECT") == 1


async def test_a_revoked_key_soon_ceases_to_hold_in_every_process(
    database: Database, new_ring: Callable[[], KeyRing], clock: Clock
) -> None:
    token = await make(database)
    rings = [new_ring(), new_ring()]
    for ring in rings:
        await ring.admit(token, WRITE)
    await revoke(database, "loader")
    clock.s += REREAD_AFTER_S
    for ring in rings:
        with pytest.raises(KeyRefusedError):
            await ring.admit(token, WRITE)


async def test_keys_are_read_anew_before_a_request_would_have_to_wait(
    database: Database, ring: KeyRing, clock: Clock
) -> None:
    token = await make(database)
    await ring.admit(token, WRITE)
    for _ in range(3):
        clock.s += REREAD_AFTER_S * 0.75
        with statements() as seen:
            await ring.admit(token, WRITE)
            assert "SELECT" not in seen
            await ring.close()  # waits for what goes on
            assert seen.count("SELECT") == 1


async def test_a_new_key_holds_at_once(database: Database, ring: KeyRing, clock: Clock) -> None:
    await ring.admit(await make(database, "first"), WRITE)
    token = await make(database, "second")
    clock.s += REREAD_FOR_UNKNOWN_AFTER_S
    assert (await ring.admit(token, WRITE)).name == "second"


async def test_a_flood_of_wrong_keys_costs_neither_queries_nor_memory_nor_log_lines(
    database: Database, ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    good = await make(database)
    await ring.admit(good, WRITE)
    await ring.close()  # its use is noted
    caplog.set_level(logging.DEBUG, "app")

    async def flood(attempts: int) -> None:
        for _ in range(attempts):
            for wrong in (new_token().token, good[:12] + "A" * 43, "x" * 1_000):
                with pytest.raises(KeyRefusedError):
                    await ring.admit(wrong, WRITE)

    await flood(10)
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        with statements() as seen:
            await flood(1_000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert seen == []
    assert grown < 100_000  # 33 bytes an attempt
    assert caplog.text == ""


async def test_the_last_use_is_written_once_a_minute(database: Database, ring: KeyRing, clock: Clock) -> None:
    token = await make(database)
    written = []
    for seconds in (0, 59, 1, 60):
        clock.s += seconds
        with statements() as seen:
            for _ in range(3):
                await ring.admit(token, WRITE)
            await ring.close()
        written.append(seen.count("UPDATE"))
    assert written == [1, 0, 1, 1]
    (key,) = await the_keys(database)
    assert key.last_used_at == NOW + timedelta(seconds=clock.s)


async def test_processes_do_not_write_the_same_use_again(
    database: Database, new_ring: Callable[[], KeyRing], clock: Clock
) -> None:
    token = await make(database)
    first = clock.s
    for _ in range(2):
        ring = new_ring()
        await ring.admit(token, WRITE)
        await ring.close()
        clock.s += NOTE_USE_EVERY.total_seconds() / 2
    (key,) = await the_keys(database)
    assert key.last_used_at == NOW + timedelta(seconds=first)


async def test_a_use_that_cannot_be_noted_fails_no_request(
    database: Database, ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    token = await make(database)
    with pytest.raises(MissingScopeError):
        await ring.admit(token, "none")  # now the keys are in memory
    async with database.open_session() as session:
        await session.execute(text("ALTER TABLE api_keys RENAME TO hidden"))
    assert await ring.admit(token, WRITE)
    await ring.close()
    (line,) = [record for record in caplog.records if record.message == "key_use_not_noted"]
    assert vars(line)["key_id"] == token[:11]
    assert token not in caplog.text


async def test_without_the_database_keys_are_neither_admitted_nor_refused(
    database: Database, ring: KeyRing, clock: Clock
) -> None:
    token = await make(database)
    async with database.open_session() as session:
        await session.execute(text("ALTER TABLE api_keys RENAME TO hidden"))
    for attempts in (1, 20):
        results = await asyncio.gather(*(ring.admit(token, WRITE) for _ in range(attempts)), return_exceptions=True)
        assert {type(result) for result in results} == {DatabaseUnavailableError}
    async with database.open_session() as session:
        await session.execute(text("ALTER TABLE hidden RENAME TO api_keys"))
    assert await ring.admit(token, WRITE)


async def test_two_that_create_the_same_name_at_once_make_one_key(database: Database) -> None:
    results = await asyncio.gather(*map(partial(make, database), ["same"] * 4), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["KeyNameError"] * 3 + ["str"]
