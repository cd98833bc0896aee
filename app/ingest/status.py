"""States of EVSEs that clients tell."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.errors import DatabaseUnavailableError
from app.ingest.bulk import MAX_FAULTS, Fault, Unreadable, faults_of
from app.ingest.sightings import Sighting, record
from app.sources.times import YEARS
from app.stations import feed
from app.stations.evse_id import key_of
from app.stations.model import Key
from app.stations.vocabulary import EvseStatus

SOURCE = "api"
"""Of what clients tell."""
REJECTED = "rejected"
_BATCH = 1_000
"""States stored without giving way to other writers."""
_PRUNE_EVERY_S = 10.0
_AHEAD = timedelta(seconds=5)
"""By how much clocks may differ without a word."""


def _is_of_our_time(at: datetime) -> datetime:
    if at.year not in YEARS:
        raise ValueError(f"must lie between the years {YEARS.start} and {YEARS.stop - 1}")
    return at


class StatusItem(BaseModel):
    """An EVSE in a state: named by its public id, or by a station's id and the EVSE's uid in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True)

    evse_id: Annotated[Key | None, Field(examples=["DE*AB7*E840*6487"])] = None
    """Public id (eMI3) in any spelling; every station that has it is meant."""
    station_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    """VoltWay's own id of the station."""
    evse_uid: Key | None = None
    status: EvseStatus
    observed_at: Annotated[AwareDatetime, AfterValidator(_is_of_our_time), Field(examples=["2026-05-01T12:03:10Z"])]
    """When it was so, with the zone (RFC 3339)."""

    @model_validator(mode="after")
    def _evse_is_named_once(self) -> Self:
        named = self.station_id is not None and self.evse_uid is not None
        if named is (self.evse_id is not None) or (self.station_id is None) is not (self.evse_uid is None):
            raise ValueError("name the EVSE by evse_id, or by station_id and evse_uid")
        if self.evse_id is not None and not key_of(self.evse_id):
            raise ValueError("evse_id has nothing but separators")
        return self

    @property
    def sighting(self) -> Sighting:
        if self.station_id is not None and self.evse_uid is not None:
            return Sighting((self.station_id, self.evse_uid), self.status, self.observed_at)
        return Sighting(key_of(self.evse_id or ""), self.status, self.observed_at)


@dataclass(slots=True)
class StatusOutcome:
    """What became of the items."""

    results: list[str] = field(default_factory=list)
    """For each item, in order: one of `app.ingest.sightings.RESULTS` or REJECTED."""
    faults: list[Fault] = field(default_factory=list)
    """Of the rejected items, the first MAX_FAULTS."""
    ahead: int = 0
    """Items that were observed later than now, and are taken as observed now."""

    @property
    def counts(self) -> Counter[str]:
        """Items by result."""
        return Counter(self.results)


class StatusWriter:
    """Stores what clients tell."""

    def __init__(self, database: Database, time_to_live: timedelta, at_once: int = 4) -> None:
        self._database = database
        self._time_to_live = time_to_live
        self._turns = asyncio.Semaphore(at_once)
        self._prune_at = time.monotonic()

    def turn(self) -> asyncio.Semaphore:
        """To be held while the input is read and written: few at a time, so that many do not fill the memory."""
        return self._turns

    async def write(self, read: Callable[[], Iterable[object]]) -> StatusOutcome:
        """Store the items without fault that `read` gives, which is called in a thread: mappings or Unreadable.

        Whoever repeats a request whose answer was lost changes nothing. Raises what `read` raises, and
        DatabaseUnavailableError; what was told until then may be stored.
        """
        now = datetime.now(UTC)
        try:
            outcome = await asyncio.to_thread(self._write, read, now)
            await self._prune_now_and_then(now)
        except (SQLAlchemyError, OSError) as error:
            raise DatabaseUnavailableError(f"The states cannot be stored: {type(error).__name__}.") from error
        return outcome

    def _write(self, read: Callable[[], Iterable[object]], now: datetime) -> StatusOutcome:
        sightings, outcome = _check(read(), now + _AHEAD)
        indexes = list(sightings)
        for start in range(0, len(indexes), _BATCH):
            batch = indexes[start : start + _BATCH]
            with self._database.open_session_here() as session:
                told = record(session, SOURCE, [sightings[index] for index in batch], now, self._time_to_live)
            for index, result in zip(batch, told, strict=True):
                outcome.results[index] = result
        return outcome

    async def _prune_now_and_then(self, now: datetime) -> None:
        """What is told fills the change feed faster than the daily clean-up could bear."""
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + _PRUNE_EVERY_S
            async with self._database.open_session() as session:
                await feed.prune(session, now)


def _check(items: Iterable[object], latest: datetime) -> tuple[dict[int, Sighting], StatusOutcome]:
    """The sound items by their index."""
    sightings: dict[int, Sighting] = {}
    outcome = StatusOutcome()
    for index, item in enumerate(items):
        outcome.results.append(REJECTED)
        if isinstance(item, Unreadable):
            faults = [Fault(index, "item", item.message)]
        else:
            try:
                sightings[index] = StatusItem.model_validate(item).sighting
                outcome.ahead += sightings[index].observed_at > latest
                continue
            except ValidationError as error:
                faults = faults_of(index, error)
        outcome.faults += faults[: MAX_FAULTS - len(outcome.faults)]
    return sightings, outcome
