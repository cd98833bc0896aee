"""Delimited text as registries publish it: mixed encodings, title lines above the header, broken quotation marks."""

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from app.errors import SourceFormatError
from app.sources.first_bytes import what_it_is
from app.sources.records import Position, Rejection

MAX_LINE_BYTES = 1 << 17
"""Also the length of the longest cell that the csv module reads."""
MAX_ROW_LINES = 50
"""A quoted cell that does not end within so many lines was never meant to begin."""
MAX_PREAMBLE_LINES = 100

_TOO_LONG = f'(a line of over "{MAX_LINE_BYTES}" bytes)'
"""Stands for such a line; being one cell it fits no header, and its quotation marks fit into no quoted cell."""

Cells = list[str]
Row = dict[str, str]


def read_table(
    file: BinaryIO, *, delimiters: str, is_header: Callable[[Sequence[str]], bool]
) -> Iterator[tuple[Position, Row] | Rejection]:
    """Yield every row below the header as a dictionary of column name to cell, both stripped of white space.

    Lines above the one that `is_header` accepts are passed over; the delimiter is the one that makes it a header.
    A name that occurs again in the header is given a suffix: `Name`, `Name#2`. Empty rows are no records. A row
    whose cells do not fit the header is rejected, and reading goes on with the line after its first.

    Raises SourceFormatError when none of the first 100 lines is a header.
    """
    lines = _decoded_lines(file)
    found = _find_header(lines, delimiters, is_header)
    if not found:
        raise SourceFormatError(
            f"None of the first {MAX_PREAMBLE_LINES} lines is the header row of this format. {what_it_is(file)}"
        )
    header, delimiter, header_line = found
    record = 0
    for number, line, cells in _split_rows(lines, delimiter, len(header), first_line=header_line + 1):
        if cells is not None and not any(cells):
            continue
        record += 1
        position = Position(record, number)
        if cells is not None and len(cells) == len(header):
            yield position, dict(zip(header, cells, strict=True))
        else:
            yield _misfit(position, line, cells, len(header))


def _misfit(position: Position, line: str, cells: Cells | None, width: int) -> Rejection:
    """Say why a row is refused, by its first line."""
    if cells is None:
        reason, why = "quotation_mark", "A quotation mark opens a cell that does not end."
    else:
        reason, why = "column_count", f"The row has {len(cells)} cells where the header has {width}."
    fix = "Quote every cell that contains the delimiter, a quotation mark or a line break."
    return Rejection(position, "row", line.strip()[:200], reason, why, fix)


def _decoded_lines(file: BinaryIO) -> Iterator[str]:
    """UTF-8 with or without a byte order mark, and where a line is not UTF-8, Windows-1252.

    Decided line by line, because such files are put together from parts of different origin."""
    while raw := file.readline(MAX_LINE_BYTES):
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            _pass_over_line(file)
            yield _TOO_LONG
            continue
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError:
            yield raw.decode("cp1252", errors="replace")


def _pass_over_line(file: BinaryIO) -> None:
    while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
        pass


def _find_header(
    lines: Iterator[str], delimiters: str, is_header: Callable[[Sequence[str]], bool]
) -> tuple[Cells, str, int] | None:
    """Return the header's names, the delimiter, and the header's line number."""
    for number, line in enumerate(islice(lines, MAX_PREAMBLE_LINES), start=1):
        if "\r" in line.rstrip():  # a whole table whose lines end with it alone
            continue
        for delimiter in delimiters:
            names = [name.strip() for name in _split(line.removeprefix("\ufeff"), delimiter) or []]
            if is_header(names):
                return _distinct(names), delimiter, number
    return None


def _distinct(names: Cells) -> Cells:
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result


def _split_rows(
    lines: Iterator[str], delimiter: str, width: int, first_line: int
) -> Iterator[tuple[int, str, Cells | None]]:
    """Yield line number, first line and cells of each row; a row may span lines inside quotation marks.

    A lone quotation mark would swallow all that follows. So where a row is not well formed, or spans lines and is of
    another width than the header, its first line is taken alone, and the others are read again. The cells are `None`
    where a quotation mark opens one that does not end."""
    row = _RowLines(lines)
    reader = csv.reader(row, delimiter=delimiter, strict=True)
    number = first_line
    while True:
        row.lines.clear()
        try:
            cells: Cells | None = _fitted(next(reader), width)
        except StopIteration:
            return
        except csv.Error:
            cells = None
        if cells is None or (len(cells) != width and len(row.lines) > 1):
            row.keep_first()
            alone = _split(row.lines[0], delimiter)
            cells = None if alone is None else _fitted(alone, width)
        yield number, row.lines[0], cells
        number += len(row.lines)


class _RowLines(Iterator[str]):
    """The lines of one row at a time, which can be given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines: list[str] = []
        """Read so far for this row."""
        self._all = lines
        self._again: deque[str] = deque()

    def __next__(self) -> str:
        if len(self.lines) == MAX_ROW_LINES:
            raise StopIteration
        line = self._again.popleft() if self._again else next(self._all)
        self.lines.append(line)
        return line

    def keep_first(self) -> None:
        """Have the row's other lines read again."""
        self._again.extendleft(reversed(self.lines[1:]))
        del self.lines[1:]


def _split(line: str, delimiter: str) -> Cells | None:
    """Split one line, forgiving marks inside a quoted cell; `None` where a quotation mark opens a cell that does not
    end. A carriage return inside the line is white space."""
    reader = csv.reader([line.replace("\r", " "), ""], delimiter=delimiter)
    cells = next(reader)
    return cells if reader.line_num == 1 else None


def _fitted(cells: Cells, width: int) -> Cells:
    """Strip the cells, and drop empty ones beyond the header's last column, which spreadsheets like to add."""
    stripped = list(map(str.strip, cells))
    return stripped if any(stripped[width:]) else stripped[:width]
