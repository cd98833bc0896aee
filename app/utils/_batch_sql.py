"""The fastest way that each database has for writing many rows.

PostgreSQL: COPY, straight into the table for new rows, else into a temporary table from which one statement does the
rest. SQLite: the driver's `executemany`, new rows fifty to a statement. Both go past SQLAlchemy's own handling of
parameters, which takes longer to prepare a row than either database to write it. A write that fails may have written
a part: call it in a savepoint.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from time import perf_counter
from typing import Any

import psycopg
from sqlalchemy import (
    Delete,
    Dialect,
    Table,
    and_,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy import table as table_clause
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.utils import metrics

_STAGED = "_staged_rows"
_SQLITE_PARAMETERS = 30_000
"""In one statement; the usual limit is 32,766 (SQLITE_MAX_VARIABLE_NUMBER)."""
_SQLITE_ROWS = 50
"""In one INSERT. In a savepoint SQLite keeps, for each statement, what every page was before, in a temporary file if
it is much: with one row to a statement this takes as long as the writing itself."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for one table, all of the same columns."""

    table: Table
    names: tuple[str, ...]
    """Of the columns, as `table.c` knows them. One that is not among them gets its SQL default, or its default in
    the database."""
    values: Sequence[tuple[Any, ...]]
    """In the order of `names`, as the driver takes them: what a type's `bind_processor` has made."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """What an upsert does where the row exists already."""

    key: tuple[str, ...]
    """Columns with a unique index."""
    replace: tuple[str, ...]
    unless_equal: tuple[str, ...] = ()
    """Leave the row alone if it has these values already; empty: never."""


@dataclass(frozen=True, slots=True)
class Upserted:
    """Numbers of rows."""

    inserted: int
    updated: int


async def insert_rows(connection: AsyncConnection, rows: Rows) -> None:
    if _is_sqlite(connection):
        await _insert_many(connection, rows)
    elif _has_sql_defaults(rows):
        async with _staged(connection, rows) as staged:
            await connection.execute(insert(rows.table).from_select(rows.names, select(staged)))
    else:
        await _copy(connection, rows, _name(connection, rows.table))


async def update_rows(connection: AsyncConnection, rows: Rows, key: tuple[str, ...]) -> int:
    """Set the other columns of the rows with these keys, none of which is there twice; return how many there were."""
    changed = [name for name in rows.names if name not in key]
    if _is_sqlite(connection):
        new: dict[str, Any] = {name: bindparam(name) for name in changed}
        return await _execute_many(connection, update(rows.table).where(_same(rows.table, key)).values(new), rows)
    async with _staged(connection, rows) as staged:
        statement = update(rows.table).values({name: staged.c[rows.table.c[name].name] for name in changed})
        return (await connection.execute(statement.where(_matches(rows.table, staged, key)))).rowcount


async def delete_rows(connection: AsyncConnection, rows: Rows) -> int:
    """Delete the rows with these keys, the only columns of `rows`, and return how many there were."""
    statement: Delete = delete(rows.table)
    if _is_sqlite(connection):
        return await _execute_many(connection, statement.where(_same(rows.table, rows.names)), rows)
    async with _staged(connection, rows) as staged:
        return (await connection.execute(statement.where(_matches(rows.table, staged, rows.names)))).rowcount


async def upsert_rows(connection: AsyncConnection, rows: Rows, conflict: Conflict) -> Upserted:
    """Insert the rows, or change those that exist already; no two of them have the same key."""
    if _is_sqlite(connection):
        existing = await _count_existing(connection, rows, conflict.key)
        written = await _insert_many(connection, rows, conflict)
        inserted = len(rows.values) - existing
        return Upserted(inserted, written - inserted)
    async with _staged(connection, rows) as staged:
        from_staged = postgresql.insert(rows.table).from_select(rows.names, select(staged))
        # A row that the statement has replaced carries the statement's own transaction as its xmax.
        returning = _on_conflict(from_staged, rows.table, conflict).returning(literal_column("xmax = 0").label("new"))
        done = returning.cte()
        counts = select(func.count().filter(done.c.new), func.count()).select_from(done)
        inserted, written = (await connection.execute(counts)).one()
        return Upserted(inserted, written - inserted)


def _is_sqlite(connection: AsyncConnection) -> bool:
    dialect = connection.dialect
    if dialect.name not in {"sqlite", "postgresql"} or (dialect.name, dialect.driver) == ("postgresql", "asyncpg"):
        raise NotImplementedError(f"Writing in batches is made for SQLite and psycopg, not {dialect.name}.")
    return dialect.name == "sqlite"


def _on_conflict(statement: Any, table: Table, conflict: Conflict) -> Any:
    if not conflict.replace:
        return statement.on_conflict_do_nothing(index_elements=conflict.key)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=conflict.key,
        set_={name: new[name] for name in conflict.replace},
        where=or_(*(table.c[name].is_distinct_from(new[name]) for name in conflict.unless_equal))
        if conflict.unless_equal
        else None,
    )


@dataclass(frozen=True, slots=True)
class _ForDriver:
    """An SQLite statement for some rows, and what it wants of each."""

    sql: str
    order: Sequence[int]
    """Places in the row, followed by `constants`."""
    constants: tuple[Any, ...]
    """Parameters of default expressions."""

    def parameters(self, values: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return _in_order([row + self.constants for row in values] if self.constants else values, self.order)


def _for_driver(compiled: Any, names: Sequence[str], rows: int = 1) -> _ForDriver:
    parameters = compiled.positiontup[: len(compiled.positiontup) // rows]
    plain = [name.removesuffix("_m0").removeprefix(_WHERE) for name in parameters]
    constants = {name: compiled.params[name] for name in parameters if name in set(plain) - set(names)}
    places = {name: place for place, name in enumerate([*names, *constants])}
    return _ForDriver(str(compiled), [places[name] for name in plain], tuple(constants.values()))


async def _insert_many(connection: AsyncConnection, rows: Rows, conflict: Conflict | None = None) -> int:
    """The number of rows that the database has written."""
    at_once = min(_SQLITE_ROWS, _SQLITE_PARAMETERS // len(rows.table.columns))
    several = len(rows.values) - len(rows.values) % at_once
    written = 0
    for start, end, number in ((0, several, at_once), (several, len(rows.values), 1)):
        if start < end:
            insertion = _sqlite_insert(connection.dialect, rows.table, rows.names, conflict, number)
            values = insertion.parameters(rows.values[start:end])
            together = [tuple(chain.from_iterable(values[n : n + number])) for n in range(0, end - start, number)]
            written += (await connection.exec_driver_sql(insertion.sql, together)).rowcount
    return written


@lru_cache(maxsize=64)
def _sqlite_insert(
    dialect: Dialect, table: Table, names: tuple[str, ...], conflict: Conflict | None, rows: int
) -> _ForDriver:
    """Kept, because to compile it takes as long as to write hundreds of rows."""
    statement = sqlite.insert(table).values([dict.fromkeys(names)] * rows)
    return _for_driver(
        (_on_conflict(statement, table, conflict) if conflict else statement).compile(dialect=dialect), names, rows
    )


async def _execute_many(connection: AsyncConnection, statement: Any, rows: Rows) -> int:
    """Once for each row; the number of rows that the database has written."""
    ready = _for_driver(statement.compile(dialect=connection.dialect, column_keys=rows.names), rows.names)
    return (await connection.exec_driver_sql(ready.sql, ready.parameters(rows.values))).rowcount


def _in_order(values: Sequence[tuple[Any, ...]], order: Sequence[int]) -> list[tuple[Any, ...]]:
    if len(order) == 1:  # where itemgetter gives no tuple
        return [(row[order[0]],) for row in values]
    return [*map(itemgetter(*order), values)]


_WHERE = "where "
"""Marks parameters of the condition; SQLAlchemy keeps a column's plain name for its new value."""


def _same(table: Table, key: Sequence[str]) -> Any:
    return and_(*(table.c[name] == bindparam(_WHERE + name) for name in key))


async def _count_existing(connection: AsyncConnection, rows: Rows, key: Sequence[str]) -> int:
    keys = _in_order(rows.values, [rows.names.index(name) for name in key])
    marks = f"({', '.join('?' * len(key))})"
    existing, step = 0, _SQLITE_PARAMETERS // len(key)
    for start in range(0, len(keys), step):
        some = keys[start : start + step]
        query = (
            f"SELECT count(*) FROM {_name(connection, rows.table)} "  # noqa: S608 - quoted by SQLAlchemy
            f"WHERE ({_column_list(connection, rows.table, key)}) IN (VALUES {', '.join([marks] * len(some))})"
        )
        existing += (await connection.exec_driver_sql(query, tuple(chain.from_iterable(some)))).scalar_one()
    return existing


def _has_sql_defaults(rows: Rows) -> bool:
    """Whether a column that is not given has a default that is an SQL expression, which COPY knows nothing of."""
    return any(column.default is not None and column.name not in rows.names for column in rows.table.columns)


def _matches(table: Table, staged: Any, key: Sequence[str]) -> Any:
    return and_(*(table.c[name] == staged.c[table.c[name].name] for name in key))


@asynccontextmanager
async def _staged(connection: AsyncConnection, rows: Rows) -> AsyncIterator[Any]:
    """The rows as a temporary table, dropped again; where the block fails, the transaction's end drops it."""
    names = _column_list(connection, rows.table, rows.names)
    columns = f"SELECT {names} FROM {_name(connection, rows.table)}"  # noqa: S608 - quoted by SQLAlchemy
    await connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {_STAGED} ON COMMIT DROP AS {columns} WITH NO DATA")
    await _copy(connection, rows, _STAGED)
    yield table_clause(
        _STAGED, *(column(given.name, given.type) for given in (rows.table.c[name] for name in rows.names))
    )
    await connection.exec_driver_sql(f"DROP TABLE pg_temp.{_STAGED}")


async def _copy(connection: AsyncConnection, rows: Rows, target: str) -> None:
    """Raises SQLAlchemy's errors and is measured as its statements are, although the rows do not go through it."""
    start = perf_counter()
    statement = f"COPY {target} ({_column_list(connection, rows.table, rows.names)}) FROM STDIN"
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        async with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows.values:
                await copy.write_row(row)
    except psycopg.Error as error:
        metrics.db_errors.inc()
        raise DBAPIError.instance(statement, None, error, psycopg.Error, dialect=connection.dialect) from error
    metrics.db_query_duration_seconds.labels("copy").observe(perf_counter() - start)


def _name(connection: AsyncConnection, table: Table) -> str:
    return connection.dialect.identifier_preparer.format_table(table)


def _column_list(connection: AsyncConnection, table: Table, names: Sequence[str]) -> str:
    return ", ".join(connection.dialect.identifier_preparer.quote(table.c[name].name) for name in names)
