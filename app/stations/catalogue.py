"""Reading for those who keep a copy of the catalogue: each call its own short, read-only unit of work."""

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.errors import DatabaseUnavailableError
from app.stations import feed, live, repository
from app.stations.changes import Changes, EvsesOf, FeedPosition
from app.stations.model import EvseObservation, StoredStation


class Catalogue:
    """Raises DatabaseUnavailableError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def position(self) -> FeedPosition:
        async with self._reading() as session:
            return await feed.current_position(session)

    async def all_stations(self, now: datetime) -> AsyncIterator[list[StoredStation]]:
        async with self._reading() as session:
            async for page in repository.all_stations(session, now):
                yield page

    async def written_at(self, position: FeedPosition) -> datetime | None:
        async with self._reading() as session:
            return await feed.written_at(session, position)

    async def changes_after(self, position: FeedPosition, limit: int = feed.STRETCH) -> Changes | None:
        with _failing():
            return await self._database.read(feed.changes_after, position, limit)

    async def get_many(self, ids: Collection[int], now: datetime) -> list[StoredStation]:
        async with self._reading() as session:
            return await repository.get_many(session, ids, now)

    async def observed_of(self, asked: EvsesOf) -> list[EvseObservation]:
        with _failing():
            return await self._database.read(live.observed_of, asked)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncSession]:
        with _failing():
            async with self._database.open_session(read_only=True) as session:
                yield session


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseUnavailableError(f"The database cannot be read: {type(error).__name__}.") from error
