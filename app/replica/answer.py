"""What a search gives."""

from collections.abc import Iterable
from typing import NamedTuple

from app.replica.states import mixed_in_turn


class Answer(NamedTuple):
    """One page of a search."""

    body: bytes
    """A JSON array, in order."""
    total: int | None
    """How many stations match in all; `None` where not all were looked at: for nearest anywhere, and where very many
    are within the radius."""
    more: bool
    """Whether there is a next page."""
    version: int
    """64 bits. To the same query, equal versions mean equal answers, in whatever process."""


def page_version(versions: Iterable[int], total: int | None, more: bool) -> int:
    """Of a page of stations that have these versions."""
    return mixed_in_turn((2 * (0 if total is None else total + 1) + more, *versions))
