"""What stations have, as bits: what is rare is then found without looking at all that is common.

Each station has three words: the types of its connectors and its status; its plugs; the plugs of its free EVSEs. A
plug is a type of connector that gives at least so many kW, so that type and power, and whether it is free, are found
together. Traits only leave out: what they let through is looked at.
"""

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
"""Types beyond so many share the bits of others."""
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


def wanted_traits(query: StationQuery, power_w: int | None) -> tuple[int, int, int]:
    """For each word bits of which a station that matches has one; 0: it need not."""
    status = 0 if query.status is None else 1 << _FIRST_STATUS_BIT + STATUS_CODE[query.status]
    plugs = 0
    if query.connector or power_w is not None:
        codes = [TYPE_CODE[kind] for kind in query.connector] or range(len(CONNECTOR_TYPES))
        for code in set(codes):
            level = max(n for n, least_w in enumerate(_LEAST_W_OF[code]) if least_w <= (power_w or 0))
            plugs |= 1 << _LEVELS * (code % _SLOTS) + level
    return (status, 0, plugs) if query.status is StationStatus.AVAILABLE else (status, plugs, 0)


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
    return np.where(types == NO_CONNECTOR, 0, levels << _LEVELS * (known % _SLOTS)).astype(np.uint64)


_LEVEL_BITS = 1 << np.arange(_LEVELS)


def first_words(types: Traits, status: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Of stations with these types, or first words, and a STATUS_CODE each."""
    return types & np.uint64(TYPE_BITS) | np.uint64(1) << (np.uint64(_FIRST_STATUS_BIT) + status)
