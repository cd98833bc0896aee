"""Stations by the words that they have, for words that few of them have: these are looked at one by one."""

import numpy as np
from numpy.typing import NDArray

from app.replica.columns import BY_WORD, Columns

_NO_ROWS = np.zeros(0, np.int32)


class RareWords:
    """Of columns in which `arrange` has put the rows in order, and of which so many are looked up here."""

    def __init__(self, columns: Columns) -> None:
        self._stations = columns.stations
        self._ends = [np.cumsum(np.bincount(columns.stations[name])) for name in BY_WORD]

    @staticmethod
    def arrange(columns: Columns) -> None:
        """Number the rows by each kind of word."""
        for name, by_word in BY_WORD.items():
            columns.stations[by_word][:] = np.argsort(columns.stations[name], kind="stable")

    def rows(self, codes: list[int | None], most: float) -> NDArray[np.int32] | None:
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
