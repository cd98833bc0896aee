"""What the change feed tells its readers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""From where microseconds are counted."""
_MOST_DIGITS = 18
"""Of a number that the database can hold."""


class FeedPosition(NamedTuple):
    """The last change that a reader has seen. The feed is in the order of positions."""

    tx: int
    seq: int

    def __str__(self) -> str:
        return f"{self.tx}-{self.seq}"

    @classmethod
    def read(cls, written: str) -> Self:
        """Of what `str` has made. Raises ValueError."""
        tx, dash, seq = written.partition("-")
        if not (dash and all(part.isascii() and part.isdigit() and len(part) <= _MOST_DIGITS for part in (tx, seq))):
            raise ValueError("is no position in the change feed")
        return cls(int(tx), int(seq))


FEED_START = FeedPosition(0, 0)

EvsesOf = Mapping[int, Collection[str | None]]
"""EVSEs of stations, by their uids; None among them: all that the station has."""


@dataclass(frozen=True, slots=True)
class Changes:
    """A stretch of the feed."""

    stations: dict[int, FeedPosition]
    """Stations that are not what they were, or gone, each with its last change; in the order of those."""
    rewritten: set[int]
    """Those of them whose content, not only their status, may be another."""
    restated: EvsesOf
    """EVSEs whose status may be another."""
    position: FeedPosition
    """Of the last change in it."""
    more: bool
    """Whether the feed goes on after it."""
    since: datetime | None
    """When the change that it follows on was written; `None`: it begins with the feed."""
