"""API keys for tests, made as `voltway keys` makes them but without starting it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import Scope, repository
from app.db import Database

Result = TypeVar("Result")


def create_key(
    database_url: str,
    name: str,
    scopes: Sequence[Scope] = tuple(Scope),
    expires_at: datetime | None = None,
    ocpi_party: str | None = None,
) -> str:
    return _write(
        database_url,
        lambda session: repository.create(session, name, scopes, datetime.now(UTC), expires_at, ocpi_party),
    )


def revoke_key(database_url: str, name: str) -> None:
    _write(database_url, lambda session: repository.revoke(session, name, datetime.now(UTC)))


def _write(database_url: str, use: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
    async def write() -> Result:
        database = Database(database_url)
        try:
            async with database.open_session() as session:
                return await use(session)
        finally:
            await database.close()

    return asyncio.run(write())
