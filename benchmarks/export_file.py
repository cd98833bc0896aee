"""One export in a process of its own: as VoltWay does it, or in the plainest way that there is.

Run as a program (`SQLITE-FILE FORMAT plain|voltway TO`) it prints how many stations were written in how many seconds,
and how much memory that took.
"""

import asyncio
import csv
import gc
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from app.db import Database
from app.exports.files import appearing
from app.exports.request import ExportFormat, ExportRequest
from app.exports.write import write_stations
from benchmarks.import_file import peak_mib

COLUMNS = (
    "id", "source", "external_id", "title", "operator", "address", "city", "postal_code", "country", "longitude",
    "latitude", "access", "opening_hours", "price", "created_at", "last_updated", "evses",
)  # fmt: skip
_QUERY = f"SELECT {', '.join(COLUMNS)} FROM stations WHERE deleted_at IS NULL ORDER BY id"
_ROW_GROUP = 50_000


async def export(file: Path, format_: ExportFormat, to: Path) -> int:
    """As `voltway export` does it, without its progress bar; returns how many stations."""
    database = Database(f"sqlite:///{file}")
    try:
        with appearing(to) as target:
            async with database.open_session(read_only=True) as session:
                written = await write_stations(session, ExportRequest(format=format_), target, lambda *_: None)
        return written.rows
    finally:
        await database.close()


def write_plainly(file: Path, format_: ExportFormat, to: Path) -> int:
    """The rows as they are in the table: EVSEs as the text that they are stored as, times as they are written, no
    licence, no status, nothing checked. Returns how many stations."""
    with closing(sqlite3.connect(file)) as connection:
        rows = _Counted(connection.execute(_QUERY))
        if format_ is ExportFormat.CSV:
            with to.open("w", encoding="utf-8", newline="") as text:
                csv.writer(text).writerows(rows)
        elif format_ is ExportFormat.GEOPARQUET:
            _write_table(rows, to)
        else:
            with to.open("wb") as lines:
                lines.writelines(_line(row, format_) for row in rows)
    return rows.count


class _Counted:
    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for row in self._rows:
            self.count += 1
            yield row


def _line(row: tuple[Any, ...], format_: ExportFormat) -> bytes:
    station: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    station["evses"] = orjson.Fragment(station["evses"])
    if format_ is ExportFormat.GEOJSON:
        position = [station.pop("longitude"), station.pop("latitude")]
        geometry = {"type": "Point", "coordinates": position}
        station = {"type": "Feature", "geometry": geometry, "properties": station}
    return orjson.dumps(station, option=orjson.OPT_APPEND_NEWLINE)


def _write_table(rows: _Counted, to: Path) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415
    import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415

    numbers = {"id": pa.int64(), "longitude": pa.float64(), "latitude": pa.float64()}
    schema = pa.schema([(name, numbers.get(name, pa.string())) for name in COLUMNS])
    with pq.ParquetWriter(to, schema, compression="zstd") as writer:
        waiting: list[tuple[Any, ...]] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) == _ROW_GROUP:
                writer.write_table(_table(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(_table(waiting, schema))


def _table(rows: list[tuple[Any, ...]], schema: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(values, each.type) for values, each in zip(columns, schema, strict=True)], schema=schema
    )


def main() -> None:
    file, format_, how, to = Path(sys.argv[1]), ExportFormat(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    gc.freeze()  # as `voltway export` does
    start = time.perf_counter()
    rows = write_plainly(file, format_, to) if how == "plain" else asyncio.run(export(file, format_, to))
    took_s = time.perf_counter() - start
    print(json.dumps({"rows": rows, "seconds": took_s, "peak_mib": peak_mib(), "bytes": to.stat().st_size}))


if __name__ == "__main__":
    main()
