"""Writing many rows at once, at little more than the database's own cost."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.ext.asyncio import AsyncSession

from app.utils.batch_ops import Conflict, Rows, upsert_rows

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
    """Insert each row, completed by the columns that all have in `common`; where a row with the same `key` exists,
    replace its columns named in `replace` instead. No two of the rows have the same `key`."""
    connection = await session.connection()
    (shared,) = _for_driver(table, connection.dialect, [common])
    values = [(*row, *shared) for row in _for_driver(table, connection.dialect, rows)]
    await upsert_rows(connection, Rows(table, (*rows[0], *common), values), Conflict(key, replace))


def _for_driver(table: Any, dialect: Dialect, rows: Sequence[Row]) -> list[list[Any]]:
    types = [table.c[name].type.dialect_impl(dialect) for name in rows[0]]
    converters = [(n, convert) for n, kind in enumerate(types) if (convert := kind.bind_processor(dialect))]
    converted = [[row[name] for name in rows[0]] for row in rows]
    for values in converted:
        for position, convert in converters:
            values[position] = convert(values[position])
    return converted
