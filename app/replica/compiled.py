"""Nearest search by the compiled kernel, `_kernel.c`: what it needs, as it needs it."""

import math
import struct

import numpy as np
from numpy.typing import NDArray

from app.replica import _kernel, limits
from app.replica.answer import Answer
from app.replica.columns import Columns
from app.replica.entries import folded_text, power_w
from app.replica.rare import RareWords
from app.replica.sphere import Rows, cap_around, unit_vector
from app.replica.states import STATUS_CODE
from app.replica.table import Allocate
from app.replica.traits import wanted_traits, wanted_types
from app.stations.query import Box, StationQuery

_POINT = np.dtype([("at", np.float64, 3), ("row", np.int64)])
_QUERY = struct.Struct("7d5q4Q8i")
"""`Query` in the kernel."""
_ANY = -2
_NO_BOX = Box(0, 0, 0, 0)
_EVERYWHERE = 0.0, 0.0, None


class CompiledSearch:
    """A k-d tree whose leaves are filtered as they are met, and whose answer is written in one go."""

    @staticmethod
    def indexed(columns: Columns, rows: Rows, now_us: int, allocate: Allocate) -> Columns:
        """These rows in the order of a tree."""
        points = np.empty(len(rows), _POINT)
        points["at"], points["row"] = columns.stations["at"][rows], rows
        axes = np.zeros(len(rows), np.uint8)
        _kernel.build(points, axes)
        arranged = columns.arranged(points["row"], allocate)
        arranged.age(arranged.all_rows(), now_us)
        arranged.stations["axis"][:] = axes
        _kernel.summarise(arranged.stations["traits"], arranged.stations["below"])
        RareWords.arrange(arranged)
        return arranged

    def __init__(self, columns: Columns) -> None:
        """All rows must be in the order of a tree, those added later are looked at one by one."""
        self._columns = columns
        self._rare = RareWords(columns)
        self.size = len(columns)
        self._seen = -1
        self._held: object

    def nearest(self, query: StationQuery, longitude: float, latitude: float) -> Answer:
        return self._answer(query, longitude, latitude, query.radius_km, by_id=False)

    def listed(self, query: StationQuery) -> Answer:
        where = _EVERYWHERE if query.box is None else cap_around(query.box)
        return self._answer(query, *where, by_id=True)

    def restated(self, rows: Rows) -> None:
        _kernel.restate(self._view(), np.asarray(rows, np.int64))

    def _answer(
        self, query: StationQuery, longitude: float, latitude: float, radius_km: float | None, *, by_id: bool
    ) -> Answer:
        codes = self._columns.codes_of(query)
        power = None if query.min_power_kw is None else power_w(query.min_power_kw)
        text = b"" if query.q is None else folded_text(query.q)
        packed = _QUERY.pack(
            *unit_vector(longitude, latitude),
            *(query.box or _NO_BOX),
            -1 if radius_km is None else round(radius_km * 1e6),
            query.skip,
            query.limit,
            limits.MAX_TEXTS,
            limits.MAX_COUNTED,
            wanted_types(query),
            *wanted_traits(query, power),
            query.bbox is not None,
            _ANY if query.status is None else STATUS_CODE[query.status],
            _ANY if power is None else power,
            *(_ANY if code is None else code for code in codes),
            by_id,
        )
        try:
            return Answer(*_kernel.nearest(self._view(), packed, text, self._few(query, codes, by_id)))
        except OverflowError:
            raise limits.too_many_texts() from None

    def _few(self, query: StationQuery, codes: list[int | None], by_id: bool) -> NDArray[np.int32] | None:
        """All that can match, where it takes less time to look at them than to look for them: the rarer they are, the
        more of the others are met on the way to enough of them."""
        if not any(code is not None for code in codes):
            return None
        is_anywhere = by_id and query.box is None
        most = self.size / 4 if is_anywhere else math.sqrt((query.skip + query.limit) * self.size) / 2
        return self._rare.rows(codes, most)

    def _view(self) -> object:
        if self._seen != len(self._columns):
            self._held = _kernel.hold(self._columns.buffers, self.size)
            self._seen = len(self._columns)
        return self._held
