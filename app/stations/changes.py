"""What the change feed tells its readers."""

from dataclasses import dataclass
from typing import NamedTuple


class FeedPosition(NamedTuple):
    """The last change that a reader has seen."""

    tx: int
    seq: int


FEED_START = FeedPosition(0, 0)


@dataclass(frozen=True, slots=True)
class Changes:
    """A stretch of the feed."""

    station_ids: set[int]
    """Stations that are not what they were, or gone."""
    position: FeedPosition
    """Of the last change in it."""
    more: bool
    """Whether the feed goes on after it."""
