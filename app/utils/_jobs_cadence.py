"""When a schedule's slots begin: the same for every process that asks."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Cadence(Protocol):
    """Times are Unix time, seconds."""

    def slot_at(self, now: float) -> float:
        """Beginning of the slot that `now` lies in."""

    def next_after(self, now: float) -> float:
        """Beginning of the first slot that is later than `now`."""

    @property
    def begins_at_once(self) -> bool:
        """Whether the slot in which the schedule is met for the first time counts, though it has begun already."""


@dataclass(frozen=True, slots=True)
class Every:
    """Slots of equal length, counted from 1970."""

    interval_s: float

    def __post_init__(self) -> None:
        if not (self.interval_s > 0 and math.isfinite(self.interval_s)):
            raise ValueError("interval_seconds must be more than 0.")

    begins_at_once = True

    def slot_at(self, now: float) -> float:
        return now // self.interval_s * self.interval_s

    def next_after(self, now: float) -> float:
        return self.slot_at(now) + self.interval_s

    def __str__(self) -> str:
        for unit, seconds in ("d", 86_400), ("h", 3_600), ("min", 60):
            if self.interval_s % seconds == 0:
                return f"every {self.interval_s / seconds:g} {unit}"
        return f"every {self.interval_s:g} s"


@dataclass(frozen=True, slots=True)
class Cron:
    """Slots that begin when a cron expression says so, in UTC."""

    expression: str

    def __post_init__(self) -> None:
        """Raises ValueError, which says what is wrong."""
        try:
            _require_plain(self.expression)
            self.next_after(0.0)
        except ValueError as error:  # croniter's errors are such too
            raise ValueError(f"cron={self.expression!r}: {error}.") from None

    begins_at_once = False

    def slot_at(self, now: float) -> float:
        return self._step(math.floor(now) + 1, forwards=False)  # a slot that begins now has begun

    def next_after(self, now: float) -> float:
        return self._step(math.floor(now), forwards=True)

    def _step(self, second: int, *, forwards: bool) -> float:
        from croniter import croniter  # type: ignore[import-untyped]  # noqa: PLC0415 - 60 ms, only for who needs it

        times = croniter(self.expression, datetime.fromtimestamp(second, UTC), ret_type=float)
        return float(times.get_next() if forwards else times.get_prev())

    def __str__(self) -> str:
        return self.expression


def _require_plain(expression: str) -> None:
    """Refuse what croniter knows beyond other crons."""
    fields = expression.split()
    if len(fields) != 5 and not (len(fields) == 1 and expression.startswith("@")):
        raise ValueError("it needs five fields: minute, hour, day of month, month, day of week")
    if re.search(r"(?i)\br\b", expression):
        raise ValueError("R is another time in every process")


def cadence_of(interval_s: float | None, cron: str | None) -> Every | Cron:
    """Of exactly one of the two. Raises ValueError."""
    if interval_s is not None and cron is None:
        return Every(interval_s)
    if cron is not None and interval_s is None:
        return Cron(cron)
    raise ValueError("Give either interval_seconds or cron.")
