"""Tables on the terminal, and in pipes."""

import shutil
import sys
from collections.abc import Iterable, Sequence

import typer
from rich.cells import cell_len, set_cell_size

_GAP = "  "
_LEAST_LAST_WIDTH = 20


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], spare: Sequence[str] = ()) -> None:
    """One line a row, cells never broken. On a terminal that is too narrow the `spare` columns are left out, the
    first of them first, then the last column is cut; a pipe gets everything."""
    columns = {heading: cells for heading, *cells in zip(headings, *map(_printable, rows), strict=True)}
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if width is not None:
        for heading in spare:
            if _width(columns) > width:
                del columns[heading]
        _cut_last(columns, width)
    sizes = _sizes(columns)
    for line in zip(*([heading, *cells] for heading, cells in columns.items()), strict=True):
        padded = (set_cell_size(cell, size) for cell, size in zip(line, sizes, strict=True))
        typer.echo(_GAP.join(padded).rstrip())


def _printable(row: Sequence[str]) -> list[str]:
    """Names and errors come from outside, and are not to steer the terminal."""
    return ["".join(letter if letter.isprintable() else " " for letter in cell) for cell in row]


def _sizes(columns: dict[str, list[str]]) -> list[int]:
    return [max(map(cell_len, (heading, *cells))) for heading, cells in columns.items()]


def _width(columns: dict[str, list[str]]) -> int:
    """That cannot do with less: the last column may be cut."""
    *sizes, last = _sizes(columns)
    return sum(size + len(_GAP) for size in sizes) + min(last, _LEAST_LAST_WIDTH)


def _cut_last(columns: dict[str, list[str]], width: int) -> None:
    *_, last = columns
    room = max(width - sum(size + len(_GAP) for size in _sizes(columns)[:-1]), _LEAST_LAST_WIDTH)
    columns[last] = [
        cell if cell_len(cell) <= room else set_cell_size(cell, room - 1).rstrip() + "…" for cell in columns[last]
    ]
