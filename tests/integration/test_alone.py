"""What only one is to do at a time, on both databases."""

import subprocess
import sys

import pytest

from app.db import Database
from app.db.alone import alone
from app.errors import BusyError, DatabaseUnavailableError

HOLD = """
import asyncio, sys
from sqlalchemy import make_url
from app.db.alone import alone

async def main():
    async with alone(make_url(sys.argv[1]), "name", "busy"):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_one_holds_a_name_at_a_time(database: Database) -> None:
    async with alone(database.url, "name", "busy"):
        with pytest.raises(BusyError, match="busy"):
            async with alone(database.url, "name", "busy"):
                pass
        async with alone(database.url, "other", "busy"):
            pass
    async with alone(database.url, "name", "busy"):
        pass


async def test_a_killed_process_holds_nothing(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            with pytest.raises(BusyError):
                async with alone(database.url, "name", "busy"):
                    pass
        finally:
            process.kill()
    await _becomes_free(database)


async def _becomes_free(database: Database) -> None:
    """PostgreSQL notices the closed connection a moment after the process is gone."""
    for _ in range(1_000):
        try:
            async with alone(database.url, "name", "busy"):
                return
        except BusyError:
            continue
    raise AssertionError("still held")


async def test_a_database_that_is_away_is_named() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(DatabaseUnavailableError):
        async with alone(away.url, "name", "busy"):
            pass
    await away.close()
