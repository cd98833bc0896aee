"""From the database into a file."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.dialect import see_one_state
from app.exports.files import HashedFile
from app.exports.formats import StationWriter, station_writer
from app.exports.licences import Licence, Licences
from app.exports.request import ExportRequest
from app.stations import feed, repository
from app.stations.model import StoredStation
from app.utils._uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class Written:
    """What is in a file."""

    rows: int
    read_at: datetime
    data_version: str
    """Position in the change feed that the data is at least as new as."""
    licences: list[Licence]


async def write_stations(
    session: AsyncSession, request: ExportRequest, file: HashedFile, tell: Callable[[int, int], None]
) -> Written:
    """Write all stations that pass the request's filters, as they are at one moment, in memory that does not grow
    with their number. The session must be fresh.

    `tell` is given, after each page and once before, how many are written and how many there will be; what it raises
    ends the writing.
    """
    await see_one_state(session)
    now = datetime.now(UTC)
    version = await feed.current_position(session)
    total = await repository.count_selected(session, request.selection)
    tell(0, total)
    licences = Licences()
    rows = 0
    writer = station_writer(request.format, file)
    try:
        async for page in repository.selected_stations(session, request.selection, now):
            await _write(writer, page)
            licences.note(page)
            rows += len(page)
            tell(rows, max(rows, total))
        await uninterrupted(asyncio.to_thread(writer.finish))
    except BaseException:
        writer.discard()
        raise
    return Written(rows, now, f"{version.tx}-{version.seq}", licences.all())


async def _write(writer: StationWriter, page: Sequence[StoredStation]) -> None:
    """In a thread, which has ended when this does: a file must not be closed while it is written to."""
    await uninterrupted(asyncio.to_thread(writer.write, page))
