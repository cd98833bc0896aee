"""Columns of equal length that grow at their end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from app.replica.sphere import Rows


class Table:
    """Named columns, one entry of each in a row."""

    def __init__(self, types: Mapping[str, DTypeLike], room: int = 64) -> None:
        """`room`: how many rows it can take before it must move."""
        self._types = types
        self._room = {name: np.empty(room, kind) for name, kind in types.items()}
        self._size = 0

    @property
    def size(self) -> int:
        """Rows."""
        return self._size

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The column as far as it is filled, for reading and writing in place; good until the table is extended."""
        return self._room[name][: self._size]

    def names(self) -> Iterator[str]:
        """Of the columns, in order."""
        return iter(self._types)

    def extend(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
        """Add rows; every column must be given."""
        first = self._size
        self._size += len(next(iter(columns.values())))
        for name, kind in self._types.items():
            room = self._room[name]
            if self._size > len(room):
                grown = np.empty(max(self._size, 2 * len(room)), kind)
                grown[:first] = room[:first]
                self._room[name] = room = grown
            room[first : self._size] = columns[name]

    def take(self, rows: Rows, spare: int = 0) -> "Table":
        """These rows as another table, with room for so many more."""
        taken = Table(self._types, len(rows) + spare)
        taken._size = len(rows)
        for name in self._types:
            np.take(self._room[name], rows, axis=0, out=taken._room[name][: len(rows)], mode="clip")
        return taken


def spans(first: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Numbers of the entries of several ranges, one range after the other, and where each range begins among them."""
    starts = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(first - starts, counts), starts
