"""What stations have, as bits: what is rare is then found without looking at all that is common.

Each station has three words: the types of its connectors and its status; its plugs; the plugs of its free EVSEs. A
plug is a type of connector that gives at least so many kW, so that type and power, and whether it is free, are found
together. Traits leave out, and some let in; what they decide neither way is looked at.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.replica.states import STATUS_CODE
from app.stations.model import StoredStation
from app.stations.query import StationQuery
from app.stations.vocabulary import CONNECTOR_TYPES, ConnectorType, StationStatus

Traits = NDArray[np.uint64]
"""Shape (n, 3)."""

TYPE_CODE = {connector_type.value: code for code, connector_type in enumerate(CONNECTOR_TYPES)}
_FIRST_STATUS_BIT = 32

TYPE_BITS = (1 << _FIRST_STATUS_BIT) - 1
"""In the first word, which types of connector a station has: `1 << TYPE_CODE` of each."""

_LEVELS = 4
_SLOTS = 64 // _LEVELS
"""Types beyond so many share the bits of the last."""
_DC_W = (-1, 50_000, 150_000, 350_000)
_AC_W = (-1, 11_000, 22_000, 43_000)
"""Least power of each level; the first is that of all, also where the power is not known."""
_DC = {ConnectorType.CCS2, ConnectorType.CCS1, ConnectorType.CHADEMO, ConnectorType.NACS, ConnectorType.GBT_DC,
       ConnectorType.CHAOJI, ConnectorType.MCS}  # fmt: skip
_LEAST_W = np.array([_DC_W if kind in _DC else _AC_W for kind in CONNECTOR_TYPES])
NO_CONNECTOR = 255
"""Type code of the entry that stands for an EVSE without connectors."""


class Place(NamedTuple):
    """What decides who watches a station."""

    longitude: float
    latitude: float
    types: int
    """Its TYPE_BITS."""


class WantedTraits(NamedTuple):
    """For each of the three words."""

    needed: tuple[int, int, int]
    """Bits of which a station that matches has one; 0: it need not."""
    enough: tuple[int, int, int]
    """Bits of which any one says that a connector has all that is asked of type, power and status."""


def wanted_traits(query: StationQuery, power_w: int | None) -> WantedTraits:
    """`power_w`: the least power that is asked for; `None`: none is."""
    status = 0 if query.status is None else 1 << _FIRST_STATUS_BIT + STATUS_CODE[query.status]
    needed, enough = _wanted_plugs(tuple(query.connector), -1 if power_w is None else power_w)
    if not query.connector and power_w is None:
        needed = 0
    if query.status is StationStatus.AVAILABLE:
        return WantedTraits((status, 0, needed), (0, 0, enough))
    return WantedTraits((status, needed, 0), (0, 0 if query.status else enough, 0))


@lru_cache(1_000)
def _wanted_plugs(types: Sequence[ConnectorType], power_w: int) -> tuple[int, int]:
    """Needed and enough, as in WantedTraits, of one of these types (none: of any) with at least this power."""
    wanted = {TYPE_CODE[kind] for kind in types} or range(len(CONNECTOR_TYPES))
    needed, too_little = 0, 0
    for code, least_w in enumerate(_LEAST_W_OF):
        first = _LEVELS * min(code, _SLOTS - 1)
        for level in range(_LEVELS):
            if code not in wanted or least_w[level] < power_w:
                too_little |= 1 << first + level
        if code in wanted:
            needed |= 1 << first + max(n for n in range(_LEVELS) if least_w[n] <= power_w)
    return needed, _ALL_PLUGS & ~too_little


_ALL_PLUGS = (1 << 64) - 1
_LEAST_W_OF: list[list[int]] = _LEAST_W.tolist()


def wanted_types(query: StationQuery) -> int:
    """TYPE_BITS of those asked for."""
    return sum(1 << TYPE_CODE[kind] for kind in set(query.connector))


def place_of(station: StoredStation) -> Place:
    """As a row of the station would have it."""
    return Place(station.longitude, station.latitude, types_of(station))


def types_of(station: StoredStation) -> int:
    """TYPE_BITS."""
    found = {connector["type"] for evse in station.evses for connector in evse.connectors}
    return sum({1 << TYPE_CODE.get(connector_type, TYPE_CODE["other"]) for connector_type in found})


def plugs(types: NDArray[np.uint8], power_w: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Of each connector; of what is none, none."""
    known = np.where(types == NO_CONNECTOR, 0, types)
    levels = (power_w[:, np.newaxis] >= _LEAST_W[known]) @ _LEVEL_BITS
    slots = np.minimum(known, _SLOTS - 1)
    return np.where(types == NO_CONNECTOR, 0, levels << _LEVELS * slots).astype(np.uint64)


_LEVEL_BITS = 1 << np.arange(_LEVELS)


def first_words(types: Traits, status: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Of stations with these types, or first words, and a STATUS_CODE each."""
    return types & np.uint64(TYPE_BITS) | np.uint64(1) << (np.uint64(_FIRST_STATUS_BIT) + status)
