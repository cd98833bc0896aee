"""Delimited text as registries publish it: mixed encodings, title lines above the header, broken quotation marks."""

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from app.errors import SourceFormatError
from app.sources.records import Position, Rejection

MAX_LINE_BYTES = 1 << 20
MAX_ROW_LINES = 50
"""A quoted cell that does not end within so many lines was never meant to begin."""
MAX_PREAMBLE_LINES = 100

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
    header, delimiter, header_line = _find_header(lines, delimiters, is_header)
    record = 0
    for line, cells in _split_rows(lines, delimiter, len(header), first_line=header_line + 1):
        if not any(cells):
            continue
        record += 1
        position = Position(record, line)
        if len(cells) != len(header):
            yield Rejection(
                position,
                field="row",
                value=delimiter.join(cells)[:200],
                reason="column_count",
                why=f"The row has {len(cells)} cells where the header has {len(header)}.",
                fix="Quote every cell that contains the delimiter, a quotation mark or a line break.",
            )
        else:
            yield position, dict(zip(header, map(str.strip, cells), strict=True))


def _decoded_lines(file: BinaryIO) -> Iterator[str]:
    """UTF-8 with or without a byte order mark, and where a line is not UTF-8, Windows-1252.

    Decided line by line, because such files are put together from parts of different origin."""
    while raw := file.readline(MAX_LINE_BYTES):
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError:
            yield raw.decode("cp1252", errors="replace")


def _find_header(
    lines: Iterator[str], delimiters: str, is_header: Callable[[Sequence[str]], bool]
) -> tuple[Cells, str, int]:
    """Return the header's names, the delimiter, and the header's line number."""
    for number, line in enumerate(islice(lines, MAX_PREAMBLE_LINES), start=1):
        for delimiter in delimiters:
            names = [name.strip() for name in _split(line.removeprefix("\ufeff"), delimiter)]
            if is_header(names):
                return _distinct(names), delimiter, number
    raise SourceFormatError(
        f"None of the first {MAX_PREAMBLE_LINES} lines is the header row of this format. Is it another source's file?"
    )


def _distinct(names: Cells) -> Cells:
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result


def _split(row: str, delimiter: str) -> Cells:
    try:
        return next(csv.reader([row], delimiter=delimiter), [])
    except csv.Error:  # a bare carriage return, or a cell of over 128 KiB: no row, whatever its width
        return [row]


def _split_rows(lines: Iterator[str], delimiter: str, width: int, first_line: int) -> Iterator[tuple[int, Cells]]:
    """Yield (line number, cells) of each row, which may span lines inside quotation marks.

    A lone quotation mark would swallow all that follows. So where the quoted text does not end within 50 lines, or
    ends in a row of another width, the first line is taken alone, and the others are read again."""
    waiting: deque[str] = deque()
    number = first_line
    while True:
        line = waiting.popleft() if waiting else next(lines, None)
        if line is None:
            return
        taken = 1
        if line.count('"') % 2:
            waiting.extend(islice(lines, MAX_ROW_LINES - len(waiting)))
            joined = line
            for ahead, following in enumerate(waiting, start=1):
                joined += following
                if following.count('"') % 2:
                    if len(_without_excess(_split(joined, delimiter), width)) == width:
                        line, taken = joined, 1 + ahead
                    break
        cells = _split(line, delimiter)
        for _ in range(taken - 1):
            waiting.popleft()
        yield number, _without_excess(cells, width)
        number += taken


def _without_excess(cells: Cells, width: int) -> Cells:
    """Drop empty cells beyond the header's last column, which spreadsheets like to add."""
    return cells if any(cells[width:]) else cells[:width]
