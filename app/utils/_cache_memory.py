"""The memory tier: one bounded store for each function, and the order of events by which tags make values invalid."""

import time
from collections.abc import Hashable, Iterable
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakSet

from cachebox import LRUCache

from app.utils._cache_values import MISSING, Missing, is_immutable, own_copy
from app.utils.metrics import cache_entries

_MOST_TAGS = 10_000


class Drops:
    """When each tag was last dropped, counted in drops.

    A value counts as computed when its computation *began*: a tag that was dropped meanwhile makes it invalid before
    it is stored.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.count = 0
        self._all_at = 0
        self._at: dict[str, int] = {}

    def drop(self, tags: Iterable[str]) -> None:
        with self._lock:
            self.count += 1
            self._at.update(dict.fromkeys(tags, self.count))
            if len(self._at) > _MOST_TAGS:  # forget which, and drop what has any
                self._all_at = self.count
                self._at = {}

    def drop_all(self) -> None:
        """All that has a tag."""
        with self._lock:
            self.count += 1
            self._all_at = self.count
            self._at = {}

    def spared(self, since: int, tags: Iterable[str]) -> bool:
        """Whether what was begun at count `since` is still valid."""
        return since >= self._all_at and all(self._at.get(tag, 0) <= since for tag in tags)


class _Entry(NamedTuple):
    value: Any
    immutable: bool
    until: float
    tags: tuple[str, ...]
    since: int


class Store:
    """Of one function; safe in threads. The value that was not used for longest leaves when it is full."""

    def __init__(self, cache: str, max_entries: int, drops: Drops) -> None:
        if max_entries < 1:
            raise ValueError("max_entries must be at least 1")
        self._entries: LRUCache[Hashable, _Entry] = LRUCache(max_entries)
        self._drops = drops
        self._size = cache_entries.labels(cache)
        _stores.add(self)

    def get(self, key: Hashable) -> Any | Missing:
        entry = self._entries.get(key)
        if entry is None or time.monotonic() >= entry.until:
            return MISSING
        if entry.tags and not self._drops.spared(entry.since, entry.tags):
            return MISSING
        return entry.value if entry.immutable else own_copy(entry.value)

    def put(self, key: Hashable, value: object, ttl_s: float, tags: tuple[str, ...], since: int) -> None:
        """`since`: count of drops before the value was computed. Raises NotKeepableError."""
        entry = _Entry(own_copy(value), is_immutable(value), time.monotonic() + ttl_s, tags, since)
        self._entries.insert(key, entry)
        self._size.set(len(self._entries))

    def clear(self) -> None:
        self._entries.clear()
        self._size.set(0)


_stores: WeakSet[Store] = WeakSet()


def clear_stores() -> None:
    for store in list(_stores):
        store.clear()
