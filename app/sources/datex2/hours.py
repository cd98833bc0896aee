"""Operating hours (`OperatingHours`) in OpenStreetMap's `opening_hours` syntax."""

import re
from collections.abc import Iterator

from app.sources.datex2.codes import DAYS
from app.sources.datex2.fields import Fields, listed, members, of_class, word
from app.sources.opening_hours import ALWAYS, weekly

_TIME = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d|24:00)(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?")


def opening_hours(hours: object, notes: list[str]) -> str | None:
    """`None` where nothing is said, or nothing that a week could express."""
    if of_class(hours, "OpenAllHours") is not None:
        return ALWAYS
    specification = of_class(hours, "OperatingHoursSpecification")
    if specification is None:
        return None
    overall = members(specification.get("overallPeriod"))
    if listed(overall.get("exceptionPeriod")):
        notes.append("exceptional operating hours left out")
    try:
        spans = [span for period in listed(overall.get("validPeriod")) for span in _spans(period)]
    except ValueError:
        notes.append("operating hours not understood, left out")
        return None
    return weekly(spans)[:2_000] or None


def _spans(period: Fields) -> Iterator[tuple[int, str]]:
    """Each day of the period with each of its times. Raises ValueError for a period that is not weekly."""
    if period.get("startOfPeriod") or period.get("endOfPeriod") or listed(period.get("recurringSpecialDay")):
        raise ValueError
    times = [_time_span(each) for each in listed(period.get("recurringTimePeriodOfDay"))] or ["00:00-24:00"]
    weeks = listed(period.get("recurringDayWeekMonthPeriod"))
    for day in [day for week in weeks for day in _days(week)] if weeks else range(7):
        yield from ((day, span) for span in times)


def _days(week: Fields) -> list[int]:
    fields = of_class(week, "DayWeekMonth")
    if fields is None or fields.get("applicableMonth"):
        raise ValueError
    days = fields.get("applicableDay")
    return [DAYS.index(word(day) or "") for day in days] if isinstance(days, list) and days else list(range(7))


def _time_span(fields: Fields) -> str:
    """Local time: the zone that a time must have by the schema is that of the day on which it was written."""
    times = [_TIME.fullmatch(str(fields.get(name))) for name in ("startTimeOfPeriod", "endTimeOfPeriod")]
    begin, end = [time.group(1) if time else "" for time in times]
    if not begin or not end:
        raise ValueError
    return f"{begin}-{'24:00' if end in {'00:00', '23:59'} else end}"
