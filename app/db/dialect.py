"""The few places where the two databases differ, each a small named element."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Dialect,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    func,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
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


def comes_before(dialect: str, one: tuple[Any, Any], other: tuple[Any, Any]) -> Any:
    """Whether one line of the change feed is before another; of each transaction's number and its own.

    A range of pairs SQLite looks for by their first part alone, and that is 0 for all lines."""
    if dialect == "sqlite":
        return and_(one[0] == other[0], one[1] < other[1])
    return tuple_(*one) < tuple_(*other)


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


@dataclass(frozen=True, slots=True)
class GivenRows:
    """Rows from here as a table for a statement, with columns named and typed as those.

    All of them are one parameter, so the statement is the same whatever their number: make it once.
    """

    columns: tuple[Column[Any], ...]

    def table(self, dialect: str) -> Any:
        """To be joined, or selected from, in a statement that is executed with `parameters`."""
        given = bindparam("given", type_=Text())
        if dialect == "postgresql":
            named = (Column(each.name, each.type) for each in self.columns)
            return func.json_to_recordset(cast(given, JSON)).table_valued(*named).render_derived("given", True)
        row = func.json_each(given).table_valued("value").c.value
        fields = (type_coerce(func.json_extract(row, f"$.{each.name}"), each.type) for each in self.columns)
        return select(*(field.label(each.name) for field, each in zip(fields, self.columns, strict=True))).subquery()

    def parameters(self, dialect: Dialect, rows: Iterable[Sequence[Any]]) -> dict[str, str]:
        names = [each.name for each in self.columns]
        types = enumerate(each.type.dialect_impl(dialect) for each in self.columns)
        converters = [(n, convert) for n, kind in types if (convert := kind.bind_processor(dialect))]
        given = [list(row) for row in rows]
        for values in given:
            for position, convert in converters:
                values[position] = convert(values[position])
        return {"given": orjson.dumps([dict(zip(names, values, strict=True)) for values in given]).decode()}


def in_one_value(dialect: str, statement: Select[Any]) -> Select[Any]:
    """A statement's rows as a single one, for `rows_of`.

    SQLite's driver hands Python's lock over at each row. In a process that is busy with requests that takes longer
    than all the rest."""
    rows = statement.subquery()
    if dialect == "sqlite":
        return select(func.json_group_array(func.json_array(*rows.c)))
    return select(cast(func.json_agg(func.json_build_array(*rows.c)), Text))


def rows_of(value: str | None) -> list[list[Any]]:
    """In any order; numbers, texts and None."""
    rows: list[list[Any]] = orjson.loads(value or "[]")
    return rows


def has_object(dialect: str, document: Any, name: str, value: Any) -> Any:
    """Whether a JSON array has an object with this text under that name."""
    if dialect == "postgresql":
        return document.op("@>")(func.jsonb_build_array(func.jsonb_build_object(name, value)))
    each = func.json_each(document).table_valued("value").c.value
    return exists().where(func.json_extract(each, f"$.{name}") == value)


def insert_missing(session: AsyncSession, table: Any) -> Any:
    """INSERT that leaves rows alone whose key is there already."""
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert(table)
    return insert.on_conflict_do_nothing()


def upsert(session: AsyncSession, table: Any, *, key: tuple[str, ...], replace: tuple[str, ...]) -> Any:
    """INSERT that, where a row with the same `key` exists, replaces the columns named in `replace` instead."""
    return upsert_on(session.get_bind().dialect.name, table, key=key, replace=replace)


def upsert_on(dialect: str, table: Any, *, key: tuple[str, ...], replace: tuple[str, ...]) -> Any:
    """`upsert` where there is no session yet."""
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    return insert.on_conflict_do_update(index_elements=key, set_={name: insert.excluded[name] for name in replace})
