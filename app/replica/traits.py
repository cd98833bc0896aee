"""What stations have, as bits: what is rare is then found without looking at all that is common."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.replica.states import STATUS_CODE
from app.stations.model import StoredStation
from app.stations.query import StationQuery
from app.stations.vocabulary import CONNECTOR_TYPES

TYPE_CODE = {connector_type.value: code for code, connector_type in enumerate(CONNECTOR_TYPES)}
_FIRST_STATUS_BIT = 32
_NOT_STATUS = np.uint64((1 << 64) - 1 - sum(1 << _FIRST_STATUS_BIT + code for code in STATUS_CODE.values()))
_POWER_BITS = [(power_kw, 1 << 40 + n) for n, power_kw in enumerate((11, 22, 43, 50, 100, 150, 250, 300, 350, 400))]
"""Least power in kW, and the trait of the stations that have it."""

TYPE_BITS = (1 << _FIRST_STATUS_BIT) - 1
"""The traits that tell which types of connector a station has: `1 << TYPE_CODE` of each."""


class Place(NamedTuple):
    """What decides who watches a station."""

    longitude: float
    latitude: float
    types: int
    """Its TYPE_BITS."""


def wanted_traits(query: StationQuery) -> tuple[int, int, int]:
    """Sets of traits for connector, status and power: a row that matches has one of each set that is not empty."""
    types = sum(1 << TYPE_CODE[kind] for kind in set(query.connector))
    status = 0 if query.status is None else 1 << _FIRST_STATUS_BIT + STATUS_CODE[query.status]
    return types, status, _highest_power_bit(query.min_power_kw or 0)


def place_of(station: StoredStation) -> Place:
    """As a row of the station would have it."""
    return Place(station.longitude, station.latitude, types_of(station))


def types_of(station: StoredStation) -> int:
    """TYPE_BITS."""
    found = {connector["type"] for evse in station.evses for connector in evse.connectors}
    return sum({1 << TYPE_CODE.get(connector_type, TYPE_CODE["other"]) for connector_type in found})


def lasting_traits(station: StoredStation) -> int:
    """All but the status."""
    powers = [connector.get("power_kw", 0) for evse in station.evses for connector in evse.connectors]
    strongest_kw = max(powers, default=0)
    return types_of(station) | sum(bit for power_kw, bit in _POWER_BITS if strongest_kw >= power_kw)


def with_status(traits: NDArray[np.uint64], status: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The traits with those of the status of each, a STATUS_CODE."""
    return traits & _NOT_STATUS | np.uint64(1) << (np.uint64(_FIRST_STATUS_BIT) + status)


def _highest_power_bit(power_kw: float) -> int:
    return max((bit for least_kw, bit in _POWER_BITS if power_kw >= least_kw), default=0)
