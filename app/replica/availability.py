"""How many connectors are free, by type and power class."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.replica.columns import Columns
from app.replica.sphere import Rows
from app.replica.states import STATUS_CODE
from app.replica.traits import NO_CONNECTOR
from app.stations.vocabulary import CONNECTOR_TYPES, ConnectorType, StationStatus

POWER_CLASSES = ("unknown", "under 7.4", "7.4 to 22", "22 to 50", "50 to 150", "150 to 350", "350 and over")
"""Highest power of a connector in kW: the limits that Regulation (EU) 2023/1804, Annex III, draws for AC (7.4 and 22)
and DC (50, 150, 350). As there, 22 kW itself belongs below its limit, and the others above theirs."""
_FROM_W = np.array([0, 7_400, 22_001, 50_000, 150_000, 350_000])
_STATUSES = tuple(StationStatus)


@dataclass(frozen=True, slots=True)
class ConnectorCount:
    """Connectors that are alike. One is in the state of its EVSE, which may have others."""

    type: ConnectorType
    power_class: str
    """One of POWER_CLASSES."""
    by_status: dict[StationStatus, int]
    newest_seen_s: int | None
    """When the newest of the states was seen, since 1970; `None`: none was, or they are too old."""
    oldest_seen_s: int | None


@dataclass(frozen=True, slots=True)
class Availability:
    """Of a station, or of some together."""

    stations: dict[StationStatus, int]
    """How many are in each state."""
    connectors: list[ConnectorCount]
    """By type and then by power."""


def summed_up(columns: Columns, rows: Rows) -> Availability:
    """Of all the rows together."""
    counts = np.bincount(columns.stations["status"][rows], minlength=len(_STATUSES)).tolist()
    stations = {status: counts[STATUS_CODE[status]] for status in _STATUSES}
    return Availability(stations, [count for _, count in _counts(columns, rows, np.zeros(len(rows), np.int64))])


def each(columns: Columns, rows: Rows) -> list[Availability]:
    """Of each row by itself."""
    codes = columns.stations["status"][rows].tolist()
    found = [Availability({status: int(STATUS_CODE[status] == code) for status in _STATUSES}, []) for code in codes]
    for index, count in _counts(columns, rows, np.arange(len(rows))):
        found[index].connectors.append(count)
    return found


def _counts(columns: Columns, rows: Rows, groups: NDArray[np.int64]) -> Iterator[tuple[int, ConnectorCount]]:
    """With the group of each; `groups`: that of each row."""
    entries, group = columns.connectors(rows, groups)
    kept = entries["type"] != NO_CONNECTOR
    entries, group = entries[kept], group[kept]
    power_class = np.searchsorted(_FROM_W, entries["power_w"], side="right")
    keys = (group * len(CONNECTOR_TYPES) + entries["type"]) * len(POWER_CLASSES) + power_class
    kinds, kind = np.unique(keys, return_inverse=True)
    totals = np.zeros((len(kinds), len(_STATUSES)), np.int64)
    np.add.at(totals, (kind, entries["status"]), 1)
    newest, oldest = np.zeros(len(kinds), np.uint32), np.full(len(kinds), _LATE, np.uint32)
    seen = entries["seen_s"]
    np.maximum.at(newest, kind, seen)
    np.minimum.at(oldest, kind, np.where(seen == 0, _LATE, seen))
    for number, key in enumerate(kinds.tolist()):
        rest, class_code = divmod(key, len(POWER_CLASSES))
        index, type_code = divmod(rest, len(CONNECTOR_TYPES))
        was_seen = bool(newest[number])
        by_status = {status: int(totals[number, STATUS_CODE[status]]) for status in _STATUSES}
        yield (
            index,
            ConnectorCount(
                CONNECTOR_TYPES[type_code],
                POWER_CLASSES[class_code],
                by_status,
                int(newest[number]) if was_seen else None,
                int(oldest[number]) if was_seen else None,
            ),
        )


_LATE = np.iinfo(np.uint32).max
