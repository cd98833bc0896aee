"""How soon those who watch live status hear of a change, and what they cost.

`python -m benchmarks.streams`

States are told over HTTP to one of two serving processes. Each state's time is the moment at which its request was
sent, so an event tells by itself how long ago that was.
"""

import argparse
import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import cycle, islice
from random import Random
from statistics import quantiles

from app.auth import Scope
from benchmarks import databases
from benchmarks.figures import print_table
from benchmarks.live import State, evses, over_http
from benchmarks.servers import SERVE, Server, server
from tests.keys import create_key

_SEEN = re.compile(rb'"updated_at":"([^"]+)"')
_IDS_A_READER = 20
_BATCHES_A_SECOND = 10


class Reader(asyncio.Protocol):
    """A stream of some stations; notes how old each event's news is."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._rest = b""
        self.ready = asyncio.get_running_loop().create_future()
        self.heard = asyncio.Event()
        self.delays_ms: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(f"GET /api/v1/stations/stream?{self._query} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.time()
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            if b"event: ready" in event and not self.ready.done():
                self.ready.set_result(None)
            elif seen := _SEEN.search(event):
                at = datetime.fromisoformat(seen[1].decode())
                self.delays_ms.append((now - at.timestamp()) * 1_000)
                self.heard.set()


@asynccontextmanager
async def readers(port: int, queries: Iterator[str]) -> AsyncIterator[list[Reader]]:
    """All of them, ready."""
    opened = []
    loop = asyncio.get_running_loop()
    try:
        for query in queries:
            transport, reader = await loop.create_connection(lambda q=query: Reader(q), "127.0.0.1", port)  # type: ignore[misc]
            opened.append((transport, reader))
        await asyncio.wait_for(asyncio.gather(*(reader.ready for _, reader in opened)), 60)
        yield [reader for _, reader in opened]
    finally:
        for transport, _ in opened:
            transport.close()


class Teller:
    """A client that tells states to one process."""

    def __init__(self, connection: HTTPConnection, key: str, places: list[tuple[int, str]]) -> None:
        self._write = over_http(connection, key)
        self._places = cycle(places)
        self._statuses = cycle(["CHARGING", "AVAILABLE"])

    async def tell(self, count: int) -> None:
        at, status = datetime.now(UTC).isoformat(), next(self._statuses)
        states: list[State] = [(*place, status, at) for place in islice(self._places, count)]
        await asyncio.to_thread(self._write, states)


async def single_changes(one: int, other: int, teller: Teller, changes: int) -> dict[str, list[float]]:
    """Delays at a reader of all stations in the process that was told, and in the other one."""
    async with readers(one, iter([""])) as here, readers(other, iter([""])) as there:
        for number in range(1, changes + 1):
            await teller.tell(1)
            for reader in (*here, *there):
                await asyncio.wait_for(reader.heard.wait(), 30)
                reader.heard.clear()
            await asyncio.sleep(number % 7 / 70)  # so that they do not all begin at the same point of a poll
    return {"one change, the same process": here[0].delays_ms, "one change, the other process": there[0].delays_ms}


async def many_changes(
    serving: Server, teller: Teller, queries: list[str], rate: int, seconds: int
) -> tuple[list[float], float, float]:
    """Delays at all readers of one server while so many changes a second are told to it, the changes a second that
    it took, and KiB of its memory a reader."""
    before_mib = serving.pss_mib()
    async with readers(serving.port, iter(queries)) as opened:
        memory_kib = (serving.pss_mib() - before_mib) * 1024
        began = time.monotonic()
        for number in range(seconds * _BATCHES_A_SECOND):
            await asyncio.sleep(max(0.0, began + number / _BATCHES_A_SECOND - time.monotonic()))
            await teller.tell(rate // _BATCHES_A_SECOND)
        took_s = time.monotonic() - began
        await asyncio.sleep(1)
        delays = [delay for reader in opened for delay in reader.delays_ms]
    return delays, seconds * rate / took_s, memory_kib / len(queries)


def _row(database: str, what: str, delays: list[float]) -> list[str]:
    cuts = quantiles(delays, n=100)
    figures = (cuts[49], cuts[98], max(delays))
    return [database, what, f"{len(delays):,}", *(f"{figure:,.0f}" for figure in figures)]


async def measure(name: str, url: str, asked: argparse.Namespace) -> list[list[str]]:
    places = await evses(url, asked.stations)
    key = await asyncio.to_thread(create_key, url, "bench", [Scope.STATUS_WRITE])
    random = Random(1)  # noqa: S311 - the same in every run
    ids = sorted({station_id for station_id, _ in places})
    queries = ["ids=" + ",".join(map(str, random.sample(ids, _IDS_A_READER))) for _ in range(asked.readers)]
    with (
        server(url, *SERVE) as one,
        server(url, *SERVE) as other,
        closing(HTTPConnection("127.0.0.1", one.port, timeout=60)) as connection,
    ):
        teller = Teller(connection, key, random.sample(places, len(places)))
        rows = [
            _row(name, what, delays)
            for what, delays in (await single_changes(one.port, other.port, teller, asked.changes)).items()
        ]
        delays, rate, memory_kib = await many_changes(one, teller, queries, asked.rate, asked.seconds)
    what = f"{rate:,.0f} changes/s, {asked.readers:,} readers of {memory_kib:.0f} KiB"
    return [*rows, _row(name, what, delays)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=30_000)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--readers", type=int, default=1_000)
    parser.add_argument("--rate", type=int, default=1_000, help="changes a second")
    parser.add_argument("--seconds", type=int, default=10)
    asked = parser.parse_args()
    rows = []
    for name, kind in databases.both().items():
        with kind as fresh:
            rows += asyncio.run(measure(name, fresh(), asked))
    print(f"From telling a state to the event at a reader, {asked.stations:,} stations, ms\n")
    print_table(["database", "what", "events", "median", "99 % under", "slowest"], rows)


if __name__ == "__main__":
    main()
