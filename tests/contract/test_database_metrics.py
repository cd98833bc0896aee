"""What the metrics tell of a database, on both kinds."""

import asyncio
import re

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, text
from sqlalchemy.exc import DBAPIError

from app.db import Database
from app.utils._batch_sql import insert_rows
from app.utils.batch_ops import Rows
from app.utils.metrics import get_metrics


def value(sample: str) -> float:
    """Of one sample in the metrics' text; 0 when it is not there."""
    found = re.search(rf"^{re.escape(sample)} (.+)$", get_metrics().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(
    ("statement", "operation"),
    [("SELECT 1", "select"), ("  select 1", "select"), ("DELETE FROM changes", "delete"), ("ANALYZE", "other")],
)
async def test_statements_are_timed_by_their_kind(database: Database, statement: str, operation: str) -> None:
    counter = f'db_query_duration_seconds_count{{operation="{operation}"}}'
    async with database.open_session() as session:
        await session.connection()
        before = value(counter)
        await session.execute(text(statement))
        assert value(counter) - before == 1


async def test_rows_that_are_copied_are_timed_too(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    counter = 'db_query_duration_seconds_count{operation="copy"}'
    before, failed = value(counter), value("db_errors_total")
    async with database.open_session() as session:
        connection = await session.connection()
        await connection.execute(text("CREATE TEMPORARY TABLE plugs (id integer PRIMARY KEY)"))
        plugs = Table("plugs", MetaData(), Column("id", Integer, primary_key=True))
        await insert_rows(connection, Rows(plugs, ("id",), [(1,), (2,)]))
        assert value(counter) - before == 1
        with pytest.raises(DBAPIError):
            await insert_rows(connection, Rows(plugs, ("id",), [(2,)]))
        assert value("db_errors_total") - failed == 1
    await database.close()


async def test_a_failed_statement_is_counted(database: Database) -> None:
    before = value("db_errors_total")
    with pytest.raises(DBAPIError):
        async with database.open_session() as session:
            await session.execute(text("SELECT * FROM no_such_table"))
    assert value("db_errors_total") - before == 1


async def test_connections_are_counted_while_they_work_and_while_they_are_open(database: Database) -> None:
    in_use, opened = value("db_connections_in_use"), value("db_connections_open")
    async with database.open_session() as first, database.open_session(read_only=True) as second:
        await asyncio.gather(first.execute(text("SELECT 1")), second.execute(text("SELECT 1")))
        assert value("db_connections_in_use") - in_use == 2
    assert value("db_connections_in_use") == in_use
    assert value("db_connections_open") - opened == 2
    allowed = value("db_connections_max")
    await database.close()
    assert value("db_connections_open") == opened
    assert allowed - value("db_connections_max") == 10
