"""A replica's columns in a file that the processes of a machine share.

The file is mapped, not read: the system keeps it in memory once, however many processes use it, and a process that
changes something gets a copy of its own of that page. It holds the arrays one after the other, each from the start of
a page, and then, as JSON, where they are and what belongs to them.
"""

import fcntl
import logging
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson
from numpy.typing import DTypeLike, NDArray

from app import __version__
from app.replica.columns import TABLES, Columns, Render, Words
from app.replica.replica import HAS_KERNEL
from app.replica.table import Allocate, Table
from app.stations.changes import FeedPosition
from app.stations.model import EvseState, StoredStation
from app.stations.vocabulary import EvseStatus

logger = logging.getLogger(__name__)

_PAGE = mmap.ALLOCATIONGRANULARITY
_HEAD = b"VoltWay replica\n"
_NUMBER_BYTES = 8


_KEPT_S = 86_400

FileId = tuple[int, int]
"""Its number, and when it was written, as numbers are used again."""


class Snapshot(NamedTuple):
    """What a file holds."""

    columns: Columns
    position: FeedPosition
    """Up to there it has every change; of later ones, any."""
    at: datetime
    """When the change at that position was written: in another catalogue's feed it is another one."""
    file: FileId


class Snapshots:
    """The newest snapshot of a catalogue, in a file that is replaced as a whole."""

    def __init__(self, folder: Path, catalogue: str, render: Render) -> None:
        """`catalogue`: names it among all that may have snapshots in the folder."""
        self._render = render
        self._fits = _fingerprint(render)
        name = blake2b(f"{catalogue} {self._fits}".encode(), digest_size=12).hexdigest()
        self._path = folder / f"{name}.snapshot"

    def file(self) -> FileId | None:
        """Which file is the newest; `None`: there is none."""
        try:
            return _id_of(self._path.stat())
        except OSError:
            return None

    def newest(self) -> Snapshot | None:
        """`None`: there is none that this version of VoltWay can use."""
        try:
            with self._path.open("rb") as file:
                return _read(file, self._fits, self._render)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("snapshot_unreadable", extra={"path": str(self._path), "reason": repr(error)})
            return None

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether this process may make the next one: False while another does. True where nothing can be locked, as
        then nothing can be written either."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._path.with_suffix(".lock").open("w")
        except OSError:
            yield True
            return
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def write(self, arrange: Callable[[Allocate], Columns], position: FeedPosition, at: datetime) -> Snapshot:
        """Let `arrange` make columns in a new file, and put it in the place of the newest. Only in one's `turn`.
        Raises OSError."""
        self._remove_old_ones()
        draft = self._path.with_suffix(".new")
        try:
            with draft.open("w+b") as file:
                pages = _Pages(file)
                _finish(file, pages, arrange(pages), self._fits, position, at)
                os.fsync(file.fileno())
                snapshot = _read(file, self._fits, self._render)
            draft.replace(self._path)
        finally:
            draft.unlink(missing_ok=True)
        assert snapshot is not None  # noqa: S101 - we have written it
        return snapshot

    def _remove_old_ones(self) -> None:
        """Those of other versions and catalogues that nobody renews any more, and what a killed process has left."""
        for path in self._path.parent.glob("*.snapshot"):
            if time.time() - path.stat().st_mtime > _KEPT_S:
                path.unlink(missing_ok=True)


class _Pages:
    """Arrays in a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.end = _PAGE
        """Where the next one begins."""
        self.starts: dict[int, int] = {}
        """By the address of an array."""

    def __call__(self, count: int, kind: DTypeLike) -> NDArray[Any]:
        """See `Allocate`. Raises OSError, as when the disk is full: later, that would end the process."""
        dtype = np.dtype(kind)
        size = max(count * dtype.itemsize, 1)
        _reserve(self._file, self.end, size)
        array = np.ndarray(count, dtype, mmap.mmap(self._file.fileno(), size, offset=self.end))
        self.starts[array.ctypes.data] = self.end
        self.end += -(-size // _PAGE) * _PAGE
        return array


def _reserve(file: BinaryIO, start: int, size: int) -> None:
    """Raises OSError. Where the system cannot reserve room (macOS), a disk that is full is noticed too late."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), start, size)
    else:
        file.truncate(start + size)


def _finish(file: BinaryIO, pages: _Pages, columns: Columns, fits: str, position: FeedPosition, at: datetime) -> None:
    index = {
        "fits": fits,
        "position": str(position),
        "at": at,
        "words": {name: [word for word, _ in words.items()] for name, words in columns.words.items()},
        "tables": {
            name: {
                "size": table.size,
                "columns": {
                    column: (pages.starts[room.ctypes.data], len(room)) for column, room in table.room().items()
                },
            }
            for name, table in columns.tables.items()
        },
    }
    file.seek(pages.end)
    file.write(orjson.dumps(index))
    file.seek(0)
    file.write(_HEAD + pages.end.to_bytes(_NUMBER_BYTES))
    file.flush()


def _read(file: BinaryIO, fits: str, render: Render) -> Snapshot | None:
    """`None`: of another version. Raises ValueError, KeyError, TypeError and OSError of a file that is none."""
    file.seek(0)
    head = file.read(len(_HEAD) + _NUMBER_BYTES)
    if not head.startswith(_HEAD):
        raise ValueError("is no snapshot")
    file.seek(int.from_bytes(head[len(_HEAD) :]))
    index = orjson.loads(file.read())
    if index["fits"] != fits:
        return None
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    tables = {name: _table(mapped, name, index["tables"][name]) for name in TABLES}
    words = {name: Words(of_column) for name, of_column in index["words"].items()}
    return Snapshot(
        Columns(render, tables, words),
        FeedPosition.read(index["position"]),
        datetime.fromisoformat(index["at"]),
        _id_of(os.fstat(file.fileno())),
    )


def _id_of(found: os.stat_result) -> FileId:
    return found.st_ino, found.st_mtime_ns


def _table(mapped: mmap.mmap, name: str, told: dict[str, Any]) -> Table:
    types = TABLES[name]
    rooms = {
        column: np.ndarray(told["columns"][column][1], np.dtype(kind), mapped, told["columns"][column][0])
        for column, kind in types.items()
    }
    return Table.of(types, rooms, told["size"])


def _fingerprint(render: Render) -> str:
    """Another one with everything that decides how stations are kept: without the kernel they are in no order that it
    could search."""
    columns = Columns(render)
    columns.append([_SAMPLE], 0)
    kept = blake2b(f"{__version__} {HAS_KERNEL} {TABLES}".encode(), digest_size=16)
    for table in columns.tables.values():
        for name in table.names():
            kept.update(table[name].tobytes())
    return kept.hexdigest()


_THEN = datetime.fromisoformat("2026-05-01T12:00:00Z")
_SAMPLE = StoredStation(
    id=1,
    source="sample",
    external_id="1",
    title="Sample",
    operator="Operator",
    address="Street 1",
    city="City",
    postal_code="12345",
    country="DE",
    latitude=52.5,
    longitude=13.4,
    evses=[
        EvseState("a", "DE*A*E1", EvseStatus.AVAILABLE, _THEN, _THEN, [{"type": "ccs2", "power_kw": 150.0}]),
        EvseState("b", None, EvseStatus.OUTOFORDER, None, None, [{"type": "type2"}], EvseStatus.OUTOFORDER),
    ],
    access="public",
    opening_hours="24/7",
    price="0.50 EUR/kWh",
    created_at=_THEN,
    last_updated=_THEN,
    licence="CC0",
    licence_url=None,
    attribution=None,
)
