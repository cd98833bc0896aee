"""Everything that is written to and read from the table of keys."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.scopes import Scope
from app.auth.tables import ApiKey
from app.auth.token import ID_PREFIX, hash_of, key_id_of, new_token
from app.db.dialect import take_turns
from app.errors import KeyNameError

MAX_NAME_LENGTH = 100


async def create(
    session: AsyncSession,
    name: str,
    scopes: Collection[Scope],
    now: datetime,
    expires_at: datetime | None = None,
    ocpi_party: str | None = None,
) -> str:
    """Store a new key and return it, which nobody can do again. `ocpi_party`: as the table has it. Raises
    KeyNameError."""
    if not (0 < len(name) <= MAX_NAME_LENGTH and name.isprintable() and name == name.strip()):
        raise KeyNameError(f"A key's name has 1 to {MAX_NAME_LENGTH} printable characters.")
    if name.startswith(ID_PREFIX):
        raise KeyNameError(f"A key's name cannot begin with {ID_PREFIX}, as the ids of keys do.")
    await take_turns(session, "names of keys")
    if await _find(session, name):
        raise KeyNameError(f"There is a key {name!r} already: revoke it, or take another name.")
    key_id, token = new_token()
    granted = sorted(set(scopes))
    session.add(
        ApiKey(
            id=key_id, name=name, hash=hash_of(token), scopes=granted, created_at=now, expires_at=expires_at,
            ocpi_party=ocpi_party,
        )
    )  # fmt: skip
    await session.flush()
    return token


async def revoke(session: AsyncSession, name_or_id: str, now: datetime) -> ApiKey:
    """Let a key hold no more, and return it. Raises KeyNameError when none that is not revoked is called so."""
    key = await _find(session, name_or_id)
    if key is None:
        raise KeyNameError(f"No key that is not revoked is called {name_or_id!r}: see `voltway keys list`.")
    key.revoked_at = now
    return key


async def all_keys(session: AsyncSession) -> list[ApiKey]:
    """Revoked and expired ones too, the oldest first."""
    return list(await session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)))


async def not_revoked(session: AsyncSession) -> list[ApiKey]:
    """Those that hold, and the expired ones."""
    return list(await session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None))))


async def holding(session: AsyncSession, scope: Scope, now: datetime) -> set[str]:
    """Ids of the keys that hold and have the scope."""
    keys = await not_revoked(session)
    return {key.id for key in keys if scope in key.scopes and not (key.expires_at and key.expires_at <= now)}


async def note_use(session: AsyncSession, key_id: str, now: datetime, every: timedelta) -> None:
    """Write that a key is used now, unless that was written already within the last `every`."""
    due = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - every)
    await session.execute(update(ApiKey).where(ApiKey.id == key_id, due).values(last_used_at=now))


async def _find(session: AsyncSession, name_or_id: str) -> ApiKey | None:
    """By name, id, or the whole key."""
    column = ApiKey.id if name_or_id.startswith(ID_PREFIX) else ApiKey.name
    wanted = select(ApiKey).where(column == (key_id_of(name_or_id) or name_or_id), ApiKey.revoked_at.is_(None))
    found: ApiKey | None = await session.scalar(wanted)
    return found
