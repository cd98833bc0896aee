"""Playing recorded live status again, as if it happened now."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol

import httpx2 as httpx
import orjson
import stamina

from app.db import Database
from app.errors import FetchError, SourceFormatError
from app.ingest.run import ImportOptions, run_import
from app.sources.fetch import opened
from app.sources.records import Observed, Outcome
from app.sources.registry import Source

_TIME_IN_NAME = "%Y-%m-%d_%H%M%S"
_ATTEMPTS = 30
_LONGEST_PAUSE_S = 5.0
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of states, and when it was there to be read."""

    path: Path
    told_at: datetime


def recordings(folder: Path) -> list[Recording]:
    """In order: `dynamic-snapshot-DATE.csv.gz`, then `dynamic-changes-DATE/DATE_TIME.csv.gz`; times are UTC.

    Raises SourceFormatError where there are none, or one has another name."""
    try:
        snapshots = [
            Recording(path, _moment(f"{path.name.partition('.')[0][-10:]}_000000"))
            for path in folder.glob("dynamic-snapshot-*.csv*")
        ]
        changes = [
            Recording(path, _moment(path.name.partition(".")[0])) for path in folder.glob("dynamic-changes-*/*.csv*")
        ]
    except ValueError as error:
        raise SourceFormatError(f"{folder}: a file has no time in its name: {error}.") from None
    if not changes:
        raise SourceFormatError(f"{folder} has no dynamic-changes-*/DATE_TIME.csv.gz.")
    return sorted(snapshots + changes, key=lambda each: (each.told_at, each.path not in {s.path for s in snapshots}))


def static_file(folder: Path) -> Path:
    """The newest `static-*.csv.gz` by its name. Raises SourceFormatError where there is none."""
    found = sorted(folder.glob("static-*.csv*"))
    if not found:
        raise SourceFormatError(f"{folder} has no static-*.csv.gz.")
    return found[-1]


def _moment(written: str) -> datetime:
    return datetime.strptime(written, _TIME_IN_NAME).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Moves recorded times to the present."""

    began: datetime
    """The recording's first moment."""
    begins: datetime
    """What that moment becomes."""
    speed: float = 1.0
    """How many times as fast as it happened."""

    def moved(self, recorded: datetime) -> datetime:
        """What was seen before the beginning keeps its age then."""
        since = recorded - self.began
        return self.begins + (since if since < timedelta(0) else since / self.speed)

    @classmethod
    def ending_at(cls, now: datetime, plan: Sequence[Recording]) -> "Clock":
        """Lets the last recording be read now: for playing as fast as possible."""
        return cls(plan[0].told_at, now - (plan[-1].told_at - plan[0].told_at))


@dataclass(slots=True)
class Told:
    """What became of the states of one or more files."""

    read: int = 0
    became: Counter[str] = field(default_factory=Counter)
    """How many by the words of `POST /api/v1/status`."""

    def add(self, other: "Told") -> None:
        self.read += other.read
        self.became += other.became

    @property
    def balanced(self) -> bool:
        """Whether each state read is accounted for."""
        return self.read == self.became.total()

    def __str__(self) -> str:
        words = ("applied", "unchanged", "superseded", "conflicting", "unknown", "rejected")
        return f"{self.read:,} read = " + " + ".join(f"{self.became[word]:,} {word}" for word in words)


class Listener(Protocol):
    """To whom states are told."""

    async def tell(self, recording: Recording, clock: Clock | None) -> Told:
        """All states of a file, their times moved by the clock; `None`: as recorded."""


async def replay(
    plan: Sequence[Recording], clock: Clock | None, listener: Listener, *, in_time: bool = False
) -> AsyncIterator[Told]:
    """Tell one file after the other; with `in_time` each not before its moved time. Yields what became of each."""
    for recording in plan:
        if in_time and clock is not None:
            wait = clock.moved(recording.told_at) - datetime.now(UTC)
            await asyncio.sleep(max(0.0, wait.total_seconds()))
        yield await listener.tell(recording, clock)


@dataclass(frozen=True, slots=True)
class Feed:
    """Imports into the database."""

    database: Database
    source: Source
    options: ImportOptions

    async def tell(self, recording: Recording, clock: Clock | None) -> Told:
        moved = replace(self.source, parse=lambda file: _moved(self.source.parse(file), clock))
        report = await run_import(self.database, moved, str(recording.path), self.options)
        return Told(report.read, report.statuses + Counter(rejected=report.rejected.total()))


@dataclass(frozen=True, slots=True)
class Service:
    """Tells a running VoltWay over HTTP, as its clients do. Whoever repeats a request changes nothing, so one that
    fails is sent again."""

    http: httpx.AsyncClient
    """With address and key."""
    source: Source
    batch: int

    async def tell(self, recording: Recording, clock: Clock | None) -> Told:
        told = Told()
        with opened(recording.path) as file:
            outcomes = _moved(self.source.parse(file), clock)
            while batch := await asyncio.to_thread(lambda: list(islice(outcomes, self.batch))):
                states = [_state(each) for each in batch if isinstance(each, Observed)]
                results = (await self._post(states))["results"] if states else []
                told.add(Told(len(batch), Counter(results) + Counter(rejected=len(batch) - len(states))))
        return told

    async def _post(self, states: list[dict[str, str]]) -> dict[str, list[str]]:
        answer: httpx.Response | None = None
        async for attempt in stamina.retry_context(
            on=(httpx.TransportError, _TryAgain), attempts=_ATTEMPTS, timeout=None, wait_max=_LONGEST_PAUSE_S
        ):
            with attempt:
                answer = await self.http.post(
                    "/api/v1/status",
                    content=orjson.dumps(states),
                    headers={"Content-Type": "application/json"},
                    timeout=_TIMEOUT_S,
                )
                if answer.status_code in {429, 502, 503, 504}:
                    raise _TryAgain(answer.status_code)
        assert answer is not None  # noqa: S101 - else it has raised
        if answer.status_code != 200:
            raise FetchError(f"The service refused the states ({answer.status_code}): {answer.text[:500]}")
        told: dict[str, list[str]] = answer.json()
        return told


class _TryAgain(Exception):  # noqa: N818 - what it asks for
    """The service is busy, or starts again."""


def _state(observed: Observed) -> dict[str, str]:
    return {
        "evse_id": observed.evse_id,
        "status": observed.status,
        "observed_at": observed.observed_at.isoformat(),
    }


def _moved(outcomes: Iterator[Outcome], clock: Clock | None) -> Iterator[Outcome]:
    for each in outcomes:
        if clock is not None and isinstance(each, Observed):
            yield replace(each, observed_at=clock.moved(each.observed_at))
        else:
            yield each
