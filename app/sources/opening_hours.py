"""Weekly opening hours in OpenStreetMap's `opening_hours` syntax."""

from collections.abc import Iterable
from itertools import groupby

ALWAYS = "24/7"
_WEEK = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


def weekly(hours: Iterable[tuple[int, str]]) -> str:
    """Join the spans (`06:00-22:00`) of each day (0 for Monday), then neighbouring days of the same hours.

    `Mo-Fr 06:00-22:00; Sa 08:00-12:00`, or `24/7`; empty where no day has a span."""
    hours = list(hours)
    week = [",".join(dict.fromkeys(span for day, span in hours if day == number)) for number in range(7)]
    if week == ["00:00-24:00"] * 7:
        return ALWAYS
    rules = []
    for spans, numbers in groupby(range(7), key=week.__getitem__):
        first, *others = [_WEEK[number] for number in numbers]
        if spans:
            rules.append(f"{first}-{others[-1]} {spans}" if others else f"{first} {spans}")
    return "; ".join(rules)
