"""Which processes are alive: each holds a lock that goes away with it, without clocks or heartbeats."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, text


class Lease(Protocol):
    """One process's proof of life."""

    grace_ticks: int
    """How often in a row a lease must be seen free before its holder is dead."""

    def renew(self) -> None:
        """Take the lock, or take it again should it be lost."""

    def is_held(self, holder: str) -> bool:
        """Whether another process holds its lease."""

    def release(self) -> None:
        """To be called once, at the end."""


def lease_for(engine: Engine, holder: str) -> Lease:
    """Not yet taken."""
    if engine.dialect.name == "postgresql":
        return AdvisoryLease(engine, holder)
    return FileLease(Path(f"{engine.url.database}.processes"), holder)


class FileLease:
    """A locked file in a folder beside the database: all processes are on one machine."""

    grace_ticks = 0

    def __init__(self, folder: Path, holder: str) -> None:
        self._folder, self._path = folder, folder / holder
        self._lock: int | None = None

    def renew(self) -> None:
        if self._lock is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        while self._lock is None:
            lock = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._path.exists() and os.path.samestat(os.fstat(lock), self._path.stat()):
                self._lock = lock
            else:  # somebody took it for a dead one's and removed it between the two lines
                os.close(lock)

    def is_held(self, holder: str) -> bool:
        try:
            lock = os.open(self._folder / holder, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            (self._folder / holder).unlink(missing_ok=True)
            return False
        finally:
            os.close(lock)

    def release(self) -> None:
        for path in self._folder.glob("*"):  # this one's, and those of the dead that left no job behind
            if path == self._path or not self.is_held(path.name):
                path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
        with suppress(OSError):
            self._folder.rmdir()


class AdvisoryLease:
    """A lock that PostgreSQL keeps for as long as one connection lasts. Needs a session of its own, so no pooler in
    transaction mode between."""

    grace_ticks = 2

    _NOTICE_DEATH_WITHIN_10_S = (
        "SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3"
    )
    """A machine that lost its power closes no connection; without this the server would wait for two hours."""

    def __init__(self, engine: Engine, holder: str) -> None:
        self._engine, self._holder = engine, holder
        self._connection: Connection | None = None

    def renew(self) -> None:
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
            except Exception:
                self._drop()
                raise
            return
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # never given back to the pool
        connection.exec_driver_sql(self._NOTICE_DEATH_WITHIN_10_S)
        connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:holder, 7))"), {"holder": self._holder})
        self._connection = connection

    def is_held(self, holder: str) -> bool:
        """Tries the lock for the length of one statement."""
        assert self._connection is not None  # noqa: S101 - a process asks only while it holds its own
        free = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:holder, 7))")
        return not self._connection.scalar(free, {"holder": holder})

    def release(self) -> None:
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = None
