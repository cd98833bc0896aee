"""The settings and the link to Redis that this process uses, until it is told of others."""

import os
from threading import Lock
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.connection import parse_url

from app.utils._cache_memory import Drops, clear_stores
from app.utils._cache_redis import Link


class CacheSettings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True)

    redis_url: SecretStr = SecretStr("")
    """`redis://user:password@host:port/number`; empty: no Redis, each process caches for itself."""
    cache_ttl: Annotated[float, Field(gt=0)] = 3_600.0
    """Seconds that a value is kept where the code does not say."""
    cache_redis_wait: Annotated[float, Field(gt=0)] = 0.04
    """Seconds that a call may wait for Redis in all; up to 10 ms more are lost by timers and a busy event loop."""

    @field_validator("redis_url")
    @classmethod
    def _is_a_url(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value():
            try:
                parse_url(url.get_secret_value())  # type: ignore[no-untyped-call]
            except ValueError:
                raise ValueError("not a Redis URL (redis://user:password@host:port/number)") from None
        return url


class Current:
    """The settings in use, and what goes with them."""

    def __init__(self, settings: CacheSettings) -> None:
        url = settings.redis_url.get_secret_value()
        self.settings = settings
        self.link = Link(url, settings.cache_redis_wait, drops) if url else None


drops = Drops()
_lock = Lock()
_current: Current | None = None


def in_use() -> Current:
    global _current  # noqa: PLW0603  # one for the process
    if _current is None:
        with _lock:
            _current = _current or Current(CacheSettings())
    return _current


def swap(new: Current | None) -> Current | None:
    global _current
    with _lock:
        previous, _current = _current, new
    clear_stores()
    return previous


def _after_fork() -> None:
    """Threads and connections stay with the parent."""
    global _current, _lock  # noqa: PLW0603
    _lock = Lock()
    _current = _current and Current(_current.settings)


os.register_at_fork(after_in_child=_after_fork)
