"""What a sync makes of a server that misbehaves: one line for each fault, and what the catalogue is like afterwards.

python -m benchmarks.sync_faults
"""

import asyncio
import gzip
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from app.db import Database
from app.db.migrate import migrate
from app.ingest.feeds import Feed
from app.ingest.sync import Synced, sync_sources
from app.sources.fetch import Fetching
from app.sources.guest import Limits
from app.sources.hosts import Hosts
from app.sources.registry import find_source
from app.stations import repository
from app.stations.tables import ImportRun
from tests.misbehaving import Answer, Respond, Server, file, misbehaving

STATIONS = 1_000
LIMITS = Limits(
    max_bytes=5_000_000, free_bytes=0, total_s=5, silence_s=0.3, pace_s=0.2, first_pause_s=0.05, attempts=4
)
"""The usual ones, but for the times, which are shortened so that the table takes seconds."""


def register(
    stations: int, columns: str = "id_station_itinerance,nom_station,id_pdc_itinerance", extra: int = 0
) -> bytes:
    """A French register of one charge point a station."""
    rows = (f'P{n},Gare {n},E{n},22,true,"[2.35,48.85]"\n' for n in range(extra, stations + extra))
    return f"{columns},puissance_nominale,prise_type_2,coordonneesXY\n{''.join(rows)}".encode()


FILE, NEWER = register(STATIONS), register(STATIONS, extra=1)
HALF = Answer(NEWER[: len(NEWER) // 2], headers={"Content-Length": str(len(NEWER)), "ETag": '"2"'})


def first(*answers: Answer, then: Respond) -> Respond:
    """These answers, one to each request, then others."""
    waiting = list(answers)
    return lambda asked: waiting.pop(0) if waiting else then(asked)


def always(answer: Answer) -> Respond:
    return lambda _: answer


def with_etag(body: bytes, **headers: str) -> Answer:
    return Answer(body, headers={"ETag": '"2"', **headers})


GOOD = file(NEWER, '"2"')
FAULTS: dict[str, Callable[[], Respond]] = {
    "none: unchanged (304)": lambda: file(FILE),
    "none: same bytes, no validators": lambda: file(FILE, None),
    "none: a newer file": lambda: GOOD,
    "500, then good": lambda: first(Answer(status=500), then=GOOD),
    "500 for ever": lambda: always(Answer(status=500)),
    "429, Retry-After 1 s, then good": lambda: first(Answer(status=429, headers={"Retry-After": "1"}), then=GOOD),
    "429, Retry-After 1 h": lambda: always(Answer(status=429, headers={"Retry-After": "3600"})),
    "404": lambda: always(Answer(status=404)),
    "silent after the head": lambda: always(Answer(headers={"Content-Length": "9"}, hangs=True)),
    "drips a byte every 5 ms": lambda: always(replace(with_etag(NEWER), drips=True)),
    "cut off half way, then whole": lambda: first(HALF, then=GOOD),
    "cut off half way, for ever": lambda: always(replace(HALF, headers={**HALF.headers, "ETag": None})),
    "connection reset, then whole": lambda: first(replace(HALF, resets=True), then=GOOD),
    "cut off, then another version": lambda: first(HALF, then=file(register(STATIONS, extra=2), '"3"')),
    "cut off, then ranges ignored": lambda: first(HALF, then=always(with_etag(NEWER))),
    "gzip cut off": lambda: always(with_etag(gzip.compress(NEWER)[:-99])),
    "gzip bomb of 50 MB": lambda: always(with_etag(gzip.compress(b"0" * 50_000_000))),
    "larger than allowed": lambda: always(with_etag(b"0" * 6_000_000)),
    "a web page": lambda: always(with_etag(b"<!DOCTYPE html><title>Maintenance</title>")),
    "redirects for ever": lambda: always(Answer(status=302, headers={"Location": "/file"})),
    "changed columns": lambda: file(register(STATIONS, columns="id,name,point"), '"2"'),
    "shrunken by 30 %": lambda: file(register(STATIONS * 7 // 10), '"2"'),
    "shrunken by 20 %": lambda: file(register(STATIONS * 8 // 10), '"2"'),
    "empty": lambda: file(b"", '"2"'),
}


async def _make_due(database: Database) -> None:
    async with database.open_session() as session:
        for run in await session.scalars(select(ImportRun)):
            run.started_at -= timedelta(days=2)


async def _ids(database: Database) -> list[str]:
    async with database.open_session(read_only=True) as session:
        return [each for page in [p async for p in repository.external_ids(session, "irve")] for each in page]


async def _try(folder: Path, server: Server, respond: Respond) -> tuple[Synced, float, int, int]:
    """A sync of a good file, then one of a bad: what became of it, seconds, and stations before and after."""
    url = f"sqlite:///{folder / 'voltway.db'}"
    await asyncio.to_thread(migrate, url)
    database = Database(url)
    feed = Feed(find_source("irve"), server.url)

    async def sync() -> Synced:
        how = Fetching(folder / "downloads", Hosts(1e6), LIMITS)
        return (await sync_sources(database, folder, [feed], how))["irve"]

    try:
        server.respond = file(FILE)
        await sync()
        before = len(await _ids(database))
        await _make_due(database)
        server.asked.clear()
        server.respond = respond
        started = time.perf_counter()
        synced = await sync()
        return synced, time.perf_counter() - started, before, len(await _ids(database))
    finally:
        await database.close()


async def main() -> None:
    print("| fault | outcome | requests | seconds | stations before | after |\n|---|---|---:|---:|---:|---:|")
    for name, fault in FAULTS.items():
        with tempfile.TemporaryDirectory(prefix="voltway-faults-") as folder, misbehaving() as server:
            synced, seconds, before, after = await _try(Path(folder), server, fault())
            said = (
                (synced.error or "").replace(f":{server.port}", "").replace("http://127.0.0.1", "").partition(". ")[0]
            )
            outcome = synced.outcome + (f": {said.rstrip('.')}" if said else "")
            print(
                f"| {name} | {outcome[:150]} | {len(server.asked)} | {seconds:.2f} | {before:,} | {after:,} |",
                flush=True,
            )


if __name__ == "__main__":
    os.environ["NO_PROXY"] = "127.0.0.1"
    asyncio.run(main())
