"""What an adapter yields for each record: a station, an observation, a skip or a rejection; never an exception.

A *record* is what the source's publisher counts: a row, a POI, a charge point. Every record is accounted for once:
read = stored in a station or as a status + skipped + rejected.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from app.stations.model import StationCreate
from app.stations.vocabulary import EvseStatus

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What must be known of a source before its data may be used."""

    name: str
    """Short and lasting: the value of `stations.source` and the word typed at the command line."""
    title: str
    homepage: str
    licence: str
    """SPDX identifier where one exists, else the licence's own name."""
    licence_url: str
    attribution: str
    """The words that the licence asks to be shown."""
    cadence: timedelta
    """How often the publisher renews the data: reading it more often is pointless."""
    record_noun: str
    """Plural, for reports: `charge points`."""
    status_ttl: timedelta | None = None
    """Age past which a live status from this source reads UNKNOWN; `None`: it holds until replaced."""

    def as_row(self) -> dict[str, str | int | None]:
        """The columns of the table `sources`."""
        return {
            "name": self.name,
            "title": self.title,
            "homepage": self.homepage,
            "licence": self.licence,
            "licence_url": self.licence_url,
            "attribution": self.attribution,
            "cadence_s": int(self.cadence.total_seconds()),
            "status_ttl_s": None if self.status_ttl is None else int(self.status_ttl.total_seconds()),
        }


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record stands in its input."""

    record: int
    """1 for the first record."""
    line: int | None = None
    """Line of the file on which the record begins, 1 for the first; `None` for formats without lines."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of one of a station's own EVSEs."""

    evse_uid: str
    status: EvseStatus
    observed_at: datetime
    """The source's time, with its zone."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One station, and the records that it was made of."""

    station: StationCreate
    position: Position
    """Of its first record."""
    records: int = 1
    notes: tuple[str, ...] = ()
    """What was stored otherwise than delivered, one short phrase each, from a short list so that they can be
    counted (the offending code may be part of it): `connector code 99 unknown, stored as other`."""
    facts: SourceFacts | None = None
    """Of the station's own source, where the input has stations of several; its name is `station.source`."""
    seen: tuple[Seen, ...] = ()
    """What the input tells of its EVSEs at a moment; what lasts stands in the station itself."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A record that tells the state of an EVSE, whichever stations have it."""

    evse_id: str
    """As delivered; `app.stations.evse_id.key_of` says which spellings are the same."""
    status: EvseStatus
    observed_at: datetime
    """The source's time, with its zone."""
    position: Position
    records: int = 1
    notes: tuple[str, ...] = ()
    """As those of `Parsed`."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A record that is sound but not for us (another fuel, withdrawn by its source)."""

    position: Position
    reason: str
    """Short phrase, counted in the report: `fuel E85`."""
    gone_id: str | None = None
    """`external_id` of a station that the source says exists no more; it is then removed."""
    records: int = 1


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that cannot be used, and what would make it usable."""

    position: Position
    field: str
    """The source's own name of the field at fault."""
    value: str
    """As delivered, cut to 200 characters."""
    reason: str
    """Stable code, counted in the report: `coordinates_zero`."""
    why: str
    """One sentence for a human."""
    fix: str
    """What to do about it."""
    external_id: str | None = None
    records: int = 1


Outcome = Parsed | Observed | Skip | Rejection


class BadField(Exception):  # noqa: N818 - it is the record that is in error
    """Raised while one record is converted, to reject it. The arguments are those of `Rejection`."""

    def __init__(
        self,
        field: str,
        value: object,
        reason: str,
        why: str,
        fix: str = "Correct the value at the source and import again.",
    ) -> None:
        super().__init__(field, value, reason, why, fix)
        self.field, self.value, self.reason, self.why, self.fix = field, value, reason, why, fix


class SkipRecord(Exception):  # noqa: N818 - it is no error
    """Raised while one record is converted, to skip it; `gone` says that the source has withdrawn it."""

    def __init__(self, reason: str, *, gone: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.gone = reason, gone


def rejection(position: Position, fault: BadField | ValidationError, external_id: str | None) -> Rejection:
    """Describe why a record was refused; of several validation errors, the first."""
    if isinstance(fault, ValidationError):
        error = fault.errors(include_url=False)[0]
        name = ".".join(str(part) for part in error["loc"]) or "record"
        fault = BadField(name, error["input"], "value_not_allowed", error["msg"])
    return Rejection(
        position,
        fault.field,
        str(fault.value)[:200],
        fault.reason,
        fault.why,
        fault.fix,
        external_id=external_id,
    )


def convert_records(
    rows: Iterable[tuple[Position, Row] | Rejection],
    convert: Callable[[Row, list[str]], StationCreate],
    external_id_of: Callable[[Row], str | None],
) -> Iterator[Outcome]:
    """Turn one row after another into an outcome.

    `convert` appends to its second argument what it stored otherwise than delivered, and raises BadField,
    SkipRecord or pydantic's ValidationError for a record that yields no station. `external_id_of` must not raise:
    it names the station of a record that could not be converted, so that it is not taken for vanished.
    """

    def parsed(row: Row, position: Position, notes: list[str]) -> Parsed:
        return Parsed(convert(row, notes), position, notes=tuple(notes))

    return outcomes_of(rows, parsed, external_id_of)


def outcomes_of(
    rows: Iterable[tuple[Position, Row] | Rejection],
    read: Callable[[Row, Position, list[str]], Outcome],
    external_id_of: Callable[[Row], str | None],
) -> Iterator[Outcome]:
    """As `convert_records`, where a record yields something else than a station."""
    for item in rows:
        if isinstance(item, Rejection):
            yield item
            continue
        position, row = item
        notes: list[str] = []
        try:
            yield read(row, position, notes)
        except SkipRecord as skip:
            yield Skip(position, skip.reason, external_id_of(row) if skip.gone else None)
        except (BadField, ValidationError) as fault:
            yield rejection(position, fault, external_id_of(row))
