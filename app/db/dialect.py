"""The few places where the two databases differ, each a small named element."""

from typing import Any

from sqlalchemy import BigInteger, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class oldest_open_transaction(FunctionElement[int]):  # noqa: N801 - it reads as an SQL function
    """Every transaction with a lower number has ended, so what it wrote will not change any more.

    SQLite has one writer at a time, who is never seen half-way; there all transactions have number 0.
    """

    type = BigInteger()
    inherit_cache = True


@compiles(oldest_open_transaction, "sqlite")
def _sqlite_oldest(*_: object, **__: object) -> str:
    return "1"


@compiles(oldest_open_transaction, "postgresql")
def _postgresql_oldest(*_: object, **__: object) -> str:
    return "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


class microseconds(FunctionElement[int]):  # noqa: N801
    """An instant as microseconds since 1970: where many are read, objects for them take most of the time."""

    type = BigInteger()
    inherit_cache = True


@compiles(microseconds, "sqlite")
def _sqlite_microseconds(element: microseconds, compiler: SQLCompiler, **options: Any) -> str:
    """Of the text that `UtcDateTime` stores."""
    written = compiler.process(element.clauses, **options)
    return f"strftime('%s', {written}) * 1000000 + substr({written}, 21, 6)"


@compiles(microseconds, "postgresql")
def _postgresql_microseconds(element: microseconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"(extract(epoch from {compiler.process(element.clauses, **options)}) * 1000000)::bigint"


async def take_turns(session: AsyncSession, name: str) -> None:
    """Wait until no other transaction that asked for this name is open. On SQLite writers take turns anyway."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def see_one_state(session: AsyncSession) -> None:
    """Let all that the session reads from now on be of one moment. Before its first statement. On SQLite a session
    does so anyway."""
    if session.get_bind().dialect.name == "postgresql":
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def insert_missing(session: AsyncSession, table: Any) -> Any:
    """INSERT that leaves rows alone whose key is there already."""
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert(table)
    return insert.on_conflict_do_nothing()


def upsert(session: AsyncSession, table: Any, *, key: tuple[str, ...], replace: tuple[str, ...]) -> Any:
    """INSERT that, where a row with the same `key` exists, replaces the columns named in `replace` instead."""
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert(table)
    return insert.on_conflict_do_update(index_elements=key, set_={name: insert.excluded[name] for name in replace})
