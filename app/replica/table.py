"""Columns of equal length that grow at their end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from app.replica.sphere import Rows

Types = Mapping[str, DTypeLike]
"""Of columns, by name. A column of records stands for its fields, which lie side by side in memory: those that are
asked for together."""
Allocate = Callable[[int, DTypeLike], NDArray[Any]]
"""Makes an array of so many entries of a type; what is in them does not matter."""


class Table:
    """Named columns, one entry of each in a row."""

    def __init__(self, types: Types, room: int = 64, allocate: Allocate = np.empty) -> None:
        """`room`: how many rows it can take before it must move."""
        self._types = types
        self._room = {name: allocate(room, kind) for name, kind in types.items()}
        self._fields = {field: name for name, room in self._room.items() for field in room.dtype.names or ()}
        self._size = 0

    @classmethod
    def of(cls, types: Types, room: Mapping[str, NDArray[Any]], size: int) -> Self:
        """Made of columns that are there, of which so many rows are filled."""
        table = cls(types, 0)
        table._room, table._size = dict(room), size
        return table

    @property
    def size(self) -> int:
        """Rows."""
        return self._size

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The column or field as far as it is filled, for reading and writing in place; good until the table is
        extended."""
        if name in self._room:
            return self._room[name][: self._size]
        field: NDArray[Any] = self._room[self._fields[name]][name]
        return field[: self._size]

    def names(self) -> Iterator[str]:
        """Of the fields and of the columns that have none, in order."""
        for name, room in self._room.items():
            yield from room.dtype.names or (name,)

    def extend(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
        """Add rows; for every one of the `names` something must be given."""
        first = self._size
        self._size += len(next(iter(columns.values())))
        for name, kind in self._types.items():
            room = self._room[name]
            if self._size > len(room):
                grown = np.empty(max(self._size, 2 * len(room)), kind)
                grown[:first] = room[:first]
                self._room[name] = grown
        for name in self.names():
            self[name][first:] = columns[name]

    def room(self) -> Mapping[str, NDArray[Any]]:
        """All columns with what is not filled yet, in order."""
        return self._room

    def take(self, rows: Rows, spare: int = 0, allocate: Allocate = np.empty) -> "Table":
        """These rows as another table, with room for so many more."""
        taken = Table(self._types, len(rows) + spare, allocate)
        taken._size = len(rows)
        for name in self._types:
            np.take(self._room[name], rows, axis=0, out=taken._room[name][: len(rows)], mode="clip")
        return taken


def spans(first: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Numbers of the entries of several ranges, one range after the other, and where each range begins among them."""
    starts = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(first - starts, counts), starts
