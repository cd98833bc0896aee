"""Fixtures for every test: the real data, and a fresh database of either kind."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from app.db import Database
from app.db.migrate import migrate
from tests import services

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
_numbers = count()

settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("any machine")  # a busy one is no fault of the code


def skip_or_fail(reason: str) -> None:
    """Skip a test for want of something outside the project; where nothing may be skipped, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true allows no skipping: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real registry files, which are not part of the project."""
    folder = Path(os.environ.get("VOLTWAY_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        skip_or_fail(f"no real data at {folder}: set VOLTWAY_TEST_DATA to a folder that holds it")
    return folder


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a private server whose database `migrated` holds the tables."""
    programs = services.postgresql_programs()
    if programs is None:
        skip_or_fail("PostgreSQL is not installed, so nothing was tested on it")
        raise AssertionError
    with services.postgresql(programs) as url:
        _execute(url, "CREATE DATABASE migrated")
        migrate(_named(url, "migrated"))
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    """An SQLite database with empty tables."""
    shutil.copy(migrated_sqlite_file, tmp_path / "voltway.db")
    return f"sqlite:///{tmp_path / 'voltway.db'}"


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """A PostgreSQL database with empty tables."""
    name = f"test_{next(_numbers)}"
    _execute(postgresql_server, f"CREATE DATABASE {name} TEMPLATE migrated")
    yield _named(postgresql_server, name)
    _execute(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database with empty tables; the test runs once on each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """URL of a private Redis server."""
    if shutil.which("redis-server") is None:
        skip_or_fail("Redis is not installed, so nothing was tested on it")
    with services.redis() as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """An empty Redis. Fails the test that leaves a key without expiry."""
    with Redis.from_url(redis_server) as redis:
        redis.flushall()
        yield redis_server
        lasting = [key for key in redis.scan_iter() if redis.ttl(key) == -1]
    assert not lasting, "these keys never expire"


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def _named(url: str, name: str) -> str:
    return url.rsplit("/", 1)[0] + f"/{name}"
