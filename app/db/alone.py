"""Doing something in one place at a time, among all processes that use the same database."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import psycopg
from sqlalchemy import URL

from app.db.engine import conninfo
from app.errors import BusyError, DatabaseUnavailableError

_NOTICE_DEATH_WITHIN_10_S = (
    b"SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3"
)
"""A machine that lost its power closes no connection; without this the server would wait for two hours."""
_WAIT_S = 10
_TRY = b"SELECT pg_try_advisory_lock(hashtextextended(%s, 3))"


@asynccontextmanager
async def alone(url: URL, name: str, busy: str) -> AsyncIterator[None]:
    """Hold `name`, which is fit to be a file name, until the block ends or the process does.

    On SQLite a lock on a file beside the database; on PostgreSQL a connection of its own, which needs a session, so
    no pooler in transaction mode between. Raises BusyError, with the message `busy`, at once where somebody else
    holds it, in this process or another; and DatabaseUnavailableError.
    """
    if url.get_backend_name() == "sqlite":
        with _locked(Path(f"{url.database}.locks") / name, busy):
            yield
    else:
        async with _advisory(url, name, busy):
            yield


@contextmanager
def _locked(path: Path, busy: str) -> Iterator[None]:
    try:
        path.parent.mkdir(exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise DatabaseUnavailableError(f"{path} cannot be written: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(busy) from None
        yield


@asynccontextmanager
async def _advisory(url: URL, name: str, busy: str) -> AsyncIterator[None]:
    try:
        connection = await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True, connect_timeout=_WAIT_S)
    except psycopg.Error as error:
        raise DatabaseUnavailableError(f"The database cannot be reached: {type(error).__name__}.") from error
    try:
        if not await _taken(connection, name):
            raise BusyError(busy)
        yield
    finally:
        await _let_go(connection)


async def _let_go(connection: psycopg.AsyncConnection) -> None:
    """At once: the server notices only some time after it that a connection was closed."""
    with suppress(psycopg.Error, TimeoutError):
        async with asyncio.timeout(_WAIT_S):
            await connection.execute(b"SELECT pg_advisory_unlock_all()")
    await connection.close()


async def _taken(connection: psycopg.AsyncConnection, name: str) -> bool:
    try:
        await connection.execute(_NOTICE_DEATH_WITHIN_10_S)
        row = await (await connection.execute(_TRY, (name,))).fetchone()
    except psycopg.Error as error:
        raise DatabaseUnavailableError(f"The database failed: {type(error).__name__}.") from error
    return bool(row and row[0])
