"""How keys are written, and the one that a developer gets."""

import re
from pathlib import Path

import pytest

from app.auth import KeyRing, Scope, repository
from app.auth.development import FILE, development_key
from app.auth.token import hash_of, is_token_of, key_id_of, new_token
from app.db import Database
from app.errors import ConfigurationError
from tests.make import NOW


def test_a_key_begins_with_its_id_and_no_two_are_alike() -> None:
    made = [new_token() for _ in range(1_000)]
    assert len({each.token for each in made}) == len({each.key_id for each in made}) == 1_000
    for key_id, token in made:
        assert re.fullmatch(r"vw_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", token)
        assert key_id_of(token) == key_id == token[:11]


@pytest.mark.parametrize(
    "text",
    ["", "vw_", "vw_abcd1234", f"vw_abcd1234_{'x' * 42}", f"vw_abcd1234_{'x' * 44}", f"vw_ABCD1234_{'x' * 43}",
     f" vw_abcd1234_{'x' * 43}", f"vw_abcd1234_{'x' * 43}\n", f"vw_abcd1234_{'é' * 43}", "x" * 100_000],
    ids=["empty", "prefix", "id", "short", "long", "capitals", "blank", "newline", "accents", "endless"],
)  # fmt: skip
def test_what_is_no_key_has_no_id(text: str) -> None:
    assert key_id_of(text) is None


def test_what_is_stored_fits_this_key_only_and_does_not_tell_it() -> None:
    token, other = new_token().token, new_token().token
    assert is_token_of(hash_of(token), token)
    assert not is_token_of(hash_of(token), other)
    assert token.encode() not in hash_of(token)
    assert len(hash_of(token)) == 32


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_the_development_key_is_made_once_and_kept_for_its_owner_alone(
    database: Database, tmp_path: Path
) -> None:
    token = await development_key(database, tmp_path)
    assert await development_key(database, tmp_path) == token
    assert (tmp_path / FILE).read_text() == f"{token}\n"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    ring = KeyRing(database)
    assert (await ring.admit(token, Scope.STATIONS_WRITE)).name == "development"
    await ring.close()


@pytest.mark.parametrize("loss", ["revoked", "file gone", "file garbled", "scope missing"])
async def test_a_development_key_that_does_not_hold_is_replaced(
    database: Database, tmp_path: Path, loss: str
) -> None:
    token = await development_key(database, tmp_path)
    if loss == "file gone":
        (tmp_path / FILE).unlink()
    elif loss == "file garbled":
        (tmp_path / FILE).write_bytes(b"\xff" * 50)
    else:
        async with database.open_session() as session:
            await repository.revoke(session, "development", NOW)
            if loss == "scope missing":
                (tmp_path / FILE).write_text(await repository.create(session, "development", [], NOW))
    renewed = await development_key(database, tmp_path)
    assert renewed not in {token, ""}
    assert await development_key(database, tmp_path) == renewed
    async with database.open_session(read_only=True) as session:
        (holding,) = await repository.not_revoked(session)
    assert holding.id == key_id_of(renewed)


async def test_there_is_no_development_key_in_a_database_that_others_use(postgresql_url: str, tmp_path: Path) -> None:
    database = Database(postgresql_url)
    with pytest.raises(ConfigurationError, match="voltway keys create"):
        await development_key(database, tmp_path)
    assert not list(tmp_path.iterdir())
    await database.close()


async def test_a_folder_that_cannot_be_written_is_named(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        await development_key(database, tmp_path / "none")
    async with database.open_session(read_only=True) as session:
        assert await repository.not_revoked(session) == []
