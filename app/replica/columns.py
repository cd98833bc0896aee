"""The catalogue as columns: one row a station, one entry a connector, in arrays that grow at their end."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from app.replica.answer import Answer
from app.replica.sphere import Rows, unit_vectors
from app.stations.model import EvseState, StoredStation
from app.stations.query import Box, StationQuery
from app.stations.status import in_station_words, station_status
from app.stations.vocabulary import CONNECTOR_TYPES, StationStatus

TYPE_CODE = {connector_type.value: code for code, connector_type in enumerate(CONNECTOR_TYPES)}
STATUS_CODE = {status: code for code, status in enumerate(StationStatus)}
NO_CONNECTOR = 255
"""Type code of the entry that stands for an EVSE without connectors, or a station without EVSEs."""
_NO_POWER = -1
_NEVER = float("inf")
_CONNECTOR = np.dtype([("type", np.uint8), ("power_w", np.int32), ("status", np.uint8), ("seen_s", np.uint32)])

_FIRST_STATUS_BIT = 32
_POWER_BITS = [(power_kw, 1 << 40 + n) for n, power_kw in enumerate((11, 22, 43, 50, 100, 150, 250, 300, 350, 400))]
"""Least power in kW, and the trait of the stations that have it."""

TYPE_BITS = (1 << _FIRST_STATUS_BIT) - 1
"""The traits that tell which types of connector a station has: `1 << TYPE_CODE` of each."""

Mask = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)
Render = Callable[[StoredStation], bytes]
"""Makes a station's JSON object, complete but for the distance."""


class Growing(Generic[Number]):
    """An array with room at its end."""

    def __init__(self, dtype: type[Number], width: int | None = None) -> None:
        self._room: NDArray[Number] = np.empty(64 if width is None else (64, width), dtype)
        self._size = 0

    def extend(self, values: Sequence[Any] | NDArray[Any]) -> None:
        size = self._size + len(values)
        if size > len(self._room):
            grown = np.empty((max(size, 2 * len(self._room)), *self._room.shape[1:]), self._room.dtype)
            grown[: self._size] = self.used
            self._room = grown
        self._room[self._size : size] = values
        self._size = size

    def keep(self, rows: Rows) -> None:
        """Shrink to these rows, in their order."""
        self._room = self._room[rows]
        self._size = len(rows)

    @property
    def used(self) -> NDArray[Number]:
        """A view of what has been put in; writing to it changes the array."""
        return self._room[: self._size]


class Words:
    """Small numbers for strings that occur often."""

    def __init__(self) -> None:
        self._codes: dict[str | None, int] = {}

    def code(self, word: str | None) -> int:
        """The word's number, a new one if need be."""
        return self._codes.setdefault(word, len(self._codes))

    def items(self) -> Iterable[tuple[str | None, int]]:
        """Every word with its number."""
        return self._codes.items()

    def find(self, word: str | None) -> int:
        """The word's number, or -1, which no row has."""
        return self._codes.get(word, -1)


class Place(NamedTuple):
    """What decides who watches a station."""

    longitude: float
    latitude: float
    types: int
    """Its TYPE_BITS."""


class Columns:
    """Rows are only ever appended; a station that changes gets a new row and its old one is marked as gone."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self.ids = Growing(np.int64)
        self.points = Growing(np.float64, 3)
        self.present = Growing(np.bool_)
        self.expires_at = Growing(np.float64)
        """When a live status of the station ceases to hold, in seconds since 1970; infinity: never."""
        self.stale_since = Growing(np.float64)
        """When the newest of its too old statuses ceased to hold, in seconds since 1970; -infinity: there is none."""
        self.versions = Growing(np.uint64)
        self.traits = Growing(np.uint64)
        """What a row may be asked for, as bits: `wanted_traits` says which are needed."""
        self.fragments: list[bytes] = []
        """JSON objects without their closing brace, so that the distance can be added."""
        self._positions = Growing(np.float64, 2)  # longitude, latitude in degrees
        self._words = {name: Words() for name in ("source", "operator", "country", "access")}
        self._codes = {name: Growing(np.int32) for name in self._words}
        self.status = Growing(np.uint8)
        self.texts: list[bytes] = []
        """What `q` is looked for in: UTF-8, case folded."""
        self._first_connector = Growing(np.int64)
        self._connector_count = Growing(np.int64)
        self._connector_type = Growing(np.uint8)
        self._connector_power_w = Growing(np.int32)
        self._connector_status = Growing(np.uint8)
        self._connector_seen_s = Growing(np.uint32)  # since 1970; 0: not seen, or too old
        self._buffers: tuple[NDArray[Any], ...] | None = None

    def __len__(self) -> int:
        return len(self.fragments)

    def append(self, stations: Sequence[StoredStation]) -> None:
        """Add a row for each station, in order."""
        self._buffers = None
        positions = np.array([(s.longitude, s.latitude) for s in stations], np.float64).reshape(-1, 2)
        self._positions.extend(positions)
        self.points.extend(unit_vectors(positions[:, 0], positions[:, 1]))
        self.ids.extend([s.id for s in stations])
        self.present.extend([True] * len(stations))
        self.expires_at.extend([_expiry(s) for s in stations])
        self.stale_since.extend([_stale_since(s) for s in stations])
        self.status.extend([STATUS_CODE[station_status(e.status for e in s.evses)] for s in stations])
        for name, words in self._words.items():
            self._codes[name].extend([words.code(_fold(getattr(s, name))) for s in stations])
        self.traits.extend([_traits(s) for s in stations])
        self._append_connectors(stations)
        self.texts += [_searchable(s) for s in stations]
        fragments = [self._render(s)[:-1] for s in stations]  # also drops the serialiser's 8 KB buffer
        self.versions.extend([_version(*each) for each in zip(stations, fragments, strict=True)])
        self.fragments += fragments

    def _append_connectors(self, stations: Sequence[StoredStation]) -> None:
        entries = [list(_connector_entries(station.evses)) for station in stations]
        counts = np.array([len(of_station) for of_station in entries], np.int64)
        first = len(self._connector_type.used)
        self._first_connector.extend(first + np.cumsum(counts) - counts)
        self._connector_count.extend(counts)
        flat = [entry for of_station in entries for entry in of_station]
        self._connector_type.extend([entry[0] for entry in flat])
        self._connector_power_w.extend([entry[1] for entry in flat])
        self._connector_status.extend([entry[2] for entry in flat])
        self._connector_seen_s.extend([entry[3] for entry in flat])

    def matching(self, query: StationQuery, rows: Rows) -> Rows:
        """Those of the rows that are present and pass every filter of the query."""
        rows = rows[self.present.used[rows]]
        for codes, code in zip(self._codes.values(), self.codes_of(query), strict=True):
            if code is not None:
                rows = rows[codes.used[rows] == code]
        if query.box is not None:
            rows = rows[_inside(query.box, self._positions.used[rows])]
        if query.status is not None:
            rows = rows[self.status.used[rows] == STATUS_CODE[query.status]]
        if query.connector or query.min_power_kw is not None or query.status is not None:
            rows = rows[self._any_connector(query, rows)]
        if query.q is not None:
            wanted = folded_text(query.q)
            rows = np.array([row for row in rows.tolist() if wanted in self.texts[row]], np.intp)
        return rows

    def all_rows(self) -> Rows:
        return np.arange(len(self))

    def answer(self, body: bytes, rows: Rows, total: int | None, more: bool) -> Answer:
        """For a page with these rows."""
        return Answer(body, total, more, self.versions.used[rows].tobytes() + repr((total, more)).encode())

    def codes_of(self, query: StationQuery) -> list[int | None]:
        """For each column of words the code asked for: -1 if no row has it, None if none is asked for."""
        wanted = ((words, getattr(query, name)) for name, words in self._words.items())
        return [None if word is None else words.find(_fold(word)) for words, word in wanted]

    @property
    def buffers(self) -> tuple[NDArray[Any], ...]:
        """The columns that the compiled search reads, in its order."""
        if self._buffers is None:
            columns: tuple[Growing[Any], ...] = (
                self.ids, self._first_connector, self._connector_count, self.present, self.status, self._positions,
                *self._codes.values(), self._connector_type, self._connector_status, self._connector_power_w,
            )  # fmt: skip
            self._buffers = tuple(column.used for column in columns)
        return self._buffers

    def count_by(self, name: str) -> dict[str, int]:
        """Number of present rows with each word that the column `name` has."""
        counts = np.bincount(self._codes[name].used[self.present.used]).tolist()
        return {word: counts[code] for word, code in self._words[name].items() if word and code < len(counts)}

    def compact(self) -> None:
        """Drop the rows that are gone; the others move up and keep their order."""
        self._buffers = None
        rows = np.flatnonzero(self.present.used)
        entries, starts = self._entries(rows)
        for of_connectors in self._connector_columns():
            of_connectors.keep(entries)
        for column in self._row_columns():
            column.keep(rows)
        self._first_connector.used[:] = starts
        kept = rows.tolist()
        self.fragments = [self.fragments[row] for row in kept]
        self.texts = [self.texts[row] for row in kept]

    def _row_columns(self) -> Iterable[Growing[Any]]:
        yield self.ids
        yield self.points
        yield self.present
        yield self.expires_at
        yield self.stale_since
        yield self.versions
        yield self.traits
        yield self._positions
        yield self.status
        yield self._first_connector
        yield self._connector_count
        yield from self._codes.values()

    def _connector_columns(self) -> Iterable[Growing[Any]]:
        yield self._connector_type
        yield self._connector_power_w
        yield self._connector_status
        yield self._connector_seen_s

    def place(self, row: int) -> Place:
        """Where the row's station is, and what it has."""
        longitude, latitude = self._positions.used[row].tolist()
        return Place(longitude, latitude, int(self.traits.used[row]) & TYPE_BITS)

    def rows_in(self, box: Box | None, types: int) -> Rows:
        """Present rows inside the box that have one of these types (TYPE_BITS)."""
        rows = np.flatnonzero(self.present.used)
        if box is not None:
            rows = rows[_inside(box, self._positions.used[rows])]
        return rows[self.traits.used[rows] & np.uint64(types) != 0] if types else rows

    def connectors(self, rows: Rows, groups: NDArray[np.int64]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """The connector entries of the rows (fields `type`, `power_w`, `status`, `seen_s`), and the group of each."""
        numbers, _ = self._entries(rows)
        entries = np.empty(len(numbers), _CONNECTOR)
        for name, column in zip(_CONNECTOR.names or (), self._connector_columns(), strict=True):
            entries[name] = column.used[numbers]
        return entries, np.repeat(groups, self._connector_count.used[rows])

    def _entries(self, rows: Rows) -> tuple[Rows, Rows]:
        """The connector entries of the rows, one row after the other, and where each row's begin among them."""
        counts = self._connector_count.used[rows]
        starts = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + np.repeat(self._first_connector.used[rows] - starts, counts), starts

    def _any_connector(self, query: StationQuery, rows: Rows) -> Mask:
        """Whether one connector of a row meets all that is asked of type, power and its EVSE's status."""
        if not len(rows):
            return np.zeros(0, np.bool_)
        entries, starts = self._entries(rows)
        good = np.ones(len(entries), np.bool_)
        if query.connector:
            good &= np.isin(self._connector_type.used[entries], [TYPE_CODE[kind] for kind in query.connector])
        if query.min_power_kw is not None:
            good &= self._connector_power_w.used[entries] >= power_w(query.min_power_kw)
        if query.status is not None:
            good &= self._connector_status.used[entries] == STATUS_CODE[query.status]
        return np.logical_or.reduceat(good, starts)


def wanted_traits(query: StationQuery) -> tuple[int, int, int]:
    """Sets of traits for connector, status and power: a row that matches has one of each set that is not empty."""
    types = sum(1 << TYPE_CODE[kind] for kind in set(query.connector))
    status = 0 if query.status is None else 1 << _FIRST_STATUS_BIT + STATUS_CODE[query.status]
    return types, status, _highest_power_bit(query.min_power_kw or 0)


def place_of(station: StoredStation) -> Place:
    """As a row of the station would have it."""
    return Place(station.longitude, station.latitude, _types(station))


def _types(station: StoredStation) -> int:
    found = {connector["type"] for evse in station.evses for connector in evse.connectors}
    return sum({1 << TYPE_CODE.get(connector_type, TYPE_CODE["other"]) for connector_type in found})


def _traits(station: StoredStation) -> int:
    connectors = [connector for evse in station.evses for connector in evse.connectors]
    bits = 1 << _FIRST_STATUS_BIT + STATUS_CODE[station_status(evse.status for evse in station.evses)]
    bits |= _types(station)
    strongest_kw = max((connector.get("power_kw", 0) for connector in connectors), default=0)
    return bits | sum(bit for power_kw, bit in _POWER_BITS if strongest_kw >= power_kw)


def _highest_power_bit(power_kw: float) -> int:
    return max((bit for least_kw, bit in _POWER_BITS if power_kw >= least_kw), default=0)


def _expiry(station: StoredStation) -> float:
    return min((evse.expires_at.timestamp() for evse in station.evses if evse.expires_at), default=_NEVER)


def _version(station: StoredStation, fragment: bytes) -> int:
    """A number of 64 bits for all that is known of a station, the same in every process."""
    states = [(e.uid, e.evse_id, e.status, e.observed_at, e.stale_since, e.connectors) for e in station.evses]
    beside = [states, station.created_at, station.licence, station.licence_url, station.attribution]
    return int.from_bytes(blake2b(fragment + orjson.dumps(beside), digest_size=8).digest())


def _stale_since(station: StoredStation) -> float:
    return max((evse.stale_since.timestamp() for evse in station.evses if evse.stale_since), default=-_NEVER)


def _seen_s(evse: EvseState) -> int:
    return int(evse.observed_at.timestamp()) if evse.observed_at and not evse.stale_since else 0


def _connector_entries(evses: Iterable[EvseState]) -> Iterable[tuple[int, int, int, int]]:
    """(type, power in W, status of its EVSE, when that was seen) of each connector; at least one entry."""
    unknown = STATUS_CODE[StationStatus.UNKNOWN]
    empty = True
    for evse in evses:
        empty = False
        status, seen_s = STATUS_CODE[in_station_words(evse.status)], _seen_s(evse)
        for connector in evse.connectors:
            power_kw = connector.get("power_kw")
            power = _NO_POWER if power_kw is None else power_w(power_kw)
            yield TYPE_CODE.get(connector["type"], TYPE_CODE["other"]), power, status, seen_s
        if not evse.connectors:
            yield NO_CONNECTOR, _NO_POWER, status, seen_s
    if empty:
        yield NO_CONNECTOR, _NO_POWER, unknown, 0


def power_w(power_kw: float) -> int:
    """Whole watts, as powers are compared."""
    return round(power_kw * 1000)


def _fold(word: str | None) -> str | None:
    return None if word is None else word.casefold()


def folded_text(text: str) -> bytes:
    """As it is looked for in `Columns.texts`."""
    return text.casefold().encode("utf-8", "surrogatepass")


def _searchable(station: StoredStation) -> bytes:
    parts = (station.title, station.operator, station.address, station.postal_code, station.city)
    return folded_text("\n".join(part for part in parts if part))


def _inside(box: Box, positions: NDArray[np.float64]) -> Mask:
    longitude, latitude = positions[:, 0], positions[:, 1]
    inside = np.zeros(len(positions), np.bool_)
    for part in box.parts():
        inside |= (longitude >= part.west) & (longitude <= part.east)
    return inside & (latitude >= box.south) & (latitude <= box.north)
