"""Databases to write to, of either kind."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg

from app.db.migrate import migrate
from tests import services

Fresh = Callable[[], str]
"""Makes a database with VoltWay's empty tables, in place of the one that it made before, and returns its URL."""


def both() -> dict[str, AbstractContextManager[Fresh]]:
    """By the database's name; PostgreSQL only where it is installed."""
    kinds: dict[str, AbstractContextManager[Fresh]] = {"SQLite": sqlite()}
    if programs := services.postgresql_programs():
        kinds["PostgreSQL"] = postgresql(programs)
    return kinds


@contextmanager
def sqlite() -> Iterator[Fresh]:
    """Databases in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="voltway-benchmark-") as folder:
        migrated, current = Path(folder, "migrated.db"), Path(folder, "current")
        migrate(f"sqlite:///{migrated}")

        def fresh() -> str:
            shutil.rmtree(current, ignore_errors=True)
            current.mkdir()
            shutil.copy(migrated, current / "voltway.db")
            return f"sqlite:///{current / 'voltway.db'}"

        yield fresh


@contextmanager
def postgresql(programs: Path) -> Iterator[Fresh]:
    """Databases on a server of their own, stopped and deleted afterwards."""
    with services.postgresql(programs) as url:
        server = url.rpartition("/")[0]
        _execute(url, "CREATE DATABASE migrated")
        migrate(f"{server}/migrated")

        def fresh() -> str:
            _execute(url, "DROP DATABASE IF EXISTS current WITH (FORCE)")
            _execute(url, "CREATE DATABASE current TEMPLATE migrated")
            return f"{server}/current"

        yield fresh


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
