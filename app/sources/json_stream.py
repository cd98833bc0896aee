"""The records of a JSON file, one at a time, in memory that does not grow with the file.

The standard library's decoder reads whole values at C speed but wants them whole in one string; here it is given a
window that slides over the file.
"""

import codecs
import json
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from app.errors import SourceFormatError
from app.sources.records import Position, Rejection

_CHUNK_BYTES = 1 << 18
MAX_VALUE_CHARACTERS = 1 << 26
_BLANK = " \t\r\n"


def read_json_records(
    file: BinaryIO, *, list_keys: Collection[str] = ()
) -> Iterator[tuple[Position, dict[str, Any]] | Rejection]:
    """Yield the objects of a JSON array, of JSON Lines, or of the array under one of `list_keys` in an object.

    An element that is no object is rejected. Raises SourceFormatError where the text stops being JSON: what came
    before has been yielded by then.
    """
    window = _Window(file)
    for record, value in enumerate(_elements(window, list_keys), start=1):
        if isinstance(value, dict):
            yield Position(record), value
        else:
            yield Rejection(
                Position(record),
                field="record",
                value=json.dumps(value)[:200],
                reason="not_an_object",
                why="Each record must be a JSON object.",
                fix="Give one JSON object for each station.",
            )


def _elements(window: "_Window", list_keys: Collection[str]) -> Iterator[Any]:
    start = window.peek()
    if start == "[":
        yield from _array(window)
    elif start == "{":
        envelope: dict[str, Any] = {}
        for key in _members(window):
            if key in list_keys and window.peek() == "[":
                yield from _array(window)
                return
            envelope[key] = window.value()
        yield envelope
        while window.peek():
            yield window.value()
    else:
        raise SourceFormatError(
            f"Expected JSON, but the input begins with {start!r}." if start else "The input is empty."
        )


def _array(window: "_Window") -> Iterator[Any]:
    window.expect("[")
    if window.peek() == "]":
        return
    while True:
        yield window.value()
        if window.expect(",]") == "]":
            return


def _members(window: "_Window") -> Iterator[str]:
    """Yield the keys of an object; the caller reads each value from the window before it asks for the next key."""
    window.expect("{")
    if window.peek() == "}":
        window.expect("}")
        return
    while True:
        key = window.value()
        window.expect(":")
        yield str(key)
        if window.expect(",}") == "}":
            return


class _Window:
    """A piece of the text that slides forward, and grows only to hold one value."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._json = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._passed = 0  # characters before self._text
        self._ended = False

    def peek(self) -> str:
        """The next character that is not white space; the empty string at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow():
                return ""

    def expect(self, allowed: str) -> str:
        """Step over the next character, which must be one of `allowed`."""
        found = self.peek()
        if not found or found not in allowed:
            raise self._broken(f"expected one of {' '.join(allowed)}", self._at)
        self._at += 1
        return found

    def value(self) -> Any:
        """Read one JSON value."""
        if not self.peek():
            raise self._broken("a value is missing", self._at)
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > MAX_VALUE_CHARACTERS or not self._grow():
                    raise self._broken(error.msg, error.pos) from error
            else:
                if end < len(self._text) or not self._grow():
                    self._at = end
                    return value

    def _grow(self) -> bool:
        """Read on; double the window while one value does not fit, so that a long one costs no quadratic time."""
        if self._ended:
            return False
        raw = self._file.read(max(_CHUNK_BYTES, len(self._text) - self._at))
        self._ended = not raw
        self._passed += self._at
        self._text = self._text[self._at :] + self._decoder.decode(raw, final=self._ended)
        self._at = 0
        return True

    def _broken(self, what: str, at: int) -> SourceFormatError:
        cut_off = " The file seems to be cut off." if at >= len(self._text.rstrip()) else ""
        return SourceFormatError(f"Not JSON at character {self._passed + at}: {what}.{cut_off}")
