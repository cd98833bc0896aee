"""How far a webhook's receiver has been told."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from app.stations.changes import FeedPosition

_EVERY_STATION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Reached:
    """All up to there is delivered, in a delivery that waits, or nothing of its filter."""

    position: FeedPosition
    """The last change in the feed."""
    stale_to: datetime
    """The moment up to which it knows what became too old to be shown, which is in no feed."""
    stale_id: int = _EVERY_STATION
    """Of what became so at that very moment, the stations up to this id."""

    @property
    def is_between(self) -> bool:
        """It knows only a part of what became too old at that moment."""
        return self.stale_id != _EVERY_STATION

    def at(self, position: FeedPosition) -> Self:
        return replace(self, position=position)

    def stale(self, to: datetime, station_id: int = _EVERY_STATION) -> Self:
        return replace(self, stale_to=to, stale_id=station_id)
