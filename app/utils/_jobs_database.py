"""The database that the queue is kept in: its connections, and how it says that it is away."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from app.utils._jobs_model import QueueUnavailableError

_SQLITE_PRAGMAS = "journal_mode = WAL", "busy_timeout = 30000", "foreign_keys = ON"
_POSTGRESQL: dict[str, Any] = {
    "pool_size": 5,
    "max_overflow": 5,
    "pool_timeout": 10,
    "pool_pre_ping": True,
    "connect_args": {"connect_timeout": 5, "options": "-c idle_in_transaction_session_timeout=60000"},
}


def engine_for(url: sa.URL) -> sa.Engine:
    """Not yet connected."""
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url, **_POSTGRESQL)
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def schema_of(engine: sa.Engine) -> str | None:
    """Where the queue's tables are."""
    return "dbos" if engine.dialect.name == "postgresql" else None


def _prepare_sqlite(connection: Any, _: object) -> None:
    """As DBOS would do for an engine of its own, and with readers and the writer side by side."""
    connection.isolation_level = "IMMEDIATE"
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    if sqlite3.sqlite_version_info < (3, 42):  # DBOS takes for granted that Python 3.12 comes with that version
        connection.create_function("unixepoch", 1, lambda _subsec: round(time.time(), 3))


@contextmanager
def reachable() -> Iterator[None]:
    """Raise QueueUnavailableError for what says that the database is away."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        cause = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        raise QueueUnavailableError(f"The jobs' database does not answer: {cause}") from error
