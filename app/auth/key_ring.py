"""Which keys hold: the check that each request with a key goes through."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf

from sqlalchemy.exc import SQLAlchemyError

from app.auth import repository
from app.auth.tables import ApiKey
from app.auth.token import is_token_of, key_id_of
from app.db import Database
from app.errors import DatabaseUnavailableError, KeyRefusedError, MissingScopeError, VoltWayError

logger = logging.getLogger(__name__)

REREAD_AFTER_S = 2.0
"""A key that is revoked ceases to hold in every process within this time."""
REREAD_FOR_UNKNOWN_AFTER_S = 0.1
"""An unknown key may be a new one. Whoever tries many causes no more than ten queries a second."""
NOTE_USE_EVERY = timedelta(minutes=1)
_LAST_NOTES_WITHIN_S = 5


@dataclass(frozen=True, slots=True)
class Key:
    """A key that holds."""

    id: str
    """May be logged."""
    name: str
    scopes: frozenset[str]
    ocpi_party: str | None
    """The only one for whom it may push; `None`: it may for everybody."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class KeyRing:
    """All keys that are not revoked, as of a moment ago, in memory. Close it before its database."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime] = _utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_session = database.open_session
        self._now, self._clock = now, clock
        self._keys: dict[str, ApiKey] = {}
        self._read_at = -inf
        self._reading: asyncio.Task[None] | None = None
        self._noted_at: dict[str, float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def admit(self, token: str, scope: str) -> Key:
        """The key, if it holds and has the scope; its use is noted.

        Raises KeyRefusedError, MissingScopeError or DatabaseUnavailableError.
        """
        stored = await self._find(token)
        if stored is None:
            raise KeyRefusedError("This key is not valid.")
        if scope not in stored.scopes:
            raise MissingScopeError(scope)
        self._note_use(stored.id)
        return Key(stored.id, stored.name, frozenset(stored.scopes), stored.ocpi_party)

    async def close(self) -> None:
        """Finish what is being written, for a few seconds at most."""
        tasks = self._notes | ({self._reading} if self._reading else set())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_LAST_NOTES_WITHIN_S)
            for task in late:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _find(self, token: str) -> ApiKey | None:
        key_id = key_id_of(token)
        if key_id is None:
            return None
        await self._reread(REREAD_AFTER_S)
        if self._clock() - self._read_at >= REREAD_AFTER_S / 2:
            self._begin_reading()  # so that where many come none has to wait
        if key_id not in self._keys:
            await self._reread(REREAD_FOR_UNKNOWN_AFTER_S)
        key = self._keys.get(key_id)
        if key is None or not is_token_of(key.hash, token):
            return None
        return None if key.expires_at and key.expires_at <= self._now() else key

    async def _reread(self, after_s: float) -> None:
        """Read the keys if that was longer ago; whoever comes meanwhile waits for the same reading."""
        if self._clock() - self._read_at >= after_s:
            await asyncio.shield(self._begin_reading())

    def _begin_reading(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())  # not all wait for it
        return self._reading

    async def _read(self) -> None:
        began = self._clock()
        try:
            async with self._open_session(read_only=True) as session:
                keys = await repository.not_revoked(session)
        except (SQLAlchemyError, OSError) as error:
            raise DatabaseUnavailableError(f"Keys cannot be checked: {type(error).__name__}.") from error
        finally:
            self._reading = None
        self._keys, self._read_at = {key.id: key for key in keys}, began
        self._noted_at = {key_id: at for key_id, at in self._noted_at.items() if key_id in self._keys}

    def _note_use(self, key_id: str) -> None:
        """In a task of its own: no request waits for it or fails with it."""
        if self._clock() - self._noted_at.get(key_id, -inf) < NOTE_USE_EVERY.total_seconds():
            return
        self._noted_at[key_id] = self._clock()
        note = asyncio.create_task(self._write_use(key_id))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    async def _write_use(self, key_id: str) -> None:
        try:
            async with self._open_session() as session:
                await repository.note_use(session, key_id, self._now(), NOTE_USE_EVERY)
        except (SQLAlchemyError, OSError, VoltWayError) as error:
            logger.warning("key_use_not_noted", extra={"key_id": key_id, "error": type(error).__name__})
