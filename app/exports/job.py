"""The job that exports."""

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.db.session import default_database
from app.exports.files import HashedFile, appearing, export_folder
from app.exports.formats import FORMATS
from app.exports.request import ExportRequest, requested
from app.stations import feed, repository
from app.stations.model import StoredStation
from app.utils.background_tasks import current_job_id, progress


@dataclass(slots=True)
class Licence:
    """Of the stations of one source in a file."""

    source: str
    licence: str | None
    licence_url: str | None
    attribution: str | None
    stations: int = 0


async def export_large_dataset(format: str = "csv", **filters: Any) -> dict[str, Any]:
    """Write all stations that pass the filters (see `ExportRequest`) to a file in `DATA_DIR/exports`, and their
    sources' licences to another one beside it. Memory does not grow with their number.

    As a job, it writes the same file in every attempt. Returns file names, `rows`, `bytes`, `sha256`, `read_at`,
    `data_version` (the position in the change feed that the data is at least as new as) and `licences`. Raises
    ExportRequestError.
    """
    request = requested(format, filters)
    name = current_job_id() or uuid4().hex
    path = export_folder() / f"{name}.{request.format.value}"
    database = Database(default_database().url)  # of its own: no other shares the loop and the life of a job
    try:
        async with database.open_session(read_only=True) as session:
            return await _export(session, request, path)
    finally:
        await database.close()


async def _export(session: AsyncSession, request: ExportRequest, path: Path) -> dict[str, Any]:
    now = datetime.now(UTC)
    version = await feed.current_position(session)
    licences: dict[str, Licence] = {}
    with appearing(path) as file:
        await _write(session, request, file, licences, now)
        beside = path.with_name(f"{path.stem}-licences.txt")
        with appearing(beside) as text:
            text.write(_licence_text(licences, now))
    return {
        "file": path.name,
        "licence_file": beside.name,
        "format": request.format.value,
        "rows": sum(licence.stations for licence in licences.values()),
        "bytes": file.bytes,
        "sha256": file.sha256,
        "read_at": now.isoformat(),
        "data_version": f"{version.tx}-{version.seq}",
        "licences": [asdict(licence) for licence in licences.values()],
    }


async def _write(
    session: AsyncSession, request: ExportRequest, file: HashedFile, licences: dict[str, Licence], now: datetime
) -> None:
    kind = FORMATS[request.format]
    chosen = repository.Selection(request.country, request.source, tuple(request.connector))
    total = await repository.count_selected(session, chosen)
    file.write(kind.head)
    rows = 0
    async for page in repository.selected_stations(session, chosen, now):
        file.write(kind.between if rows else b"")
        file.write(await asyncio.to_thread(kind.body, page))
        rows += len(page)
        _note_licences(page, licences)
        progress(rows / max(rows, total), f"{rows:,} of {total:,} stations")
    file.write(kind.tail)


def _note_licences(page: list[StoredStation], licences: dict[str, Licence]) -> None:
    for station in page:
        if station.source not in licences:
            terms = station.licence, station.licence_url, station.attribution
            licences[station.source] = Licence(station.source, *terms)
        licences[station.source].stations += 1


_INTRODUCTION = """\
Charging stations, read from VoltWay's catalogue at {now:%Y-%m-%d %H:%M} UTC.
Who passes the file on must name its sources and keep to their licences.
"""


def _licence_text(licences: dict[str, Licence], now: datetime) -> bytes:
    return "\n".join([_INTRODUCTION.format(now=now), *map(_terms, licences.values())]).encode()


def _terms(of: Licence) -> str:
    lines = [f"Source: {of.source} ({of.stations:,} stations)"]
    lines.append(f"Licence: {of.licence or 'not known; ask whoever has entered these stations'}")
    lines += [f"Its text: {of.licence_url}"] if of.licence_url else []
    lines += [f"To be named: {of.attribution}"] if of.attribution else []
    return "\n".join(lines) + "\n"
