"""The key of a developer's own embedded database: kept in a file, so that it can be shown again."""

import os
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import repository
from app.auth.scopes import Scope
from app.auth.token import is_token_of
from app.db import Database
from app.errors import ConfigurationError

NAME = "development"
FILE = "development.key"


async def development_key(database: Database, data_dir: Path) -> str:
    """The key in `data_dir`; where there is none that holds and has every scope, a new one is made and put there.

    Raises ConfigurationError for a database that is not embedded, which others use too, and where the file cannot
    be written.
    """
    if database.url.get_backend_name() != "sqlite":
        raise ConfigurationError(
            "A development key is only for the embedded SQLite database. Make a key with: voltway keys create"
        )
    file = data_dir / FILE
    kept = _read(file)
    async with database.open_session() as session:
        if await _holds(session, kept):
            return kept
        token = await repository.create(session, NAME, list(Scope), datetime.now(UTC))
        _write(file, token)
    return token


async def _holds(session: AsyncSession, kept: str) -> bool:
    """Whether the key of this name is the one that was kept; another one is revoked."""
    now = datetime.now(UTC)
    for key in await repository.not_revoked(session):
        if key.name == NAME:
            has_all = set(key.scopes) >= set(Scope) and not (key.expires_at and key.expires_at <= now)
            if has_all and is_token_of(key.hash, kept):
                return True
            await repository.revoke(session, NAME, now)
    return False


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip() if file.exists() else ""
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from error


def _write(file: Path, token: str) -> None:
    """Readable for its owner only, at no moment for others."""
    new = file.with_suffix(".new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            out.write(f"{token}\n")
        new.replace(file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}. Is DATA_DIR right?") from error
