"""Records that belong together although they stand apart, brought together in memory that does not grow with them."""

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import orjson


class Grouping:
    """A shelf on disk: put records in under a key, then take them out key by key.

    It lives in a temporary database that SQLite creates where `TMPDIR` says once it outgrows a small cache, and
    removes with the connection, however the process ends.
    """

    def __init__(self) -> None:
        # A generator that reads from here may be resumed by another thread than the one that began it.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE record (place INTEGER PRIMARY KEY, key TEXT, content BLOB)")
        self._database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, key: str, record: Any) -> None:
        """`record` is anything that JSON can express."""
        self._database.execute("INSERT INTO record (key, content) VALUES (?, ?)", (key, orjson.dumps(record)))

    def groups(self) -> Iterator[tuple[str, Iterator[Any]]]:
        """Yield each key with its records, both in order of first appearance; called once, when all are added."""
        self._database.execute("CREATE INDEX by_key ON record (key)")
        for (key,) in self._database.execute("SELECT key FROM record GROUP BY key ORDER BY min(place)"):
            yield key, self._records(key)

    def _records(self, key: str) -> Iterator[Any]:
        contents = self._database.execute("SELECT content FROM record WHERE key = ? ORDER BY place", (key,))
        return (orjson.loads(content) for (content,) in contents)
