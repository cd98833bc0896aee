"""Nearest search by the compiled kernel, `_kernel.c`: what it needs, as it needs it."""

import struct

import numpy as np

from app.replica import _kernel
from app.replica.answer import Answer
from app.replica.columns import STATUS_CODE, Columns, folded_text, power_w, wanted_traits
from app.replica.sphere import unit_vector
from app.stations.query import Box, StationQuery

_POINT = np.dtype([("at", np.float64, 3), ("row", np.int64)])
_FOUND = np.dtype([("mm", np.int64), ("id", np.int64), ("row", np.int64)])
_QUERY = struct.Struct("7d3q3Q7i0q")
"""`Query` in the kernel."""
_ANY = -2
_NO_BOX = Box(0, 0, 0, 0)


class CompiledSearch:
    """A k-d tree whose leaves are filtered as they are met, and whose answer is joined in one go."""

    def __init__(self, columns: Columns) -> None:
        """Index the rows that there are; later ones are looked at one by one."""
        self._columns = columns
        self.size = len(columns)
        points = np.empty(self.size, _POINT)
        points["at"], points["row"] = columns.points.used, columns.all_rows()
        axes = np.zeros(self.size, np.uint8)
        _kernel.build(points, axes)
        traits = columns.traits.used[points["row"]]
        below = np.zeros_like(traits)
        _kernel.summarise(traits, below)
        self._tree = points, axes, traits, below

    def nearest(self, query: StationQuery, longitude: float, latitude: float) -> Answer:
        columns = self._columns
        page, total, more = _kernel.nearest(
            self._tree,
            columns.points.used,
            columns.buffers,
            columns.texts,
            self._packed(query, longitude, latitude),
            b"" if query.q is None else folded_text(query.q),
        )
        rows = np.frombuffer(page, _FOUND)["row"]
        counted = None if query.radius_km is None else total
        return columns.answer(_kernel.join(columns.fragments, page), rows, counted, more)

    def _packed(self, query: StationQuery, longitude: float, latitude: float) -> bytes:
        return _QUERY.pack(
            *unit_vector(longitude, latitude),
            *(query.box or _NO_BOX),
            -1 if query.radius_km is None else round(query.radius_km * 1e6),
            query.skip,
            query.limit,
            *wanted_traits(query),
            query.bbox is not None,
            _ANY if query.status is None else STATUS_CODE[query.status],
            _ANY if query.min_power_kw is None else power_w(query.min_power_kw),
            *(_ANY if code is None else code for code in self._columns.codes_of(query)),
        )
