"""Hearing at once that another process has committed, rather than at the next poll.

A bell only shortens a wait. Whoever waits must look for himself what has happened, and look now and then in any case:
a bell may ring for nothing, and one whose connection is lost does not ring.
"""

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy import URL

from app.db.engine import conninfo

CHANNEL = "voltway_changes"
"""On which PostgreSQL tells of lines in the table `changes` (a trigger does)."""
_LOOK_EVERY_S = 0.05
_BURST_S = 0.01
"""What is committed within that time is one ring."""


class Bell(Protocol):
    """Rings when something was committed since the last wait, by this process too."""

    async def wait(self, longest_s: float) -> None:
        """Until it rings, or so long. Never fails for want of the database."""

    async def close(self) -> None:
        """It can be used again."""


def bell_of(url: URL) -> Bell:
    """For the database of a URL; nothing is opened before the first wait."""
    if url.get_backend_name() == "sqlite":
        return _SqliteBell(Path(url.database or ""))
    return _PostgresqlBell(conninfo(url))


class _SqliteBell:
    """Looks at a number in shared memory that every commit changes (PRAGMA data_version): some microseconds."""

    def __init__(self, file: Path) -> None:
        self._file = file.absolute()
        self._connection: sqlite3.Connection | None = None
        self._heard: int | None = None

    async def wait(self, longest_s: float) -> None:
        deadline = time.monotonic() + longest_s
        while not self._rings() and (left_s := deadline - time.monotonic()) > 0:  # noqa: ASYNC110 - another process's
            await asyncio.sleep(min(_LOOK_EVERY_S, left_s))

    def _rings(self) -> bool:
        before = self._heard
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(f"{self._file.as_uri()}?mode=ro", uri=True, timeout=0)
            self._heard = self._connection.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            return False
        return self._heard != before

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _PostgresqlBell:
    """Listens on a connection of its own, which it opens anew when it is lost."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: psycopg.AsyncConnection | None = None

    async def wait(self, longest_s: float) -> None:
        deadline = time.monotonic() + longest_s
        try:
            if self._connection is None:
                async with asyncio.timeout(longest_s):
                    await self._listen()
                return  # nobody has heard what was committed before
            async for _ in self._connection.notifies(timeout=longest_s, stop_after=1):
                await asyncio.sleep(_BURST_S)
        except (psycopg.Error, OSError, TimeoutError):
            await self.close()
            await asyncio.sleep(max(deadline - time.monotonic(), 0.0))

    async def _listen(self) -> None:
        self._connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        await self._connection.execute(f"LISTEN {CHANNEL}")

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
