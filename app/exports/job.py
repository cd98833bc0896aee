"""The job that exports."""

import asyncio
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.exports.files import (
    ExportSpaceError,
    HashedFile,
    appearing,
    export_folder,
    make_room,
    remove_expired,
)
from app.exports.licences import licence_text
from app.exports.request import ExportRequest, requested
from app.exports.write import write_stations
from app.settings import Settings
from app.utils.background_tasks import current_job_id, progress

_ROOM_CHECKED_EVERY = 16_000_000
"""Bytes."""


async def export_large_dataset(format: str = "csv", **filters: Any) -> dict[str, Any]:
    """Write all stations that pass the filters (see `ExportRequest`) to a file in `DATA_DIR/exports`, and their
    sources' licences to another one beside it. Memory does not grow with their number.

    As a job, it writes the same file in every attempt. Returns file names, `rows`, `bytes`, `sha256`, `read_at`,
    `data_version` (the position in the change feed that the data is at least as new as) and `licences`. Raises
    ExportRequestError, and ExportSpaceError where there is no room for the file.
    """
    request = requested(format, filters)
    name = current_job_id() or uuid4().hex
    path = export_folder() / f"{name}.{request.format.ending}"
    await asyncio.to_thread(remove_expired)
    await asyncio.to_thread(make_room)
    database = Database(Settings.load().database)  # of its own: no other shares the loop and the life of a job
    try:
        with _full_disk_named():
            async with database.open_session(read_only=True) as session:
                return await _export(session, request, path)
    finally:
        await database.close()


async def _export(session: AsyncSession, request: ExportRequest, path: Path) -> dict[str, Any]:
    beside = path.with_name(f"{path.stem}-licences.txt")
    with appearing(path) as file:
        watch = _Watch(file)
        written = await write_stations(session, request, file, watch.tell)
        file.flush()
        make_room()
        with appearing(beside) as text:
            text.write(licence_text(written.licences, written.read_at))
    return {
        "file": path.name,
        "licence_file": beside.name,
        "format": request.format.value,
        "rows": written.rows,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "read_at": written.read_at.isoformat(),
        "data_version": written.data_version,
        "licences": [asdict(licence) for licence in written.licences],
    }


class _Watch:
    """Tells how far the file is, and that there is room for what is still to come."""

    def __init__(self, file: HashedFile) -> None:
        self._file = file
        self._next_check = _ROOM_CHECKED_EVERY

    def tell(self, rows: int, total: int) -> None:
        progress(rows / max(total, 1), f"{rows:,} of {total:,} stations")
        if self._file.bytes >= self._next_check:
            self._file.flush()
            make_room()
            self._next_check = self._file.bytes + _ROOM_CHECKED_EVERY


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise ExportSpaceError("The server's disk is full; try again later.") from error
        raise
