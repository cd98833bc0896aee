"""Units of work: `open_session` is the one place that commits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import URL, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.db.engine import create_engine, create_threads_engine, with_driver
from app.settings import Settings
from app.utils import metrics

Asked = ParamSpec("Asked")
Found = TypeVar("Found")


class Database:
    """One process's connections to one database. Close it in the event loop that used it."""

    def __init__(self, url: URL | str) -> None:
        self.url = with_driver(url)
        self._engine = create_engine(self.url)
        self._reading = self._engine.execution_options(read_only=True)
        self._in_threads = create_threads_engine(self.url)
        self._reading_in_threads = self._in_threads.execution_options(read_only=True)

    @asynccontextmanager
    async def open_session(self, *, read_only: bool = False) -> AsyncIterator[AsyncSession]:
        """Commit when the block ends, roll back when it raises.

        On SQLite a session that is not `read_only` holds the write lock from its first statement on: keep it short.
        """
        engine = self._reading if read_only else self._engine
        try:
            async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except PoolTimeoutError:  # no statement has failed, so nobody else counts it
            metrics.db_errors.inc()
            raise

    async def read(
        self, work: Callable[Concatenate[Session, Asked], Found], *asked: Asked.args, **named: Asked.kwargs
    ) -> Found:
        """Let `work` read in a session of its own. On SQLite in a thread, as its driver would go to one and back at
        every step; on PostgreSQL not, as a thread that waits for a lost server could not be stopped."""
        if self.url.get_backend_name() != "sqlite":
            async with self.open_session(read_only=True) as session:
                return await session.run_sync(work, *asked, **named)

        def here() -> Found:
            with self.open_session_here(read_only=True) as session:
                return work(session, *asked, **named)

        return await asyncio.to_thread(here)

    @contextmanager
    def open_session_here(self, *, read_only: bool = False) -> Iterator[Session]:
        """`open_session` for code that runs in a thread: of a short unit of work with several statements, going to
        the driver and back for each is most of the time in the event loop."""
        engine = self._reading_in_threads if read_only else self._in_threads
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except PoolTimeoutError:
            metrics.db_errors.inc()
            raise

    async def is_reachable(self, within_s: float = 2.0) -> bool:
        """Whether the database answers in that time."""
        try:
            async with asyncio.timeout(within_s), self.open_session(read_only=True) as session:
                await session.execute(text("SELECT 1"))
        except (SQLAlchemyError, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        self._in_threads.dispose()
        await self._engine.dispose()


_defaults: WeakKeyDictionary[asyncio.AbstractEventLoop, Database] = WeakKeyDictionary()


def default_database() -> Database:
    """The database of `DATABASE_URL` and `DATA_DIR`, opened once for each event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _defaults:
        _defaults[loop] = Database(Settings.load().database)
    return _defaults[loop]


@asynccontextmanager
async def open_session(*, read_only: bool = False) -> AsyncIterator[AsyncSession]:
    """`Database.open_session` on the default database; needs no web application."""
    async with default_database().open_session(read_only=read_only) as session:
        yield session
