"""Connections to either database, set up so that the rest of the code need not ask which one it is on."""

from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import URL, Connection, Engine, event, make_url
from sqlalchemy import create_engine as create_sync_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.db.instruments import instrument, instrument_pool
from app.errors import ConfigurationError

_SQLITE_PRAGMAS = {
    "journal_mode": "WAL",  # readers go on while one process writes
    "synchronous": "NORMAL",  # in WAL mode a power cut may lose the last commits, never the database
    "wal_autocheckpoint": 8_000,  # pages, 32 MB; at the usual 1,000 each batch of states waits for the disk twice
    "busy_timeout": 30_000,  # milliseconds that a writer waits for another
    "foreign_keys": "ON",
    "cache_size": -8_192,  # KiB for each connection; the system caches the file anyhow
}


_KEPT_CONNECTIONS, _MORE_CONNECTIONS = 5, 5
_FOR_THREADS = 4
"""Connections, opened when they are needed."""
_WAIT_FOR_CONNECTION_S = 10
_POSTGRESQL: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}


def with_driver(written: URL | str) -> URL:
    """The URL with the driver that VoltWay uses, whichever it names: `sqlite:///path`, `postgresql://user@host/name`.

    Makes the folder of an SQLite database. Raises ConfigurationError for other databases.
    """
    url = make_url(written)
    family = url.drivername.partition("+")[0]
    if family == "sqlite":
        _make_folder(url.database)
        return url.set(drivername="sqlite+aiosqlite")
    if family in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    raise ConfigurationError(f"DATABASE_URL names {family!r}; VoltWay runs on sqlite and postgresql.")


def _make_folder(file: str | None) -> None:
    if not file or file == ":memory:":
        raise ConfigurationError("DATABASE_URL names no file; a database in memory would be gone at once.")
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR or DATABASE_URL: {Path(file).parent}: {error.strerror}.") from error


def synchronous(url: URL) -> URL:
    """The same database for code that does not await (migrations)."""
    return url.set(drivername="sqlite") if url.get_backend_name() == "sqlite" else url


def conninfo(url: URL) -> str:
    """The same PostgreSQL database for a connection of psycopg's own, outside the pool; holds the password."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def create_engine(url: URL) -> AsyncEngine:
    """Open a pool of connections; the first use connects."""
    engine = create_async_engine(url, **_options(url, _KEPT_CONNECTIONS, _MORE_CONNECTIONS))
    _prepare(engine.sync_engine)
    instrument_pool(engine.sync_engine, _KEPT_CONNECTIONS + _MORE_CONNECTIONS)
    return engine


def create_threads_engine(url: URL) -> Engine:
    """The same for code that runs in threads; there are few of these, so their connections are not watched."""
    engine = create_sync_engine(synchronous(url), **_options(url, 1, _FOR_THREADS - 1))
    _prepare(engine)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _look_up_by_index)
    return engine


def _options(url: URL, kept: int, more: int) -> dict[str, Any]:
    return {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "hide_parameters": True,  # what clients sent, and thousands of rows, are not for the log
        "pool_size": kept,
        "max_overflow": more,
        "pool_timeout": _WAIT_FOR_CONNECTION_S,
        **({} if url.get_backend_name() == "sqlite" else _POSTGRESQL),
    }


def _prepare(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    instrument(engine)


def _look_up_by_index(connection: Any, _: object) -> None:
    """Threads look up some rows by their keys. PostgreSQL, as long as it has no statistics of a table, would read all
    of it for that."""
    for way in ("hashjoin", "mergejoin", "seqscan"):
        connection.execute(f"SET enable_{way} = off")
    connection.commit()


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself: _begin_sqlite does
    cursor = connection.cursor()
    for name, value in _SQLITE_PRAGMAS.items():
        cursor.execute(f"PRAGMA {name} = {value}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once unless the session only reads.

    A transaction that reads first and writes later fails, without waiting, when another process has written in
    between (SQLITE_BUSY_SNAPSHOT)."""
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
