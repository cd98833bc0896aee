"""The few places where the two databases differ, each a small named element."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ARRAY, BigInteger, Column, cast, func, select, type_coerce
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
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


async def take_turns(session: AsyncSession, name: str) -> None:
    """Wait until no other transaction that asked for this name is open. On SQLite writers take turns anyway."""
    await session.run_sync(wait_for_turn, name)


def wait_for_turn(session: Session, name: str) -> None:
    """`take_turns` in a thread."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def see_one_state(session: AsyncSession) -> None:
    """Let all that the session reads from now on be of one moment. Before its first statement. On SQLite a session
    does so anyway."""
    if session.get_bind().dialect.name == "postgresql":
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def given_rows(session: Session, columns: Sequence[Column[Any]], rows: Sequence[Sequence[Any]]) -> Any:
    """Rows from here as a table for a statement, with columns named and typed as those. The statement's text is the
    same whatever their number, so it is prepared once."""
    dialect = session.get_bind().dialect
    if dialect.name == "postgresql":
        values = zip(*rows, strict=True) if rows else ((),) * len(columns)
        arrays = [cast(list(each), ARRAY(column.type)) for column, each in zip(columns, values, strict=True)]
        named = (Column(column.name, column.type) for column in columns)
        return func.unnest(*arrays).table_valued(*named).render_derived()
    convert = [column.type.dialect_impl(dialect).bind_processor(dialect) or _same for column in columns]
    texts = [[each(value) for each, value in zip(convert, row, strict=True)] for row in rows]
    row = func.json_each(orjson.dumps(texts).decode()).table_valued("value").c.value
    fields = (type_coerce(func.json_extract(row, f"$[{n}]"), column.type) for n, column in enumerate(columns))
    return select(*(each.label(column.name) for each, column in zip(fields, columns, strict=True))).subquery()


def _same(value: Any) -> Any:
    return value


def insert_missing(session: AsyncSession, table: Any) -> Any:
    """INSERT that leaves rows alone whose key is there already."""
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert(table)
    return insert.on_conflict_do_nothing()


def upsert(session: AsyncSession | Session, table: Any, *, key: tuple[str, ...], replace: tuple[str, ...]) -> Any:
    """INSERT that, where a row with the same `key` exists, replaces the columns named in `replace` instead."""
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert(table)
    return insert.on_conflict_do_update(index_elements=key, set_={name: insert.excluded[name] for name in replace})
