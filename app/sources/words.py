"""Words of a standard's closed lists, as feeds write them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

Meaning = TypeVar("Meaning")


def _folded(word: str) -> str:
    return "".join(character for character in word.upper() if character.isalnum())


@dataclass(frozen=True)
class Words(Generic[Meaning]):
    """A list of words and what each means here."""

    name: str
    """Of the source's field, for notes."""
    meanings: Mapping[str, Meaning]
    nicknames: Mapping[str, str] = field(default_factory=dict)
    """Words that are none of the standard, and those that they stand for."""

    @cached_property
    def _by_folded(self) -> dict[str, str]:
        by_nickname = {_folded(nickname): word for nickname, word in self.nicknames.items()}
        return by_nickname | {_folded(word): word for word in self.meanings}

    def read(self, written: object, notes: list[str]) -> Meaning | None:
        """What a word means, without regard to case, blanks and punctuation, which are noted.

        `None` for none, and with a note for an unknown one."""
        if written is None or written == "":
            return None
        if isinstance(written, str) and written in self.meanings:
            return self.meanings[written]
        shown = f"{self.name} {str(written)[:60]!r}"
        word = self._by_folded.get(_folded(str(written)))
        notes.append(f"{shown} read as {word}" if word else f"{shown} unknown")
        return self.meanings[word] if word else None
