"""The register's three columns of opening hours as one text in OpenStreetMap's `opening_hours` syntax."""

import re
from functools import lru_cache
from itertools import groupby

_DAYS = {
    "montag": "Mo", "dienstag": "Tu", "mittwoch": "We", "donnerstag": "Th", "freitag": "Fr", "samstag": "Sa",
    "sonntag": "Su",
}  # fmt: skip
_WEEK = list(_DAYS.values())
_SPAN = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d")
_UNSTATED = {"", "keine angabe"}


@lru_cache(maxsize=4096)
def opening_hours(stated: str, weekdays: str, times: str) -> tuple[str | None, bool]:
    """Return the hours, `None` if not stated, and whether they could be understood.

    `stated` is `247`, `Eingeschränkt` or `Keine Angabe`; the others are lists of equal length such as
    `Montag; Dienstag` and `06:00-22:00; 06:00-23:59`, where 23:59 stands for midnight. What cannot be understood is
    returned as it was written."""
    if stated in {"247", "24/7"}:
        return "24/7", True
    days, spans = _listed(weekdays), _listed(times)
    if not days and not spans:
        return (None if stated.lower() in _UNSTATED else stated), True
    if days and len(spans) == 1:
        spans *= len(days)
    if len(days) != len(spans) or not set(days) <= _DAYS.keys() or not all(map(_SPAN.fullmatch, spans)):
        return f"{weekdays} {times}".strip(), False
    return _by_day(
        [(_DAYS[day], span.replace("23:59", "24:00")) for day, span in zip(days, spans, strict=True)]
    ), True


def _listed(cell: str) -> list[str]:
    return [item.strip().lower() for item in cell.split(";") if item.strip()]


def _by_day(hours: list[tuple[str, str]]) -> str:
    """Join the spans of each day, then neighbouring days of the same hours: `Mo-Fr 06:00-22:00; Sa 08:00-12:00`."""
    week = [",".join(dict.fromkeys(span for named, span in hours if named == day)) for day in _WEEK]
    if week == ["00:00-24:00"] * 7:
        return "24/7"
    rules = []
    for spans, numbers in groupby(range(7), key=week.__getitem__):
        first, *others = [_WEEK[number] for number in numbers]
        if spans:
            rules.append(f"{first}-{others[-1]} {spans}" if others else f"{first} {spans}")
    return "; ".join(rules)
