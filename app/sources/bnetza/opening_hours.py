"""The register's three columns of opening hours as one text in OpenStreetMap's `opening_hours` syntax."""

import re
from functools import lru_cache

from app.sources.opening_hours import ALWAYS, weekly

_DAYS = ("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag")
_SPAN = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d")
_UNSTATED = {"", "keine angabe"}


@lru_cache(maxsize=4096)
def opening_hours(stated: str, weekdays: str, times: str) -> tuple[str | None, bool]:
    """Return the hours, `None` if not stated, and whether they could be understood.

    `stated` is `247`, `Eingeschränkt` or `Keine Angabe`; the others are lists of equal length such as
    `Montag; Dienstag` and `06:00-22:00; 06:00-23:59`, where 23:59 stands for midnight. What cannot be understood is
    returned as it was written."""
    if stated in {"247", "24/7"}:
        return ALWAYS, True
    days, spans = _listed(weekdays), _listed(times)
    if not days and not spans:
        return (None if stated.lower() in _UNSTATED else stated), True
    if days and len(spans) == 1:
        spans *= len(days)
    if len(days) != len(spans) or not set(days) <= set(_DAYS) or not all(map(_SPAN.fullmatch, spans)):
        return f"{weekdays} {times}".strip(), False
    named = zip(days, spans, strict=True)
    return weekly((_DAYS.index(day), span.replace("23:59", "24:00")) for day, span in named), True


def _listed(cell: str) -> list[str]:
    return [item.strip().lower() for item in cell.split(";") if item.strip()]
