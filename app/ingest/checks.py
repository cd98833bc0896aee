"""What is checked of the records of one input beyond what its adapter knows, and of the input as a whole."""

from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from app.errors import SourceFormatError
from app.ingest.coordinates import check_coordinates
from app.ingest.seen import SeenIds
from app.sources.records import Observed, Outcome, Parsed, Rejection, Skip

MOST_LOST = 0.2
"""Share of its good records that an input may have lost since the last time."""
MOST_REJECTED = 0.5
"""Share of an input's records that may be rejected, unless as many were the last time."""


class Checks:
    """Of each record in turn; remembers the ids that it has met, on disk."""

    def __init__(self, *, of_catalogue: bool = False) -> None:
        self._of_catalogue = of_catalogue
        self._seen = SeenIds()
        self._refused = SeenIds()
        """Ids of rejected records: those stations have not vanished, and another record may describe them rightly."""
        self.unidentified = 0
        """Rejected records that do not tell which station they are of."""
        self._files = ExitStack()

    def __enter__(self) -> Self:
        self._files.enter_context(self._seen)
        self._files.enter_context(self._refused)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._files.close()

    def apply(self, outcome: Outcome) -> Outcome:
        """Reject a station that cannot be where it says, or a record whose id has come before. An EVSE may be
        observed as often as one likes."""
        if isinstance(outcome, Observed):
            return outcome
        if isinstance(outcome, Parsed) and not self._of_catalogue:
            outcome = _misplaced(outcome) or outcome
        external_id = _external_id(outcome)
        if isinstance(outcome, Rejection):
            if external_id is None:
                self.unidentified += 1
            else:
                self._refused.add(external_id)
        elif external_id is not None and not self._seen.add(self._identity(outcome, external_id)):
            why, fix = "An earlier record of this input has the same id.", "Give each station one record."
            return _rejection(outcome, "external_id", external_id, "repeated_id", why, fix)
        return outcome

    def _identity(self, outcome: Parsed | Skip, external_id: str) -> str:
        """In a catalogue, sources use the same ids; none of their names holds a NUL."""
        if self._of_catalogue and isinstance(outcome, Parsed):
            return f"{outcome.station.source}\0{external_id}"
        return external_id

    def missing(self, external_ids: Collection[str]) -> list[str]:
        """Those of the ids that no record had."""
        return self._refused.missing(self._seen.missing(external_ids))


def _misplaced(outcome: Parsed) -> Rejection | None:
    at = outcome.station
    wrong = check_coordinates(at.longitude, at.latitude, at.country)
    if wrong is None:
        return None
    place = f"{at.longitude}, {at.latitude}"
    return _rejection(outcome, "longitude, latitude", place, wrong.reason, wrong.why, wrong.fix)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many records an input has."""

    good: int
    rejected: int

    @classmethod
    def of_report(cls, report: dict[str, Any]) -> Self:
        """Of an import that is over."""
        return cls(sum(report["records"].values()), sum(report["rejected"].values()))

    @property
    def is_mostly_rejected(self) -> bool:
        return self.rejected > MOST_REJECTED * (self.good + self.rejected)


def tally(outcomes: Iterable[Outcome]) -> Tally:
    """Read an input to its end, and store nothing. Raises SourceFormatError."""
    good = rejected = 0
    with Checks() as checks:
        for outcome in map(checks.apply, outcomes):
            good += outcome.records if isinstance(outcome, Parsed) else 0
            rejected += outcome.records if isinstance(outcome, Rejection) else 0
    return Tally(good, rejected)


def refuse_suspicious(now: Tally, before: Tally, noun: str) -> None:
    """Raises SourceFormatError when an input that is to be the whole source does not look like it any more."""
    told = "Nothing was changed. If this is right, import it with --full --accept-shrunken."
    if now.good < (1 - MOST_LOST) * before.good:
        raise SourceFormatError(
            f"The input has {now.good:,} usable {noun}, the last one had {before.good:,}: more than "
            f"{MOST_LOST:.0%} fewer, so it seems to be cut off or broken. {told}"
        )
    if now.is_mostly_rejected and not before.is_mostly_rejected:
        raise SourceFormatError(
            f"Of the input's {noun}, {now.rejected:,} cannot be used and {now.good:,} can; of the last one's, "
            f"{before.rejected:,} and {before.good:,}. Its format seems to have changed. {told}"
        )


def _external_id(outcome: Parsed | Skip | Rejection) -> str | None:
    if isinstance(outcome, Parsed):
        return outcome.station.external_id
    return outcome.gone_id if isinstance(outcome, Skip) else outcome.external_id


def _rejection(outcome: Parsed | Skip, field: str, value: str, reason: str, why: str, fix: str) -> Rejection:
    return Rejection(outcome.position, field, value, reason, why, fix, _external_id(outcome), records=outcome.records)
