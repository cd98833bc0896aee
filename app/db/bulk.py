"""Writing many rows with one statement, at little more than the driver's own cost."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.ext.asyncio import AsyncSession

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
    """Execute `upsert` for each row, completed by the columns that all rows have in `common`.

    SQLAlchemy takes longer to prepare a row than the database to write it. So here only the types that need it are
    converted, `common` once for all rows, and the statement goes straight to the driver."""
    connection = await session.connection()
    dialect = connection.dialect
    names = [*rows[0], *common]
    statement = upsert(session, table, key=key, replace=replace).compile(dialect=dialect, column_keys=names)
    (shared,) = _as_driver_takes(table, dialect, [common])
    complete = [row | shared for row in _as_driver_takes(table, dialect, rows)]
    if statement.positional:
        order = itemgetter(*statement.positiontup)
        await connection.exec_driver_sql(str(statement), [order(row) for row in complete])
    else:
        await connection.exec_driver_sql(str(statement), complete)


def _as_driver_takes(table: Any, dialect: Dialect, rows: Sequence[Row]) -> list[Row]:
    types = ((name, table.c[name].type.dialect_impl(dialect)) for name in rows[0])
    converters = [(name, convert) for name, kind in types if (convert := kind.bind_processor(dialect))]
    return [row | {name: convert(row[name]) for name, convert in converters} for row in rows]
