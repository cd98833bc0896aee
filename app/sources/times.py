"""Reading the times that live data bring."""

from datetime import UTC, datetime

from app.sources.records import BadField

YEARS = range(2000, 2101)
"""In which anything can have been seen; other times stand for none."""


def instant(field: str, value: object, notes: list[str]) -> datetime | None:
    """A moment in ISO 8601, with its zone; one without a zone is read as UTC. `None` for an empty value.

    Raises BadField for what is no time, and for one of another century, which stands for none."""
    if value is None or value == "":
        return None
    try:
        at = datetime.fromisoformat(value.strip() if isinstance(value, str) else "")
    except ValueError:
        fix = "Write it as 2026-08-18T07:49:15Z."
        raise BadField(field, value, "time_unreadable", "This is no time.", fix) from None
    if at.year not in YEARS:
        raise BadField(field, value, "time_unlikely", "This is no time of our century.")
    if at.tzinfo is None:
        notes.append(f"{field} without a zone, read as UTC")
        return at.replace(tzinfo=UTC)
    return at
