"""What a search may cost, so that one does not hold up all others: the slowest takes some tens of milliseconds."""

from app.errors import TooDearError

MAX_SKIP = 100_000
"""Stations that may be passed over, of those that there are."""
MAX_TEXTS = 250_000
"""Stations whose text may be looked through, after all other filters."""

MAX_COUNTED = 10_000
"""Stations within a radius that are counted, as in Elasticsearch; of more, only the nearest are looked at."""


def too_many_texts() -> TooDearError:
    return TooDearError(
        "q",
        f"Searching the text of more than {MAX_TEXTS:,} stations takes too long. Narrow the search by radius_km, "
        "bbox or another filter.",
    )


def too_deep() -> TooDearError:
    return TooDearError(
        "skip",
        f"At most {MAX_SKIP:,} stations can be passed over. Narrow the search by bbox or another filter, or take the "
        "whole as an export.",
    )
