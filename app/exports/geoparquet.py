"""Stations as GeoParquet 1.1 (geoparquet.org): what a data frame, DuckDB or a data lake reads without parsing."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from app.exports.files import HashedFile
from app.stations.model import EvseState, StoredStation
from app.stations.status import station_status

ROW_GROUP = 50_000
"""Stations whose columns are kept in memory before they are written; readers skip whole groups by `bbox`."""

_INSTANT = pa.timestamp("us", tz="UTC")
_CONNECTOR = pa.struct(
    {
        "type": pa.string(),
        "power_kw": pa.float64(),
        "format": pa.string(),
        "current": pa.string(),
        "voltage_v": pa.int32(),
        "amperage_a": pa.int32(),
    }
)
_EVSE_TYPES = {
    "uid": pa.string(),
    "evse_id": pa.string(),
    "status": pa.string(),
    "observed_at": _INSTANT,
    "expires_at": _INSTANT,
    "connectors": pa.list_(_CONNECTOR),
    "stated_status": pa.string(),
}
_EVSES = pa.list_(pa.struct(_EVSE_TYPES))
_BBOX = pa.struct(dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), pa.float32()))
_TYPES = {
    "id": pa.int64(),
    "longitude": pa.float64(),
    "latitude": pa.float64(),
    "created_at": _INSTANT,
    "last_updated": _INSTANT,
    "evses": _EVSES,
}
_COLUMNS = {field.name: _TYPES.get(field.name, pa.string()) for field in fields(StoredStation)}
SCHEMA = pa.schema(_COLUMNS | {"status": pa.string(), "geometry": pa.binary(), "bbox": _BBOX})

_Degrees = NDArray[np.float64]
_WKB_POINT = np.dtype([("byte_order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
"""Well-known binary, OGC 06-103r4, section 8.2: byte order 1 is little endian, type 1 a point."""


class GeoParquetWriter:
    """A `StationWriter`."""

    def __init__(self, file: HashedFile) -> None:
        self._parquet = pq.ParquetWriter(file, SCHEMA, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._west = self._south = float("inf")
        self._east = self._north = float("-inf")

    def write(self, stations: Sequence[StoredStation]) -> None:
        batch = _batch(stations)
        longitudes, latitudes = batch["longitude"].to_numpy(), batch["latitude"].to_numpy()
        self._west, self._east = min(self._west, longitudes.min()), max(self._east, longitudes.max())
        self._south, self._north = min(self._south, latitudes.min()), max(self._north, latitudes.max())
        self._waiting.append(batch)
        if sum(each.num_rows for each in self._waiting) >= ROW_GROUP:
            self._write_row_group()

    def finish(self) -> None:
        if self._waiting:
            self._write_row_group()
        self._parquet.add_key_value_metadata({"geo": json.dumps(self._geo())})
        self._parquet.close()

    def discard(self) -> None:
        with suppress(OSError):  # it writes the end of the file, which may be why it is discarded
            self._parquet.close()

    def _write_row_group(self) -> None:
        table = pa.Table.from_batches(self._waiting, SCHEMA)
        self._parquet.write_table(table, row_group_size=table.num_rows)
        self._waiting.clear()

    def _geo(self) -> dict[str, Any]:
        """File metadata. Without `crs`, positions are longitude and latitude of WGS 84 (OGC:CRS84)."""
        corners = {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}
        column: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Point"], "covering": {"bbox": corners}}
        if self._west <= self._east:
            column["bbox"] = [float(each) for each in (self._west, self._south, self._east, self._north)]
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _batch(stations: Sequence[StoredStation]) -> pa.RecordBatch:
    columns = {name: [getattr(station, name) for station in stations] for name in _COLUMNS if name != "evses"}
    arrays = [
        _evses(stations) if name == "evses" else pa.array(columns[name], type_) for name, type_ in _COLUMNS.items()
    ]
    statuses = [station_status(evse.status for evse in station.evses) for station in stations]
    x, y = np.array(columns["longitude"]), np.array(columns["latitude"])
    return pa.record_batch([*arrays, pa.array(statuses, pa.string()), _points(x, y), _boxes(x, y)], schema=SCHEMA)


def _evses(stations: Sequence[StoredStation]) -> pa.Array:
    """Column by column: three times as fast as from one mapping for each EVSE."""
    flat: list[EvseState] = [evse for station in stations for evse in station.evses]
    members = [pa.array([getattr(evse, name) for evse in flat], type_) for name, type_ in _EVSE_TYPES.items()]
    offsets = np.cumsum([0, *(len(station.evses) for station in stations)], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(members, fields=list(_EVSES.value_type)))


def _points(x: _Degrees, y: _Degrees) -> pa.Array:
    points = np.empty(len(x), _WKB_POINT)
    points["byte_order"] = points["type"] = 1
    points["x"], points["y"] = x, y
    fixed = pa.Array.from_buffers(pa.binary(_WKB_POINT.itemsize), len(x), [None, pa.py_buffer(points)])
    return fixed.cast(pa.binary())


def _boxes(x: _Degrees, y: _Degrees) -> pa.Array:
    """Each point's box in single precision, as large as it must be to hold it."""
    lowest, highest = np.float32(-np.inf), np.float32(np.inf)
    members = [_rounded(x, lowest), _rounded(y, lowest), _rounded(x, highest), _rounded(y, highest)]
    return pa.StructArray.from_arrays([pa.array(each) for each in members], fields=list(_BBOX))


def _rounded(degrees: _Degrees, towards: np.float32) -> NDArray[np.float32]:
    rounded = degrees.astype(np.float32)
    too_near = rounded > degrees if towards < 0 else rounded < degrees
    return np.where(too_near, np.nextafter(rounded, towards), rounded)
