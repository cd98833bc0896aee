"""Writing many rows at once, at little more than the database's own cost."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Dialect, Text, cast, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.db.dialect import upsert

Row = dict[str, Any]


async def upsert_many(
    session: AsyncSession,
    table: Any,
    rows: Sequence[Row],
    *,
    common: Row,
    key: tuple[str, ...],
    replace: tuple[str, ...],
) -> None:
    """Execute `upsert` for each row, completed by the columns that all rows have in `common`; no two rows have the
    same `key`."""
    statement = upsert(session, table, key=key, replace=replace)
    connection = await session.connection()
    write = _write_sqlite if connection.dialect.name == "sqlite" else _write_postgresql
    await write(connection, statement, table, rows, common)


async def _write_sqlite(
    connection: AsyncConnection, statement: Any, table: Any, rows: Sequence[Row], common: Row
) -> None:
    """Once for each row, but past SQLAlchemy, which takes longer to prepare a row than SQLite to write it: only types
    that need it are converted, `common` once for all rows."""
    compiled = statement.compile(dialect=connection.dialect, column_keys=[*rows[0], *common])
    (shared,) = _for_driver(table, connection.dialect, [common])
    in_order = itemgetter(*compiled.positiontup)
    complete = [in_order(row | shared) for row in _for_driver(table, connection.dialect, rows)]
    await connection.exec_driver_sql(str(compiled), complete)


def _for_driver(table: Any, dialect: Dialect, rows: Sequence[Row]) -> list[Row]:
    types = ((name, table.c[name].type.dialect_impl(dialect)) for name in rows[0])
    converters = [(name, convert) for name, kind in types if (convert := kind.bind_processor(dialect))]
    return [row | {name: convert(row[name]) for name, convert in converters} for row in rows]


async def _write_postgresql(
    connection: AsyncConnection, statement: Any, table: Any, rows: Sequence[Row], common: Row
) -> None:
    """All rows as one JSON document in one statement, so that they take one way to the server, and the change feed's
    triggers run once."""
    document = orjson.dumps([row | common for row in rows], default=_bytea).decode()
    records = func.jsonb_populate_recordset(
        literal_column(f"NULL::{table.name}"), cast(literal(document, Text), JSONB)
    ).table_valued(*rows[0], *common)
    await connection.execute(statement.from_select(records.c.keys(), select(records)))


def _bytea(value: bytes) -> str:
    """PostgreSQL 15 manual, §8.4.1, hex format."""
    return f"\\x{value.hex()}"
