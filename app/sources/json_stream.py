"""The records of a JSON file, one at a time, in memory that does not grow with the file.

The standard library's decoder reads whole values at C speed but wants them whole in one string; here it is given a
window that slides over the file.
"""

import codecs
import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, BinaryIO

from app.errors import SourceFormatError
from app.sources.first_bytes import what_it_is
from app.sources.records import Position, Rejection

_CHUNK_BYTES = 1 << 18
MAX_VALUE_CHARACTERS = 1 << 24
MAX_NESTING = 100
"""Objects and lists within each other. The interpreter's own limit, near 1,000, is too close to the end of its stack:
a value that can just be read cannot be shown."""
_BLANKS = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile(r"\\u[dD]")
_OPENING = ("{", "[")


def read_json_records(
    file: BinaryIO, *, list_keys: Collection[str] = (), on_member: Callable[[str, Any], None] | None = None
) -> Iterator[tuple[Position, dict[str, Any]] | Rejection]:
    """Yield the objects of a JSON array, of JSON Lines, or of the array under one of `list_keys` in an object.

    An element that is no object is rejected. Numbers may be NaN or infinite, as Python writes them. Half a surrogate
    pair, which no database stores, becomes a question mark. `on_member` is told the members of the first object
    beside its list, and may raise.

    Raises SourceFormatError where the text stops being JSON, and where it goes on after its end: what came before has
    been yielded by then.
    """
    window = _Window(file)
    for record, value in enumerate(_elements(window, list_keys, on_member), start=1):
        yield (Position(record), value) if isinstance(value, dict) else not_an_object(Position(record), value)


def not_an_object(position: Position, value: Any) -> Rejection:
    return Rejection(
        position,
        field="record",
        value=json.dumps(value)[:200],
        reason="not_an_object",
        why="Each record must be a JSON object.",
        fix="Give one JSON object for each station.",
    )


def walk_json(file: BinaryIO, list_keys: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield each element of each list that stands under one of `list_keys`, at whatever depth, with that key.

    What stands there alone, without a list, comes as if it were in one. Outside of those lists every member that is
    neither object nor list is yielded with its own key, in the order of the text. Raises as `read_json_records`."""
    window = _Window(file)
    if window.peek() not in _OPENING:
        raise SourceFormatError(f"The input is not JSON. {what_it_is(window.file)}")
    yield from _walk(window, list_keys, MAX_NESTING)
    if window.peek():
        raise window.broken("more text follows the end of the document")


def _walk(window: "_Window", list_keys: Collection[str], levels: int) -> Iterator[tuple[str, Any]]:
    if levels == 0:
        raise window.broken("the value is nested too deeply")
    for key in _members(window) if window.peek() == "{" else _items(window):
        start = window.peek()
        if key in list_keys and start == "[":
            yield from ((key, element) for element in _array(window))
        elif key not in list_keys and start in _OPENING:
            yield from _walk(window, list_keys, levels - 1)
        else:
            yield key, window.value()


def _elements(
    window: "_Window", list_keys: Collection[str], on_member: Callable[[str, Any], None] | None
) -> Iterator[Any]:
    start = window.peek()
    if start == "[":
        yield from _array(window)
    elif start == "{":
        yield from _listed_or_lines(window, list_keys, on_member)
    else:
        raise SourceFormatError(f"The input is not JSON. {what_it_is(window.file)}")
    if window.peek():
        raise window.broken("more text follows the end of the list")


def _listed_or_lines(
    window: "_Window", list_keys: Collection[str], on_member: Callable[[str, Any], None] | None
) -> Iterator[Any]:
    """Yield the elements of the object's list; if it has none, the object itself and all that follow it."""
    envelope: dict[str, Any] = {}
    has_list = False
    for key in _members(window):
        if key in list_keys and window.peek() == "[":
            has_list = True
            yield from _array(window)
        else:
            envelope[key] = window.value()
            if on_member:
                on_member(key, envelope[key])
    if not has_list:
        yield envelope
        while window.peek():
            yield window.value()


def _array(window: "_Window") -> Iterator[Any]:
    return (window.value() for _ in _items(window))


def _items(window: "_Window") -> Iterator[str]:
    """Yield an empty name for each element of a list; the caller reads each from the window before it asks on."""
    window.expect("[")
    if window.peek() == "]":
        window.expect("]")
        return
    while True:
        yield ""
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
        self.file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._json = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._passed = 0  # characters before self._text
        self._ended = False

    def peek(self) -> str:
        """The next character that is not white space; the empty string at the end."""
        while True:
            if blanks := _BLANKS.match(self._text, self._at):
                self._at = blanks.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow():
                return ""

    def expect(self, allowed: str) -> str:
        """Step over the next character, which must be one of `allowed`."""
        found = self.peek()
        if not found or found not in allowed:
            raise self.broken(f"expected one of {' '.join(allowed)}")
        self._at += 1
        return found

    def value(self) -> Any:
        """Read one JSON value."""
        if not self.peek():
            raise self.broken("a value is missing")
        try:
            value, end = self._decoded()
            self._check_nesting(value, end)
            if _SURROGATE.search(self._text, self._at, end):
                value = _storable(value)
        except RecursionError:
            raise self.broken("the value is nested too deeply") from None
        self._at = end
        return value

    def _decoded(self) -> tuple[Any, int]:
        """Return the value that begins here, and where it ends."""
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._grow():
                    raise self.broken(error.msg, error.pos) from error
            except ValueError:
                raise self.broken("an integer has too many digits") from None
            else:
                # What ends in the last two characters may be a number that goes on: the 1.5 of 1.5e+7.
                if end + 2 < len(self._text) or not self._grow():
                    return value, end

    def _check_nesting(self, value: Any, end: int) -> None:
        """Raises RecursionError, as the decoder does."""
        brackets = self._text.count("[", self._at, end) + self._text.count("{", self._at, end)
        if brackets > MAX_NESTING and _is_nested_deeper(value, MAX_NESTING):
            raise RecursionError

    def _grow(self) -> bool:
        """Read on; double the window while one value does not fit, so that a long one costs no quadratic time."""
        if self._ended:
            return False
        if len(self._text) - self._at > MAX_VALUE_CHARACTERS:
            raise self.broken(f"a value does not end within {MAX_VALUE_CHARACTERS:,} characters")
        raw = self.file.read(max(_CHUNK_BYTES, len(self._text) - self._at))
        self._ended = not raw
        self._passed += self._at
        self._text = self._text[self._at :] + self._decoder.decode(raw, final=self._ended)
        self._at = 0
        return True

    def broken(self, what: str, at: int | None = None) -> SourceFormatError:
        """The error of what is wrong `at` a place in the window, or at its next character."""
        at = self._at if at is None else at
        is_cut_off = at >= len(self._text.rstrip()) or what.startswith("Unterminated string")
        cut_off = " The file seems to be cut off." if is_cut_off else ""
        return SourceFormatError(f"Not JSON at character {self._passed + at}: {what}.{cut_off}")


def _is_nested_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_nested_deeper(each, levels - 1) for each in inner)


def _storable(value: Any) -> Any:
    """Replace each half of a surrogate pair."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
