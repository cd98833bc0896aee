"""The ids that one import has met, on disk, so that memory does not grow with the input."""

import sqlite3
from collections.abc import Collection
from types import TracebackType
from typing import Self


class SeenIds:
    """A set of strings in a private temporary file that is there while it is entered."""

    def __enter__(self) -> Self:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()

    def add(self, seen_id: str) -> bool:
        """Whether the id is new."""
        return self._file.execute("INSERT OR IGNORE INTO seen VALUES (?)", (seen_id,)).rowcount == 1

    def missing(self, ids: Collection[str]) -> list[str]:
        """Those of the ids that have not been added."""
        return [each for each in ids if not self._file.execute("SELECT 1 FROM seen WHERE id = ?", (each,)).fetchone()]
