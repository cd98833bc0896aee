"""Opening times (`Hours`, OCPI 2.2.1 §8.4.14) in OpenStreetMap's `opening_hours` syntax."""

import re
from typing import Any

from app.sources.opening_hours import ALWAYS, weekly

_TIME = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d|24:00")


def opening_hours(hours: object, notes: list[str]) -> str | None:
    """`None` where nothing is said or it cannot be understood. Exceptions for single days are left out."""
    if not isinstance(hours, dict):
        return None
    if any(hours.get(name) for name in ("exceptional_openings", "exceptional_closings")):
        notes.append("exceptional opening times left out")
    if hours.get("twentyfourseven") is True:
        return ALWAYS
    periods = hours.get("regular_hours")
    if not isinstance(periods, list):
        return None
    spans = [_span(period) for period in periods]
    if None in spans:
        notes.append("regular_hours not understood, left out")
        return None
    return weekly(span for span in spans if span)[:2_000] or None


def _span(period: Any) -> tuple[int, str] | None:
    """The day, 0 for Monday, and `08:00-20:00`. An end of 00:00 or 23:59 stands for midnight."""
    if not isinstance(period, dict):
        return None
    weekday, begin, end = (str(period.get(name)).strip() for name in ("weekday", "period_begin", "period_end"))
    if weekday not in set("1234567") or not (_TIME.fullmatch(begin) and _TIME.fullmatch(end)):
        return None
    end = "24:00" if end in {"00:00", "0:00", "23:59"} else end
    return int(weekday) - 1, f"{begin:0>5}-{end:0>5}"
