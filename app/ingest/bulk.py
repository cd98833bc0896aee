"""Stations that a client sends: all are checked first, then what may be stored is stored in one unit of work."""

import asyncio
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.errors import DatabaseUnavailableError
from app.sources import demo
from app.sources.registry import all_sources
from app.stations import StationCreate, feed, repository

MAX_FAULTS = 100
"""Named in one answer; the others are counted."""
_BATCH = 500
"""Stations stored without giving way to other requests."""
_RESERVED = frozenset({*all_sources(), demo.FACTS.name})


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one item."""

    index: int
    """Its place among the items, from 0."""
    field: str
    """Path of the field, `evses.0.uid`; `item` for the whole."""
    message: str
    value: object = None
    """What was given."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for an item that could not even be read."""

    message: str


@dataclass(slots=True)
class Outcome:
    """What became of the items."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    faults: list[Fault] = field(default_factory=list)
    """Of the rejected items, the first MAX_FAULTS."""


def faults_of(index: int, error: ValidationError) -> list[Fault]:
    """What is wrong with the item of that index, up to MAX_FAULTS times."""
    return [
        Fault(index, ".".join(map(str, each["loc"])) or "item", each["msg"], each["input"])
        for each in error.errors(include_url=False, include_context=False)[:MAX_FAULTS]
    ]


class StationWriter:
    """Stores what clients send."""

    def __init__(self, database: Database, reserved: Iterable[str] = (), at_once: int = 4) -> None:
        """`reserved`: sources that imports fill, beside VoltWay's own."""
        self._database = database
        self._reserved = _RESERVED | set(reserved)
        self._turns = asyncio.Semaphore(at_once)

    def turn(self) -> asyncio.Semaphore:
        """To be held while the input is read and written: few at a time, so that many do not fill the memory."""
        return self._turns

    async def write(self, read: Callable[[], Iterable[object]], *, keep_good: bool) -> Outcome:
        """Store the items that `read` gives, which is called in a thread: mappings, StationCreate or Unreadable.

        A station is updated when there is one with its source and external id. With `keep_good` the items without
        fault are stored, otherwise all or none. Raises what `read` raises, and DatabaseUnavailableError.
        """
        stations, outcome = await asyncio.to_thread(lambda: _check(read(), self._reserved))
        if stations and (keep_good or not outcome.rejected):
            await self._store(stations, outcome)
        return outcome

    async def _store(self, stations: list[StationCreate], outcome: Outcome) -> None:
        by_source: dict[str, list[StationCreate]] = {}
        for station in stations:
            by_source.setdefault(station.source, []).append(station)
        now = datetime.now(UTC)
        try:
            async with self._database.open_session() as session:
                for source in sorted(by_source):  # in one order for all, as writers take turns
                    of_source = by_source[source]
                    for start in range(0, len(of_source), _BATCH):
                        batch = of_source[start : start + _BATCH]
                        written = await repository.store(session, source, batch, now)
                        outcome.created += len(written.new)
                        outcome.updated += len(written.updated)
                        outcome.unchanged += len(written.unchanged)
                await feed.prune(session, now)
        except (SQLAlchemyError, OSError) as error:
            raise DatabaseUnavailableError(f"The stations cannot be stored: {type(error).__name__}.") from error


def _check(items: Iterable[object], reserved: AbstractSet[str]) -> tuple[list[StationCreate], Outcome]:
    """Sort the items into sound stations and faults."""
    stations: list[StationCreate] = []
    outcome = Outcome()
    first_with: dict[tuple[str, str], int] = {}
    for index, item in enumerate(items):
        station, faults = _station(index, item, reserved)
        if station is not None:
            first = first_with.setdefault((station.source, station.external_id), index)
            if first != index:
                message = f"Item {first} of the same request has this source and external_id already"
                faults = [Fault(index, "external_id", message, station.external_id)]
        if faults or station is None:
            outcome.rejected += 1
            outcome.faults += faults[: MAX_FAULTS - len(outcome.faults)]
        else:
            stations.append(station)
    return stations, outcome


def _station(index: int, item: object, reserved: AbstractSet[str]) -> tuple[StationCreate | None, list[Fault]]:
    if isinstance(item, Unreadable):
        return None, [Fault(index, "item", item.message)]
    try:
        station = StationCreate.model_validate(item)
    except ValidationError as error:
        return None, faults_of(index, error)
    if station.source.casefold() in reserved:
        message = "This source is read from its publisher by imports; write under a source name of your own"
        return station, [Fault(index, "source", message, station.source)]
    return station, []
