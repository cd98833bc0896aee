"""Stations as the bytes of a file, page by page."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import orjson

from app.exports.files import HashedFile
from app.exports.request import ExportFormat
from app.stations.model import StoredStation
from app.stations.status import station_status

_FIELDS = tuple(field.name for field in fields(StoredStation) if field.name != "evses")
_COLUMNS = (*_FIELDS, "status", "evses")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Format:
    """How a file of one kind is written: `head`, `body` for each page with `between` from page to page, `tail`."""

    body: Callable[[Iterable[StoredStation]], bytes]
    head: bytes = b""
    between: bytes = b""
    tail: bytes = b""


def _csv(rows: Iterable[Iterable[Any]]) -> bytes:
    """RFC 4180, in UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _csv_rows(stations: Iterable[StoredStation]) -> bytes:
    return _csv(map(_cells, stations))


def _cells(station: StoredStation) -> list[Any]:
    known = _known(station)
    evses = orjson.dumps(station.evses, option=orjson.OPT_UTC_Z).decode()
    return [_harmless(known[name]) for name in _COLUMNS[:-1]] + [evses]


def _harmless(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it, as OWASP advises ("CSV
    Injection"): a title comes from strangers. JSON and GeoJSON have it as it is."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def _known(station: StoredStation) -> dict[str, Any]:
    known = {name: getattr(station, name) for name in _FIELDS}
    return known | {"status": station_status(evse.status for evse in station.evses).value}


def _lines(stations: Iterable[StoredStation]) -> bytes:
    option = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
    return b"".join(orjson.dumps(_known(station) | {"evses": station.evses}, option=option) for station in stations)


def _features(stations: Iterable[StoredStation]) -> bytes:
    return b",\n".join(orjson.dumps(_feature(station), option=orjson.OPT_UTC_Z) for station in stations)


def _feature(station: StoredStation) -> dict[str, Any]:
    """RFC 7946 §3.2; positions are longitude, latitude (§3.1.1)."""
    properties = _known(station) | {"evses": station.evses}
    del properties["id"]
    position = [properties.pop("longitude"), properties.pop("latitude")]
    geometry = {"type": "Point", "coordinates": position}
    return {"type": "Feature", "id": station.id, "geometry": geometry, "properties": properties}


_TEXTS = {
    ExportFormat.CSV: Format(_csv_rows, head=_csv([_COLUMNS])),
    ExportFormat.NDJSON: Format(_lines),
    ExportFormat.GEOJSON: Format(
        _features, head=b'{"type":"FeatureCollection","features":[\n', between=b",\n", tail=b"\n]}\n"
    ),
}

MEDIA_TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.NDJSON: "application/x-ndjson",
    ExportFormat.GEOJSON: "application/geo+json",
    ExportFormat.GEOPARQUET: "application/vnd.apache.parquet",
}


class StationWriter(Protocol):
    """Writes one file; in the end either `finish` or `discard` is called."""

    def write(self, stations: Sequence[StoredStation]) -> None:
        """The next page."""

    def finish(self) -> None:
        """Write what is still to be written."""

    def discard(self) -> None:
        """The file will not be whole: let go of it."""


class _TextWriter:
    def __init__(self, kind: Format, file: HashedFile) -> None:
        self._kind, self._file = kind, file
        self._between = b""
        file.write(kind.head)

    def write(self, stations: Sequence[StoredStation]) -> None:
        self._file.write(self._between + self._kind.body(stations))
        self._between = self._kind.between

    def finish(self) -> None:
        self._file.write(self._kind.tail)

    def discard(self) -> None:
        pass


def station_writer(format_: ExportFormat, file: HashedFile) -> StationWriter:
    """Begin a file. Nothing that it has written need be kept in memory by the caller."""
    if format_ is ExportFormat.GEOPARQUET:
        from app.exports.geoparquet import GeoParquetWriter  # noqa: PLC0415 - pyarrow takes half a second to load

        return GeoParquetWriter(file)
    return _TextWriter(_TEXTS[format_], file)
