"""Reading delimited text: whatever is broken in one row, the others are read."""

import csv
import gzip
import io
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SourceFormatError
from app.sources.records import Position, Rejection
from app.sources.tabular import MAX_LINE_BYTES, MAX_ROW_LINES, read_table
from tests.unit.sources.repeated import repeated

HEADER = ["id", "name", "kind"]
GOOD = [["1", "one", "x"], ["2", "two", "y"]]
Item = tuple[Position, dict[str, str]] | Rejection


def is_header(names: Sequence[str]) -> bool:
    return names[:2] == HEADER[:2]


def read(content: bytes | str, delimiters: str = ";,") -> list[Item]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_table(io.BytesIO(raw), delimiters=delimiters, is_header=is_header))


def rows(items: list[Item]) -> list[list[str]]:
    return [list(item[1].values()) for item in items if not isinstance(item, Rejection)]


def rejected(items: list[Item]) -> list[tuple[int | None, str]]:
    return [(item.position.line, item.reason) for item in items if isinstance(item, Rejection)]


def table(*lines: str) -> str:
    """Two good rows with the given lines between them."""
    return "\n".join(["id;name;kind", "1;one;x", *lines, "2;two;y", ""])


# Well-formed tables


@given(
    data=st.data(),
    delimiter=st.sampled_from(";,\t|"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    preamble=st.lists(st.sampled_from(["", "A title", 'said "so"', "a;b,c"]), max_size=3),
)
def test_whatever_the_csv_module_writes_is_read_back(
    data: st.DataObject, delimiter: str, line_end: str, bom: bool, preamble: list[str]
) -> None:
    cell = st.text(st.sampled_from('ab é\n\r\t";,|\0 ') | st.characters(codec="utf-8"), max_size=12)
    row = st.lists(cell, min_size=3, max_size=3).filter(lambda cells: any(map(str.strip, cells)))
    written = data.draw(st.lists(row, max_size=8))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([HEADER, *written])
    content = "\ufeff" * bom + "".join(line + line_end for line in preamble) + text.getvalue()
    items = read(content, delimiter)
    assert rows(items) == [[cell.strip() for cell in cells] for cells in written]
    assert rejected(items) == []


@given(st.lists(st.lists(st.text(st.sampled_from('ab;"\n '), max_size=9), min_size=3, max_size=3), max_size=8))
def test_cells_quoted_only_where_they_must_be_are_read_back(written: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows([HEADER, *written])
    expected = [[cell.strip() for cell in cells] for cells in written]
    assert rows(read(text.getvalue())) == [cells for cells in expected if any(cells)]


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [
        ("bnetza/berlin-2025.csv", ";"),
        ("irve/static-2026.csv.gz", ","),
        ("afdc/new-york-2025-04.csv", ","),
        ("afdc/washington-2025-11.csv", ","),
    ],
)
def test_real_tables_read_as_the_csv_module_reads_them(real_data: Path, name: str, delimiter: str) -> None:
    raw = (real_data / name).read_bytes()
    raw = gzip.decompress(raw) if name.endswith("gz") else raw
    header, *expected = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), delimiter=delimiter)
    items = read_table(io.BytesIO(raw), delimiters=delimiter, is_header=lambda names: list(names) == header)
    assert rows(list(items)) == [[cell.strip() for cell in cells] for cells in expected]


def test_positions_count_records_and_the_lines_on_which_they_begin() -> None:
    items = read('title\n\nid;name;kind\n1;"two\n\nlines";x\n\n;;\n2;b;y')
    assert items == [
        (Position(1, 4), {"id": "1", "name": "two\n\nlines", "kind": "x"}),
        (Position(2, 9), {"id": "2", "name": "b", "kind": "y"}),
    ]


def test_the_delimiter_is_the_one_that_makes_the_header() -> None:
    assert rows(read("id,name,kind\n1,one;two,x\n")) == [["1", "one;two", "x"]]
    assert rows(read("id;name;kind\n1;one,two;x\n")) == [["1", "one,two", "x"]]


def test_a_name_that_occurs_again_is_numbered() -> None:
    items = read("id;name;plug;plug;plug\n1;one;a;b;c\n")
    assert items == [(Position(1, 2), {"id": "1", "name": "one", "plug": "a", "plug#2": "b", "plug#3": "c"})]


def test_a_header_alone_is_a_table_without_rows() -> None:
    assert read("id;name;kind") == read("\ufeffid;name;kind\r\n\r\n;;\r\n") == []


def test_each_line_is_decoded_for_itself() -> None:
    content = (
        "id;name;kind\n1;Straße;x\n".encode() + "2;Straße;€\n".encode("cp1252") + "3;Weg\x81;y\n".encode("latin-1")
    )
    assert rows(read(content)) == [["1", "Straße", "x"], ["2", "Straße", "€"], ["3", "Weg\ufffd", "y"]]


def test_empty_cells_beyond_the_header_are_dropped() -> None:
    assert rows(read("id;name;kind\n1;one;x;;; \n2;two;y\n")) == GOOD


def test_nul_bytes_are_cells_content() -> None:
    assert rows(read(b"id;name;kind\n1;a\0b;\0\n")) == [["1", "a\0b", "\0"]]


def test_a_lone_carriage_return_does_not_end_a_row() -> None:
    assert rows(read(b'id;name;kind\n1;a\rb;x\r\r\n2;"a\rb";"x"\r\n')) == [["1", "a b", "x"], ["2", "a\rb", "x"]]


# Broken tables


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("3;three", "column_count"),
        ("3;three;z;more", "column_count"),
        ("3", "column_count"),
        ('3;"three;z', "quotation_mark"),
        ('3;three;"z', "quotation_mark"),
        ('"3;three;z', "quotation_mark"),
        ('"', "quotation_mark"),
        ('3;three";"z', "quotation_mark"),
        (f"3;{'x' * MAX_LINE_BYTES};z", "column_count"),
        (f'3;"{"x" * MAX_LINE_BYTES}";z', "column_count"),
        ("x" * 5 * MAX_LINE_BYTES, "column_count"),
        ('"' * (2 * MAX_LINE_BYTES + 1), "column_count"),
    ],
)
def test_a_broken_row_is_rejected_and_those_around_it_read(line: str, reason: str) -> None:
    items = read(table(line))
    assert rows(items) == GOOD
    assert rejected(items) == [(3, reason)]


def test_a_rejection_shows_the_line_and_what_is_wrong() -> None:
    assert read(table("3;three"))[1] == Rejection(
        Position(2, 3),
        field="row",
        value="3;three",
        reason="column_count",
        why="The row has 2 cells where the header has 3.",
        fix="Quote every cell that contains the delimiter, a quotation mark or a line break.",
    )
    shown = read(table("y" * 300))[1]
    assert isinstance(shown, Rejection)
    assert shown.value == "y" * 200


@pytest.mark.parametrize(
    ("line", "cell"),
    [
        ('3;5" plug;z', '5" plug'),
        ('3;a "b" c;z', 'a "b" c'),
        ('3;x";z', 'x"'),
        ('3;"a; ""b""";z', 'a; "b"'),
        ('3;"a "b" c";z', 'a b" c"'),  # not well formed, but all cells are there
        ('3;"a" ;z', "a"),
    ],
)
def test_quotation_marks_inside_a_cell_cost_no_row(line: str, cell: str) -> None:
    items = read(table(line))
    assert rows(items) == [GOOD[0], ["3", cell, "z"], GOOD[1]]


def test_a_lone_quotation_mark_does_not_reach_into_a_later_cell_of_several_lines() -> None:
    items = read(table('3;three;"z', "4;four;w", '5;"fi\nve";v', '6;";";u'))
    assert rows(items) == [GOOD[0], ["4", "four", "w"], ["5", "fi\nve", "v"], ["6", ";", "u"], GOOD[1]]
    assert rejected(items) == [(3, "quotation_mark")]


def test_a_cell_may_span_fifty_lines_and_no_more() -> None:
    longest = "\n" * (MAX_ROW_LINES - 1)
    assert rows(read(table(f'3;"a{longest}b";z'))) == [GOOD[0], ["3", f"a{longest}b", "z"], GOOD[1]]
    items = read(table(f'3;"a{longest}\nb";z'))
    assert rows(items) == GOOD
    assert rejected(items) == [(3, "quotation_mark"), (3 + MAX_ROW_LINES, "column_count")]


def test_a_line_too_long_does_not_become_part_of_a_cell() -> None:
    items = read(table('3;"three', "x" * 2 * MAX_LINE_BYTES, '";z'))
    assert rows(items) == GOOD
    assert [line for line, _ in rejected(items)] == [3, 4, 5]


def test_a_row_cut_off_by_the_end_of_the_file_is_rejected() -> None:
    items = read('id;name;kind\n1;one;x\n2;two;"y')
    assert rows(items) == GOOD[:1]
    assert rejected(items) == [(3, "quotation_mark")]


ORDINARY = st.one_of(
    st.text("abc 1", min_size=1, max_size=6),
    st.sampled_from(["", "two\nlines", "semi; colon", 'the "best"', "three\n\nlines; here"]),
)


@given(st.lists(st.tuples(ORDINARY, ORDINARY), min_size=2, max_size=12), st.data())
def test_of_a_table_with_one_broken_line_every_other_row_survives(
    contents: list[tuple[str, str]], data: st.DataObject
) -> None:
    written = [[str(number), *cells] for number, cells in enumerate(contents)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\n")
    parts = []
    for cells in [HEADER, *written]:
        text.seek(text.truncate(0))
        writer.writerow(cells)
        parts.append(text.getvalue())
    index = data.draw(st.integers(1, len(written)), label="row")
    parts[index] = data.draw(broken(parts[index]), label="broken row")
    survivors = rows(read("".join(parts)))
    stripped = [[cell.strip() for cell in cells] for cells in written]
    assert [cells for cells in stripped if cells not in survivors] in ([], [stripped[index - 1]])


@st.composite
def broken(draw: st.DrawFn, row: str) -> str:
    """One line of the row with something put in, or with a part taken away."""
    lines = row.split("\n")[:-1]
    index = draw(st.integers(0, len(lines) - 1))
    line = lines[index]
    start = draw(st.integers(0, len(line)))
    end = draw(st.integers(start, len(line)))
    lines[index] = line[:start] + draw(st.sampled_from(["", '"', ";", "\r", "\0", "x", '";"'])) + line[end:]
    return "\n".join(lines) + "\n"


@given(st.binary(max_size=300) | st.text('ab;"\n\r', max_size=80).map(str.encode))
def test_no_bytes_below_the_header_end_the_run(content: bytes) -> None:
    items = read(b"id;name;kind\n" + content)
    assert all(isinstance(item, Rejection) or len(item[1]) == 3 for item in items)
    assert [item.position.record if isinstance(item, Rejection) else item[0].record for item in items] == list(
        range(1, len(items) + 1)
    )


# What is no table


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The input is empty."),
        (b"\xef\xbb\xbf", "The input is empty."),
        (b" \r\n\n", "The input is empty."),
        ("id;name;kind\n1;one;x\n".encode("utf-16"), "UTF-16: save it as UTF-8"),
        (b"\xfe\xff" + "id;name;kind\n".encode("utf-16-be"), "UTF-16: save it as UTF-8"),
        (b"PK\x03\x04\x14\x00", "an Excel workbook"),
        (b"\n<!DOCTYPE html>\n<html>", "a web page"),
        (b"id;name;kind\r1;one;x\r", "end with a carriage return alone"),
        (b"identifier;title\n1;one\n", "another source's file?"),
        (b"\n" * 100 + b"id;name;kind\n", "None of the first 100 lines"),
        (b"x" * 3 * MAX_LINE_BYTES, "another source's file?"),
        (b'"' * 3 * MAX_LINE_BYTES, "another source's file?"),
        (b'"id;name;kind\n1;one;x\n', "another source's file?"),
    ],
)
def test_what_has_no_header_is_refused_with_a_hint(content: bytes, words: str) -> None:
    with pytest.raises(SourceFormatError) as error:
        read(content)
    assert words in str(error.value)


def test_the_hundredth_line_may_be_the_header() -> None:
    assert rows(read(b"\n" * 99 + b"id;name;kind\n1;one;x\n")) == GOOD[:1]


# Memory

LONG = b"y" * 400


@pytest.mark.parametrize(
    "pattern",
    [
        b"1;" + LONG + b";x\n",
        b'1;"' + LONG + b"\n" + LONG + b'";x\n',
        b'1;"one;x\n' + (b"2;" + LONG + b";y\n") * 99,
        b'"' + LONG + b"\n",
        b'x";"' + LONG + b"\n",
        b" " * 400 + b"\n",
        b"x",
        b'"',
        b"x" * (MAX_LINE_BYTES - 1) + b"\n",
        (b'"' + b"x" * (MAX_LINE_BYTES // 2) + b"\n") + b"z\n" * MAX_ROW_LINES,
    ],
    ids=[
        "rows",
        "two lines",
        "lone mark",
        "marks",
        "open marks",
        "no rows",
        "one line",
        "only marks",
        "long",
        "wide",
    ],
)
def test_memory_does_not_grow_with_the_table(pattern: bytes) -> None:
    size = 4_000_000
    file = repeated(pattern, size, start=b"id;name;kind\n")
    tracemalloc.start()
    try:
        for _ in read_table(file, delimiters=";", is_header=is_header):
            pass
        assert tracemalloc.get_traced_memory()[1] < size / 3
    finally:
        tracemalloc.stop()
    assert not file.read(1)
