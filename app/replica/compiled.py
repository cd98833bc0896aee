"""Nearest search by the compiled kernel, `_kernel.c`: what it needs, as it needs it."""

import math
import struct

import numpy as np
from numpy.typing import NDArray

from app.replica import _kernel, limits
from app.replica.answer import Answer
from app.replica.columns import WORDS, Columns
from app.replica.entries import folded_text, power_w
from app.replica.orders import RowOrders
from app.replica.sphere import Rows, cap_around, unit_vector
from app.replica.states import STATUS_CODE
from app.replica.table import Allocate
from app.replica.traits import wanted_traits, wanted_types
from app.stations.query import Box, StationQuery

_POINT = np.dtype([("at", np.float64, 3), ("row", np.int64)])
_WHERE = struct.Struct("3d7q")
_FILTERS = struct.Struct("4d7Q7i4x")
"""`Query` in the kernel."""
_ANY = -2
_NO_BOX = Box(0, 0, 0, 0)
_EVERYWHERE = 0.0, 0.0, None
_TO_BE_COUNTED = -1
_NO_FILTERS = _FILTERS.pack(*_NO_BOX, *[0] * 7, False, *[_ANY] * 6)


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
        arranged.sum_up(arranged.all_rows(), now_us)
        arranged.stations["axis"][:] = axes
        _kernel.summarise(*(arranged.stations[name] for name in ("looked_at", "below", "spread")))
        arranged.stations["gone"][:] = 0
        RowOrders.arrange(arranged)
        return arranged

    def __init__(self, columns: Columns) -> None:
        """All rows must be in the order of a tree, those added later are looked at one by one."""
        self._columns = columns
        self._orders = RowOrders(columns)
        self.size = len(columns)
        self._seen = -1
        self._held: object

    def nearest(self, query: StationQuery, longitude: float, latitude: float) -> Answer:
        return self._answer(query, longitude, latitude, query.radius_km, by_id=False)

    def listed(self, query: StationQuery, present: int) -> Answer:
        if not query.is_filtered:
            return self._all(query, present)
        where = _EVERYWHERE if query.box is None else cap_around(query.box)
        return self._answer(query, *where, by_id=True)

    def _all(self, query: StationQuery, present: int) -> Answer:
        """A page of the list of all: of the indexed, as many of the first as hold enough that are still there."""
        gone = len(self._columns) - present
        rows = self._orders.first(query.skip + query.limit + 1 + gone)
        where = _where(query, *_EVERYWHERE, by_id=True, total=present)
        return Answer(*_kernel.nearest(self._view(), where + _NO_FILTERS, b"", rows))

    def restated(self, rows: Rows) -> None:
        _kernel.restate(self._view(), np.asarray(rows, np.int64))

    def forgotten(self, rows: Rows) -> None:
        _kernel.forget(self._view(), np.asarray(rows, np.int64))

    def _answer(
        self, query: StationQuery, longitude: float, latitude: float, radius_km: float | None, *, by_id: bool
    ) -> Answer:
        where = _where(query, longitude, latitude, radius_km, by_id=by_id)
        if not query.is_filtered:
            return Answer(*_kernel.nearest(self._view(), where + _NO_FILTERS, b"", None))
        codes = self._columns.codes_of(query)
        text = b"" if query.q is None else folded_text(query.q)
        try:
            return Answer(
                *_kernel.nearest(self._view(), where + _filters(query, codes), text, self._few(query, codes, by_id))
            )
        except OverflowError:
            raise limits.too_many_texts() from None

    def _few(self, query: StationQuery, codes: list[int | None], by_id: bool) -> NDArray[np.int32] | None:
        """All that can match, where it takes less time to look at them than to look for them: the rarer they are, the
        more of the others are met on the way to enough of them."""
        if query.model_fields_set.isdisjoint(WORDS):
            return None
        is_anywhere = by_id and query.bbox is None
        most = self.size / 4 if is_anywhere else math.sqrt((query.skip + query.limit) * self.size) / 2
        return self._orders.rarest(codes, most)

    def _view(self) -> object:
        if self._seen != len(self._columns):
            self._held = _kernel.hold(self._columns.buffers, self.size)
            self._seen = len(self._columns)
        return self._held


def _where(
    query: StationQuery,
    longitude: float,
    latitude: float,
    radius_km: float | None,
    *,
    by_id: bool,
    total: int = _TO_BE_COUNTED,
) -> bytes:
    return _WHERE.pack(
        *unit_vector(longitude, latitude),
        -1 if radius_km is None else round(radius_km * 1e6),
        query.skip,
        query.limit,
        limits.MAX_TEXTS,
        limits.MAX_COUNTED,
        total,
        by_id,
    )


def _filters(query: StationQuery, codes: list[int | None]) -> bytes:
    power = None if query.min_power_kw is None else power_w(query.min_power_kw)
    traits = wanted_traits(query, power)
    return _FILTERS.pack(
        *(query.box or _NO_BOX),
        wanted_types(query),
        *traits.needed,
        *traits.enough,
        query.bbox is not None,
        _ANY if query.status is None else STATUS_CODE[query.status],
        _ANY if power is None else power,
        *(_ANY if code is None else code for code in codes),
    )
