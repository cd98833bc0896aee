"""What a search gives."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of a search."""

    body: bytes
    """A JSON array, in order."""
    total: int | None
    """How many stations match in all; `None` for nearest anywhere, which does not look at all of them."""
    more: bool
    """Whether there is a next page."""
    version: bytes
    """To the same query, equal versions mean equal answers, in whatever process."""

    @classmethod
    def of(cls, body: bytes, versions: bytes, total: int | None, more: bool) -> Self:
        """For a page of stations with these versions, one after the other."""
        return cls(body, total, more, versions + repr((total, more)).encode())
