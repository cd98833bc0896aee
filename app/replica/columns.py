"""The catalogue as columns: tables of stations, EVSEs and connectors, and the text of all stations.

A station whose content changes gets a new row, and its old one is marked as gone. What is observed of its EVSEs is
written in place.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from app.replica import limits
from app.replica.entries import (
    connector_entries,
    content_version,
    evse_entries,
    evse_keys,
    folded,
    folded_text,
    power_w,
    searchable,
    status_code,
)
from app.replica.slots import Fragment, filled, packed
from app.replica.sphere import Rows, unit_vectors
from app.replica.states import NEVER_US, NOT_SEEN, STATUS_CODE, instant, sum_up
from app.replica.table import Allocate, Table, Types, spans
from app.replica.traits import TYPE_BITS, TYPE_CODE, Place, first_words, plugs, types_of
from app.stations.model import EvseObservation, StoredStation
from app.stations.query import Box, StationQuery
from app.stations.vocabulary import StationStatus

WORDS = ("source", "operator", "country", "access")
"""Columns with a number for each string that occurs."""
BY_WORD = {name: f"by_{name}" for name in ("source", "operator", "country")}
"""For some of them, columns of the numbers of all rows, in the order of the column's words."""
BY_ID, IDS = "by_id", "ids"
"""Likewise, in the order of the stations' ids; and these. Both are made by `arranged`, for the rows that it takes."""
_LOOKED_AT = np.dtype(
    [
        ("at", "f8", 3),  # on the unit sphere
        ("traits", "u8", 3),  # see traits.py
        ("id", "i8"),
        ("status", "u1"),
        ("axis", "u1"),  # this, `below`, `spread` and `gone` belong to the compiled search
    ],
    align=True,
)
"""64 bytes, as the next: memory comes in such pieces."""
_WRITTEN = np.dtype(
    [
        ("text_start", "i8"),
        ("version", "u8"),  # another one with anything that is known of the station
        ("updated_us", "i8"),  # since 1970, as the other times; NO_TIME_US, NEVER_US: there is none
        ("first_evse", "i8"),
        ("first_connector", "i8"),
        ("connector_count", "i4"),
        ("free_count", "i4"),
        ("fixed_size", "i4"),
        ("live_size", "i4"),
        ("searched_size", "i4"),  # what `q` is looked for in: UTF-8, case folded
    ],
    align=True,
)
_STATIONS: Types = {
    "looked_at": _LOOKED_AT,
    "written": _WRITTEN,
    "present": "?",
    "position": ("f8", (2,)),  # longitude and latitude in degrees
    **dict.fromkeys(WORDS, "i4"),
    "below": ("u8", (3,)),
    "spread": "f8",
    "gone": "i4",
    "evse_count": "i8",
    "content_version": "u8",
    "expires_us": "i8",  # when a status of the station ceases to hold
    **dict.fromkeys((BY_ID, *BY_WORD.values()), "i4"),
    IDS: "i8",
    "stale_us": "i8",  # when the newest of its too old statuses ceased to hold
}
_EVSES: Types = {
    "key": "u8",
    "stated": "u1",  # EVSE_CODE of the record itself
    "seen": "u1",  # that of the newest observation
    "observed_us": "i8",
    "expires_us": "i8",
    "is_fresh": "?",  # whether what was observed holds
    "word": "u1",  # STATUS_CODE of what holds
}
_CONNECTORS: Types = {
    "type": "u1",
    "power_w": "i4",
    "evse": "i4",  # from the station's first on
    "begins": "?",  # whether it is the first of its group
}
_TEXT: Types = {"byte": "u1"}
TABLES = {"stations": _STATIONS, "evses": _EVSES, "connectors": _CONNECTORS, "text": _TEXT}
_TEXT_SIZES = ("fixed_size", "live_size", "searched_size")
_CONNECTOR = np.dtype([("type", np.uint8), ("power_w", np.int32), ("status", np.uint8), ("seen_s", np.uint32)])

_FOR_THE_KERNEL = ("looked_at", "written", "present", "position", *WORDS, "below", "spread", "gone")
_SPARE = 4_096
_PIECE = 10_000
"""Rows that are looked at together, so that what is made on the way takes little memory."""
_FREE = STATUS_CODE[StationStatus.AVAILABLE]
_NO_PLUG = np.uint64(0)
_STATUS_WORDS = [orjson.dumps(status) for status in StationStatus]

Mask = NDArray[np.bool_]
Render = Callable[[StoredStation], Fragment]
"""Writes a station."""


class Words:
    """Small numbers for strings that occur often."""

    def __init__(self, words: Iterable[str | None] = ()) -> None:
        """`words`: those that there are, by number."""
        self._codes = {word: code for code, word in enumerate(words)}

    def code(self, word: str | None) -> int:
        """The word's number, a new one if need be."""
        return self._codes.setdefault(word, len(self._codes))

    def items(self) -> Collection[tuple[str | None, int]]:
        """Every word with its number."""
        return self._codes.items()

    def find(self, word: str | None) -> int:
        """The word's number, or -1, which no row has."""
        return self._codes.get(word, -1)

    def codes_of(self, other: "Words") -> NDArray[np.int32]:
        """The numbers of all that the other has, by its numbers."""
        return np.array([self.code(word) for word, _ in other.items()], np.int32)


class Columns:
    """Rows are numbered in the order in which they came, or in that of `arranged`."""

    def __init__(
        self, render: Render, tables: Mapping[str, Table] | None = None, words: Mapping[str, Words] | None = None
    ) -> None:
        """`tables`: by the names in TABLES, and `words`: by the columns that have some; none: those of no station."""
        self._render = render
        self.tables = tables or {name: Table(types) for name, types in TABLES.items()}
        self.words = words or {name: Words() for name in WORDS}
        self.stations, self._evses, self._connectors, self._text = (self.tables[name] for name in TABLES)

    def __len__(self) -> int:
        return self.stations.size

    def append(self, stations: Sequence[StoredStation], now_us: int) -> None:
        """Add a row for each station, in order."""
        if not stations:
            return
        first = len(self)
        fragments = [self._rendered(station) for station in stations]
        searched = [searchable(station) for station in stations]
        self.stations.extend(
            {
                **self._of_stations(stations, fragments),
                **self._append_evses(stations),
                **self._append_connectors(stations),
                **self._append_texts(fragments, searched),
            }
        )
        self.sum_up(np.arange(first, len(self)), now_us)

    def _rendered(self, station: StoredStation) -> Fragment:
        fixed, live = self._render(station)
        return Fragment(fixed, packed(live))

    def _of_stations(self, stations: Sequence[StoredStation], fragments: Sequence[Fragment]) -> dict[str, Any]:
        positions = np.array([(station.longitude, station.latitude) for station in stations], np.float64)
        zero = np.zeros(len(stations), np.int64)
        return {
            "id": [station.id for station in stations],
            "at": unit_vectors(positions[:, 0], positions[:, 1]),
            "position": positions,
            "present": zero + 1,
            **{name: [words.code(folded(getattr(s, name))) for s in stations] for name, words in self.words.items()},
            "traits": np.array([(types_of(station), 0, 0) for station in stations], np.uint64),
            "content_version": np.array(
                [content_version(*each) for each in zip(stations, fragments, strict=True)], np.uint64
            ),
            **dict.fromkeys(("axis", "spread", "gone", BY_ID, IDS, *BY_WORD.values()), zero),
            "below": np.zeros((len(stations), 3), np.uint64),
            **dict.fromkeys(("status", "version", "free_count", "updated_us", "expires_us", "stale_us"), zero),
        }

    def _append_evses(self, stations: Sequence[StoredStation]) -> dict[str, Any]:
        """One entry stands for the EVSEs of a station that has none."""
        counts = np.array([max(len(station.evses), 1) for station in stations], np.int64)
        entries = list(chain.from_iterable(evse_entries(station) for station in stations))
        first = self._evses.size
        uids, stated, seen, observed_us, expires_us = zip(*entries, strict=True)
        zero = np.zeros(len(uids), np.uint8)
        self._evses.extend(
            {
                "key": evse_keys(np.repeat([station.id for station in stations], counts), uids),
                "stated": stated,
                "seen": seen,
                "observed_us": observed_us,
                "expires_us": expires_us,
                "is_fresh": zero,
                "word": zero,
            }
        )
        return {"first_evse": first + np.cumsum(counts) - counts, "evse_count": counts}

    def _append_connectors(self, stations: Sequence[StoredStation]) -> dict[str, Any]:
        entries = [list(connector_entries(station)) for station in stations]
        counts = np.array([len(of_station) for of_station in entries], np.int64)
        first = self._connectors.size
        columns = zip(*chain.from_iterable(entries), strict=True)
        self._connectors.extend(dict(zip(_CONNECTORS, columns, strict=True)))
        return {"first_connector": first + np.cumsum(counts) - counts, "connector_count": counts}

    def _append_texts(self, fragments: Sequence[Fragment], searched: Sequence[bytes]) -> dict[str, Any]:
        text = b"".join(chain.from_iterable(zip(*zip(*fragments, strict=True), searched, strict=True)))
        fixed, live, also = (
            np.array([len(part) for part in parts], np.int64) for parts in (*zip(*fragments, strict=True), searched)
        )
        sizes = fixed + live + also
        first = self._text.size
        self._text.extend({"byte": np.frombuffer(text, np.uint8)})
        starts = first + np.cumsum(sizes) - sizes
        return {"text_start": starts, "fixed_size": fixed, "live_size": live, "searched_size": also}

    def observe(self, rows: Rows, states: Sequence[EvseObservation], now_us: int, all_anew: Rows) -> None:
        """Put these in the place of what was observed of their EVSEs, which are the rows'; of the rows `all_anew`, in
        that of all that was observed. Those of EVSEs that the rows do not have are left out."""
        stations, evses = self.stations, self._evses
        entries, _ = spans(stations["first_evse"][all_anew], stations["evse_count"][all_anew])
        evses["seen"][entries] = NOT_SEEN
        if states and len(rows):
            entries, _ = spans(stations["first_evse"][rows], stations["evse_count"][rows])
            station_ids, uids, statuses, observed_us, expires_us = zip(*states, strict=True)
            keys = evse_keys(station_ids, uids)
            by_key = entries[np.argsort(evses["key"][entries])]
            found = np.searchsorted(evses["key"][by_key], keys)
            found[found == len(by_key)] = 0
            is_known = evses["key"][by_key[found]] == keys
            at = by_key[found[is_known]]
            never = [NEVER_US if until is None else until for until in expires_us]
            seen = [NOT_SEEN if status is None else status_code(status) for status in statuses]
            evses["seen"][at] = np.array(seen, np.uint8)[is_known]
            evses["observed_us"][at] = np.array(observed_us, np.int64)[is_known]
            evses["expires_us"][at] = np.array(never, np.int64)[is_known]
        self.sum_up(rows, now_us)

    def sum_up(self, rows: Rows, now_us: int) -> None:
        """Derive what follows from what was observed in these rows, so that none of it holds longer than it may."""
        for begin in range(0, len(rows), _PIECE):
            some = rows[begin : begin + _PIECE]
            sum_up(self.stations, self._evses, some, now_us)
            self._set_traits(some)

    def _set_traits(self, rows: Rows) -> None:
        traits, (entries, starts) = self.stations["traits"], self._connectors_of(rows)
        of_each = plugs(self._connectors["type"][entries], self._connectors["power_w"][entries])
        is_free = self._evses["word"][self._evses_of_connectors(rows, entries)] == _FREE
        traits[rows, 0] = first_words(traits[rows, 0], self.stations["status"][rows])
        traits[rows, 1] = np.bitwise_or.reduceat(of_each, starts)
        traits[rows, 2] = np.bitwise_or.reduceat(np.where(is_free, of_each, _NO_PLUG), starts)

    def matching(self, query: StationQuery, rows: Rows) -> Rows:
        """Those of the rows that are present and pass every filter of the query."""
        stations = self.stations
        rows = rows[stations["present"][rows]]
        if not query.is_filtered:
            return rows
        for name, code in zip(WORDS, self.codes_of(query), strict=True):
            if code is not None:
                rows = rows[stations[name][rows] == code]
        if query.box is not None:
            rows = rows[_inside(query.box, stations["position"][rows])]
        if query.status is not None:
            rows = rows[stations["status"][rows] == STATUS_CODE[query.status]]
        if query.connector or query.min_power_kw is not None or query.status is not None:
            rows = rows[self._any_connector(query, rows)]
        if query.q is not None:
            if len(rows) > limits.MAX_TEXTS:
                raise limits.too_many_texts()
            wanted = folded_text(query.q)
            rows = np.array([row for row in rows.tolist() if wanted in self._parts(row)[2]], np.intp)
        return rows

    def all_rows(self) -> Rows:
        return np.arange(len(self))

    def codes_of(self, query: StationQuery) -> list[int | None]:
        """For each column of words the code asked for: -1 if no row has it, None if none is asked for."""
        wanted = ((words, getattr(query, name)) for name, words in self.words.items())
        return [None if word is None else words.find(folded(word)) for words, word in wanted]

    @property
    def buffers(self) -> tuple[NDArray[Any], ...]:
        """What the compiled search reads, in its order; good until a row is added."""
        stations, evses, connectors = self.stations, self._evses, self._connectors
        of_stations = tuple(stations[name] for name in _FOR_THE_KERNEL)
        return (*of_stations, evses["word"], *(connectors[name] for name in _CONNECTORS), self._text["byte"])

    def count_by(self, name: str) -> dict[str, int]:
        """Number of present rows with each word that the column `name` has."""
        counts = self.counts(name, self.stations["present"]).tolist()
        return {word: counts[code] for word, code in self.words[name].items() if word}

    def counts(self, name: str, of: Mask) -> NDArray[np.int64]:
        """Number of those rows with each word, by the words' numbers."""
        counts = np.zeros(len(self.words[name].items()), np.int64)
        for begin in range(0, len(self), _PIECE):
            some = slice(begin, begin + _PIECE)
            counts += np.bincount(self.stations[name][some][of[some]], minlength=len(counts))
        return counts

    def written(self, rows: Rows) -> list[bytes]:
        """The rows' stations as they are now, without the closing brace."""
        live_values = (self.stations[name][rows].tolist() for name in ("status", "free_count", "updated_us"))
        written = []
        for row, status, free, updated_us, in_groups in zip(
            rows.tolist(), *live_values, self._free_in_groups(rows), strict=True
        ):
            fixed, live, _ = self._parts(row)
            updated = orjson.dumps(instant(updated_us), option=orjson.OPT_UTC_Z)
            written.append(fixed + filled(live, _STATUS_WORDS[status], b"%d" % free, updated, in_groups))
        return written

    def _free_in_groups(self, rows: Rows) -> Iterator[list[int]]:
        """Of each row, how many connectors of each of its groups are free."""
        entries, starts = self._connectors_of(rows)
        is_free = self._evses["word"][self._evses_of_connectors(rows, entries)] == _FREE
        firsts = np.flatnonzero(self._connectors["begins"][entries])
        counts = np.add.reduceat(is_free, firsts, dtype=np.int64)
        yield from (part.tolist() for part in np.split(counts, np.searchsorted(firsts, starts[1:])))

    def _parts(self, row: int) -> tuple[bytes, bytes, bytes]:
        """What is written of the station: its fixed part, its live part, what is searched."""
        start, fixed, live, searched = (int(self.stations[name][row]) for name in ("text_start", *_TEXT_SIZES))
        text = self._text["byte"][start : start + fixed + live + searched].tobytes()
        return text[:fixed], text[fixed : fixed + live], text[fixed + live :]

    def arranged(self, rows: Rows, allocate: Allocate = np.empty) -> "Columns":
        """These rows, in this order, as columns of their own, with room to grow."""
        stations = self.stations.take(rows, _spare(len(rows)), allocate)
        sizes = np.sum([stations[name] for name in _TEXT_SIZES], axis=0)
        text = Table(_TEXT, int(sizes.sum()) + (_spare(len(rows)) << 10), allocate)
        for part in self._texts(rows, sizes):
            text.extend({"byte": part})
        stations["text_start"][:] = np.cumsum(sizes) - sizes
        stations[BY_ID][:] = np.argsort(stations["id"])
        stations[IDS][:] = stations["id"][stations[BY_ID]]
        tables = {
            "stations": stations,
            "evses": _taken(stations, self._evses, "first_evse", "evse_count", allocate),
            "connectors": _taken(stations, self._connectors, "first_connector", "connector_count", allocate),
            "text": text,
        }
        return Columns(self._render, tables, self.words)

    def _texts(self, rows: Rows, sizes: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        text, starts = self._text["byte"], self.stations["text_start"][rows]
        for begin in range(0, len(rows), _PIECE):
            some = slice(begin, begin + _PIECE)
            where = zip(starts[some].tolist(), sizes[some].tolist(), strict=True)
            yield np.concatenate([text[at : at + size] for at, size in where])

    def extend_from(self, other: "Columns", rows: Rows) -> None:
        """Add these rows of other columns."""
        if not len(rows):
            return
        moved = other.arranged(rows)
        stations = {name: moved.stations[name] for name in moved.stations.names()}
        stations["first_evse"] = stations["first_evse"] + self._evses.size
        stations["first_connector"] = stations["first_connector"] + self._connectors.size
        stations["text_start"] = stations["text_start"] + self._text.size
        for name, words in self.words.items():
            if words is not other.words[name]:
                stations[name] = words.codes_of(other.words[name])[stations[name]]
        self.stations.extend(stations)
        for name in ("evses", "connectors", "text"):
            added = moved.tables[name]
            self.tables[name].extend({column: added[column] for column in added.names()})

    def copy_states(self, rows: Rows, other: "Columns", others_rows: Rows) -> None:
        """What is observed of stations whose content is the same there."""
        mine, _ = spans(self.stations["first_evse"][rows], self.stations["evse_count"][rows])
        theirs, _ = spans(other.stations["first_evse"][others_rows], other.stations["evse_count"][others_rows])
        for name in _EVSES:
            self._evses[name][mine] = other._evses[name][theirs]
        for name in ("status", "traits", "version", "free_count", "updated_us", "expires_us", "stale_us"):
            self.stations[name][rows] = other.stations[name][others_rows]

    def place(self, row: int) -> Place:
        """Where the row's station is, and what it has."""
        longitude, latitude = self.stations["position"][row].tolist()
        return Place(longitude, latitude, int(self.stations["traits"][row, 0]) & TYPE_BITS)

    def rows_in(self, box: Box | None, types: int) -> Rows:
        """Present rows inside the box that have one of these types (TYPE_BITS)."""
        rows = np.flatnonzero(self.stations["present"])
        if box is not None:
            rows = rows[_inside(box, self.stations["position"][rows])]
        return rows[self.stations["traits"][rows, 0] & np.uint64(types) != 0] if types else rows

    def connectors(self, rows: Rows, groups: NDArray[np.int64]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """The connector entries of the rows (fields `type`, `power_w`, `status`, `seen_s`), and the group of each."""
        numbers, _ = self._connectors_of(rows)
        of_evse = self._evses_of_connectors(rows, numbers)
        entries = np.empty(len(numbers), _CONNECTOR)
        entries["type"], entries["power_w"] = (self._connectors[name][numbers] for name in ("type", "power_w"))
        entries["status"] = self._evses["word"][of_evse]
        seen_us = np.where(self._evses["is_fresh"][of_evse], self._evses["observed_us"][of_evse], 0)
        entries["seen_s"] = np.clip(seen_us // 1_000_000, 0, np.iinfo(np.uint32).max)
        return entries, np.repeat(groups, self.stations["connector_count"][rows])

    def _connectors_of(self, rows: Rows) -> tuple[Rows, Rows]:
        """See `spans`."""
        return spans(self.stations["first_connector"][rows], self.stations["connector_count"][rows])

    def _evses_of_connectors(self, rows: Rows, entries: Rows) -> Rows:
        firsts = np.repeat(self.stations["first_evse"][rows], self.stations["connector_count"][rows])
        evses: Rows = firsts + self._connectors["evse"][entries]
        return evses

    def _any_connector(self, query: StationQuery, rows: Rows) -> Mask:
        """Whether one connector of a row meets all that is asked of type, power and its EVSE's status."""
        if not len(rows):
            return np.zeros(0, np.bool_)
        entries, starts = self._connectors_of(rows)
        good = np.ones(len(entries), np.bool_)
        if query.connector:
            good &= np.isin(self._connectors["type"][entries], [TYPE_CODE[kind] for kind in query.connector])
        if query.min_power_kw is not None:
            good &= self._connectors["power_w"][entries] >= power_w(query.min_power_kw)
        if query.status is not None:
            good &= self._evses["word"][self._evses_of_connectors(rows, entries)] == STATUS_CODE[query.status]
        return np.logical_or.reduceat(good, starts)


def _spare(rows: int) -> int:
    """Room for more of them, so that a replica does not move before it is made anew."""
    return _SPARE + rows // 16


def _taken(stations: Table, table: Table, first: str, count: str, allocate: Allocate) -> Table:
    """The stations' entries of a table; they are told where these are now."""
    entries, stations[first][:] = spans(stations[first], stations[count])
    return table.take(entries, _spare(len(entries)), allocate)


def _inside(box: Box, positions: NDArray[np.float64]) -> Mask:
    longitude, latitude = positions[:, 0], positions[:, 1]
    inside = np.zeros(len(positions), np.bool_)
    for part in box.parts():
        inside |= (longitude >= part.west) & (longitude <= part.east)
    return inside & (latitude >= box.south) & (latitude <= box.north)
