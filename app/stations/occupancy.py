"""From what was seen of EVSEs to how much they are used, and how dependable they are."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from app.stations.history import Period
from app.stations.status import in_station_words
from app.stations.vocabulary import StationStatus

_STATUSES = (StationStatus.AVAILABLE, StationStatus.OCCUPIED, StationStatus.MAINTENANCE)
"""What is known of a time; whatever else (UNKNOWN, PLANNED, REMOVED) is not."""
_SLOT_S = 900
"""All offsets of time zones are multiples of a quarter of an hour, so an hour of any zone is four slots."""
_SLOTS_AN_HOUR = 4
HOURS_A_WEEK = 168


@dataclass(frozen=True, slots=True)
class Use:
    """How long EVSEs were in which state, summed over the EVSEs; in hours."""

    available_h: float
    occupied_h: float
    out_of_service_h: float

    @property
    def known_h(self) -> float:
        return self.available_h + self.occupied_h + self.out_of_service_h

    @property
    def occupancy(self) -> float | None:
        """Share of the known time in which they were in use; `None` where nothing is known."""
        return self.occupied_h / self.known_h if self.known_h else None

    @property
    def uptime(self) -> float | None:
        """Share of the known time in which they could be used, or were: as 23 CFR 680.116(b) counts it for the
        charging ports of the United States, but over the known time, as no outage is excluded there."""
        return (self.available_h + self.occupied_h) / self.known_h if self.known_h else None


class UseOverTime:
    """How long EVSEs were in which state, by quarters of an hour."""

    def __init__(self, start: datetime, end: datetime) -> None:
        """`start` in UTC, at a full quarter of an hour; what lies before it or after `end` does not count."""
        self._start = start
        self._length_s = (end - start).total_seconds()
        self._seconds: NDArray[np.float64] = np.zeros((len(_STATUSES), _slots_until(self._length_s)))

    def add(self, periods: Iterable[Period]) -> None:
        """Of one EVSE."""
        for period in periods:
            word = in_station_words(period.status)
            if word in _STATUSES:
                self._fill(self._seconds[_STATUSES.index(word)], period)

    def _fill(self, seconds: NDArray[np.float64], period: Period) -> None:
        first, last = (
            min(max((moment - self._start).total_seconds(), 0.0), self._length_s)
            for moment in (period.start, period.end)
        )
        slots = np.arange(int(first // _SLOT_S), _slots_until(last))
        seconds[slots] += np.minimum((slots + 1) * _SLOT_S, last) - np.maximum(slots * _SLOT_S, first)

    @property
    def whole(self) -> Use:
        return _use(self._seconds.sum(axis=1))

    def hours(self, start: datetime) -> list[tuple[datetime, Use]]:
        """The hours since `start`, a full hour of UTC within the time, each with its beginning."""
        first = int((start - self._start).total_seconds()) // _SLOT_S
        count = self._seconds.shape[1]
        return [
            (start + timedelta(hours=n), _use(self._seconds[:, slot : slot + _SLOTS_AN_HOUR].sum(axis=1)))
            for n, slot in enumerate(range(first, count, _SLOTS_AN_HOUR))
        ]

    def hours_of_week(self, zone: ZoneInfo) -> list[Use]:
        """As clocks there show them, from Monday 0:00 on."""
        hour_of_slot = np.array(list(self._hours_of_slots(zone)), np.intp)
        summed = np.zeros((len(_STATUSES), HOURS_A_WEEK))
        for of_status, seconds in zip(summed, self._seconds, strict=True):
            np.add.at(of_status, hour_of_slot, seconds)
        return [_use(summed[:, hour]) for hour in range(HOURS_A_WEEK)]

    def _hours_of_slots(self, zone: ZoneInfo) -> Iterable[int]:
        for slot in range(self._seconds.shape[1]):
            there = (self._start + timedelta(seconds=slot * _SLOT_S)).astimezone(zone)
            yield there.weekday() * 24 + there.hour


def _slots_until(seconds: float) -> int:
    return math.ceil(seconds / _SLOT_S)


def _use(seconds: Sequence[float] | NDArray[np.float64]) -> Use:
    available, occupied, out_of_service = (float(each) / 3600 for each in seconds)
    return Use(available, occupied, out_of_service)
