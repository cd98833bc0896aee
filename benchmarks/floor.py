"""The least that an import can do: read the file with the standard library, write its rows as they are."""

import csv
import gzip
import json
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psycopg

from app.ingest.run import BATCH

Row = list[str]


def read_rows(path: Path, delimiter: str) -> Iterator[Row]:
    """Yield the names of the columns, then the rows: of a table its cells, of JSON each record's id and text."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", errors="replace", newline="") as file:
        if path.suffix == ".json":
            yield ["id", "record"]
            yield from ([str(record["ID"]), json.dumps(record)] for record in json.load(file))
        else:
            yield from csv.reader(file, delimiter=delimiter)


def write_rows(url: str, rows: Iterator[Row]) -> int:
    """Create a table of text columns in the database and return how many rows were written to it."""
    names = next(rows)
    if url.startswith("sqlite:///"):
        return _write_sqlite(url.removeprefix("sqlite:///"), names, rows)
    return _write_postgresql(url, names, rows)


def _write_sqlite(file: str, names: Row, rows: Iterator[Row]) -> int:
    connection = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -8192"):
        connection.execute(f"PRAGMA {pragma}")
    create, insert = _statements(names, "?")
    connection.execute(create)
    written = 0
    while batch := list(islice(rows, BATCH)):
        connection.execute("BEGIN IMMEDIATE")
        written += connection.executemany(insert, batch).rowcount
        connection.execute("COMMIT")
    connection.close()
    return written


def _write_postgresql(url: str, names: Row, rows: Iterator[Row]) -> int:
    create, insert = _statements(names, "%s")
    written = 0
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(create.encode())
        while batch := list(islice(rows, BATCH)):
            with connection.transaction():
                cursor.executemany(insert.encode(), batch)
            written += len(batch)
    return written


def _statements(names: Row, placeholder: str) -> tuple[str, str]:
    columns = ", ".join(f"column_{number} TEXT" for number in range(len(names)))
    return f"CREATE TABLE plain ({columns})", f"INSERT INTO plain VALUES ({', '.join([placeholder] * len(names))})"
