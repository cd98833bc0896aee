"""Stations by the words that they have, for words that few of them have, and by id: what need not be looked for."""

import numpy as np
from numpy.typing import NDArray

from app.replica.columns import BY_ID, BY_WORD, Columns

_NO_ROWS = np.zeros(0, np.int32)


class RowOrders:
    """Of columns in which `arrange` has put the rows in order, and of which so many are looked up here."""

    def __init__(self, columns: Columns) -> None:
        self._stations = columns.stations
        self._size = columns.stations.size
        everywhere = np.ones(self._size, np.bool_)
        self._ends = [np.cumsum(columns.counts(name, everywhere)) for name in BY_WORD]

    @staticmethod
    def arrange(columns: Columns) -> None:
        """Number the rows by each kind of word."""
        for name, ordered in BY_WORD.items():
            columns.stations[ordered][:] = np.argsort(columns.stations[name], kind="stable")

    def first(self, count: int) -> NDArray[np.int32]:
        """So many of the lowest ids."""
        ordered: NDArray[np.int32] = self._stations[BY_ID][: min(count, self._size)]
        return ordered

    def rarest(self, codes: list[int | None], most: float) -> NDArray[np.int32] | None:
        """Those that have the rarest of these words, as `Columns.codes_of` gives them; `None`: more than so many, or
        no word is asked for."""
        rarest = None
        for by_word, ends, code in zip(BY_WORD.values(), self._ends, codes, strict=False):
            if code is None:
                continue
            if not 0 <= code < len(ends):
                return _NO_ROWS
            begin, end = int(ends[code - 1]) if code else 0, int(ends[code])
            if end - begin <= most:
                rarest, most = self._stations[by_word][begin:end], end - begin
        return rarest
