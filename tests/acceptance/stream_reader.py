"""Those who watch live status, as an app does: they keep what they are told, and come back when they are cut off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import httpx2 as httpx
import orjson

State = tuple[datetime | None, str]
"""When it was seen, and the state."""


class StreamReader:
    """One stream after the other, at one address after the other; folds what it is told."""

    def __init__(self, addresses: list[str], query: dict[str, Any], leave_after: int | None = None) -> None:
        """`leave_after`: events after which it breaks off and goes to the next address; `None`: it stays."""
        self._addresses = addresses
        self._query = query | {"snapshot": "true"}
        self._leave_after = leave_after
        self._last_id: str | None = None
        self.known: dict[int, dict[str, State]] = {}
        """By station id and EVSE uid."""
        self.events = self.resets = self.connections = 0
        self.may_read = asyncio.Event()
        """Cleared: it takes nothing more from its connection."""
        self.may_read.set()
        self.is_ready = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=60)) as http:
            while True:
                address = self._addresses[self.connections % len(self._addresses)]
                self.connections += 1
                try:
                    await self._read(http, address)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)  # as `retry` asks of clients, but sooner

    async def _read(self, http: httpx.AsyncClient, address: str) -> None:
        headers = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
        url = f"{address}/api/v1/stations/stream"
        async with http.stream("GET", url, params=self._query, headers=headers) as answer:
            if answer.status_code != 200:
                await asyncio.sleep(0.1)
                return
            taken = 0
            async for name, data in self._events(answer):
                self._take(name, data)
                taken += 1
                if taken == self._leave_after:
                    return

    async def _events(self, answer: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """As the HTML standard reads them, section 9.2.6."""
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            await self.may_read.wait()
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
                continue
            self._last_id = fields.get("id", self._last_id)
            if "data" in fields:
                yield fields["event"], orjson.loads(fields["data"])
            fields = {}

    def _take(self, name: str, data: dict[str, Any]) -> None:
        self.events += 1
        if name == "ready":
            self.is_ready.set()
        elif name == "reset":
            self.resets += 1
            self.known.clear()
        else:
            self.known.pop(data["station_id"], None)
            if name == "status":
                self.known[data["station_id"]] = {evse["uid"]: _state(evse) for evse in data["evses"]}


def _state(evse: dict[str, Any]) -> State:
    at = evse["observed_at"]
    return at and datetime.fromisoformat(at), evse["status"]


async def until(holds: Callable[[], object], within_s: float, what: str) -> None:
    """Look again and again."""
    async with asyncio.timeout(within_s):
        try:
            while not holds():
                await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(what) from None
