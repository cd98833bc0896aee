"""Reading JSON through a small window: the same objects in every form, and clear words about what is no JSON."""

import io
import json
import math
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SourceFormatError
from app.sources import json_stream
from app.sources.json_stream import MAX_NESTING, read_json_records, walk_json
from app.sources.records import Position, Rejection
from tests.unit.sources.repeated import repeated

Item = tuple[Position, dict[str, Any]] | Rejection


def read(content: bytes | str, chunk_bytes: int = 1 << 18) -> list[Item]:
    raw = content.encode() if isinstance(content, str) else content
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK_BYTES", chunk_bytes)
        return list(read_json_records(io.BytesIO(raw), list_keys={"stations", "data"}))


def objects(items: list[Item]) -> list[dict[str, Any]]:
    return [item[1] for item in items if not isinstance(item, Rejection)]


def refusal(content: bytes | str) -> str:
    """What is said of an input that is refused, whatever the size of the window."""
    with pytest.raises(SourceFormatError) as small:
        read(content, chunk_bytes=1)
    with pytest.raises(SourceFormatError) as large:
        read(content)
    assert str(small.value) == str(large.value)
    return str(large.value)


# The same objects in every form

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)
BLANKS = st.text(" \t\r\n", max_size=4)
CHUNKS = st.integers(1, 9)


@st.composite
def spaced(draw: st.DrawFn, values: list[Any], separator: str) -> str:
    """The values with the separator between them, and white space wherever it may be."""
    style = draw(st.sampled_from([None, 1]))
    is_ascii = draw(st.booleans())
    parts = [draw(BLANKS) + json.dumps(value, indent=style, ensure_ascii=is_ascii) + draw(BLANKS) for value in values]
    return separator.join(parts)


@given(st.lists(OBJECTS, max_size=4), CHUNKS, st.booleans(), st.data())
def test_an_array_gives_its_objects(
    values: list[dict[str, Any]], chunk_bytes: int, bom: bool, data: st.DataObject
) -> None:
    inner = data.draw(spaced(values, ","))
    content = "\ufeff" * bom + data.draw(BLANKS) + f"[{inner}]" + data.draw(BLANKS)
    items = read(content, chunk_bytes)
    assert items == [(Position(number), value) for number, value in enumerate(values, start=1)]


@given(st.lists(OBJECTS.filter(lambda value: "data" not in value), min_size=1, max_size=4), CHUNKS, st.data())
def test_json_lines_give_their_objects(values: list[dict[str, Any]], chunk_bytes: int, data: st.DataObject) -> None:
    assert objects(read(data.draw(spaced(values, "\n")), chunk_bytes)) == values


@given(st.lists(OBJECTS, max_size=4), OBJECTS, OBJECTS, CHUNKS, st.data())
def test_an_object_gives_the_objects_of_its_list(
    values: list[dict[str, Any]], before: dict[str, Any], after: dict[str, Any], chunk_bytes: int, data: st.DataObject
) -> None:
    def members(others: dict[str, Any]) -> Iterator[str]:
        return (f"{json.dumps(key)} : {json.dumps(value)}" for key, value in others.items() if key != "data")

    listed = f'"data":{data.draw(BLANKS)}[{data.draw(spaced(values, ","))}]'
    content = "{" + ",\n".join([*members(before), listed, *members(after)]) + "}"
    assert objects(read(content, chunk_bytes)) == values


@given(st.lists(SCALARS | st.lists(SCALARS, max_size=2), max_size=5), CHUNKS, st.data())
def test_elements_that_are_no_objects_are_rejected_whole(
    values: list[Any], chunk_bytes: int, data: st.DataObject
) -> None:
    items = read(f"[{data.draw(spaced(values, ','))}]", chunk_bytes)
    assert [item.value for item in items if isinstance(item, Rejection)] == [
        json.dumps(value)[:200] for value in values
    ]


@pytest.mark.parametrize("number", ["1.5e+7", "-0.25", "1E5", "12", "-1.5E-3"])
@pytest.mark.parametrize("chunk_bytes", range(1, 12))
def test_a_number_is_not_cut_where_the_window_ends(number: str, chunk_bytes: int) -> None:
    content = f'{{"total": {number}, "data": [{{"a": {number}}}]}}'
    assert objects(read(content, chunk_bytes)) == [{"a": float(number)}]
    (item,) = read(f"[{number}]", chunk_bytes)
    assert isinstance(item, Rejection)
    assert json.loads(item.value) == float(number)


@given(st.lists(OBJECTS, min_size=1, max_size=3), st.data())
def test_a_file_cut_off_anywhere_gives_the_objects_before_and_an_error(
    values: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole = json.dumps(values).encode()
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    found: list[Any] = []
    with pytest.raises(SourceFormatError):
        found.extend(item for item in read_json_records(io.BytesIO(cut)))
    assert [item[1] for item in found] == values[: len(found)]


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0d8e1. tnN-I\n', max_size=40).map(str.encode), CHUNKS)
def test_no_bytes_raise_anything_but_a_format_error(content: bytes, chunk_bytes: int) -> None:
    with suppress(SourceFormatError):
        items = read(content, chunk_bytes)
        assert content.strip()[:1] in (b"[", b"{")
        assert [position_of(item) for item in items] == [Position(number) for number in range(1, len(items) + 1)]


def position_of(item: Item) -> Position:
    return item.position if isinstance(item, Rejection) else item[0]


def test_a_rejection_says_what_was_expected() -> None:
    assert read('[{"a": 1}, "some text", {"b": 2}]')[1] == Rejection(
        Position(2),
        field="record",
        value='"some text"',
        reason="not_an_object",
        why="Each record must be a JSON object.",
        fix="Give one JSON object for each station.",
    )


def test_only_an_array_counts_as_the_list() -> None:
    assert objects(read('{"stations": {"a": 1}, "data": [{"b": 2}]}')) == [{"b": 2}]
    assert objects(read('{"stations": null}')) == [{"stations": None}]


@pytest.mark.parametrize("content", ["[]", " [ ] ", '{"data": []}', '{"total": 0, "stations": [ ], "x": {}}'])
def test_an_empty_list_holds_nothing(content: str) -> None:
    assert read(content, chunk_bytes=1) == []


# Values that the standard library reads and others do not


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 18])
def test_half_a_surrogate_pair_becomes_a_question_mark(chunk_bytes: int) -> None:
    content = r'[{"a\udc00": ["x\ud800y", "\uD83D\uDE00 \\ud800", NaN, 1e999, 0.1]}]'
    (value,) = objects(read(content, chunk_bytes))
    assert value == {"a?": ["x?y", "\U0001f600 \\ud800", pytest.approx(math.nan, nan_ok=True), math.inf, 0.1]}


def test_numbers_may_be_nan_or_infinite_as_python_writes_them() -> None:
    (value,) = objects(read('[{"a": NaN, "b": Infinity, "c": -Infinity}]', chunk_bytes=1))
    assert math.isnan(value["a"])
    assert (value["b"], value["c"]) == (math.inf, -math.inf)


def test_bytes_that_are_not_utf_8_cost_their_characters_only() -> None:
    assert objects(read(b'[{"a": "Stra\xdfe"}, {"a": "\xc3\xa9"}]', chunk_bytes=1)) == [
        {"a": "Stra\ufffde"},
        {"a": "é"},
    ]


def test_nesting_is_limited() -> None:
    deepest = "[" * (MAX_NESTING - 1) + "]" * (MAX_NESTING - 1)
    assert len(read(f'[{{"a": {deepest}}}]')) == 1
    assert "nested too deeply" in refusal(f'[{{"a": [{deepest}]}}]')
    assert "nested too deeply" in refusal(f"[[[{deepest}]]]")
    wide = json.dumps([{"a": [[]] * 2 * MAX_NESTING}])
    assert objects(read(wide)) == json.loads(wide)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"data":['])
def test_nesting_without_an_end_is_refused(opening: str) -> None:
    with pytest.raises(SourceFormatError, match="nested too deeply"):
        read('[{"a":' + opening * 200_000)


def test_an_integer_of_too_many_digits_is_refused() -> None:
    items = read_json_records(io.BytesIO(b'[{"a": 1}, {"a": ' + b"1" * 5_000 + b"}]"))
    assert next(items) == (Position(1), {"a": 1})
    with pytest.raises(SourceFormatError, match="an integer has too many digits"):
        next(items)


def test_a_value_without_an_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_VALUE_CHARACTERS", 1 << 20)
    file = repeated(b"x", 50_000_000, start=b'[{"a": "')
    tracemalloc.start()
    try:
        with pytest.raises(SourceFormatError, match="a value does not end within 1,048,576 characters"):
            list(read_json_records(file))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


# What is no JSON


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The input is empty."),
        (b"\xef\xbb\xbf", "The input is empty."),
        (b" \n\r\n", "The input is empty."),
        ('[{"a": 1}]'.encode("utf-16"), "UTF-16: save it as UTF-8"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"id;name\n1;one\n", "another source's file?"),
        (b"42", "another source's file?"),
        (b"\0\0\0", "another source's file?"),
    ],
)
def test_what_does_not_begin_like_json_is_refused_with_a_hint(content: bytes, words: str) -> None:
    said = refusal(content)
    assert said.startswith("The input is not JSON. ")
    assert words in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"a": 1}', "Not JSON at character 9: expected one of , ]. The file seems to be cut off."),
        ('[{"a": 1},', "Not JSON at character 10: a value is missing. The file seems to be cut off."),
        ('[{"a": "b', "Not JSON at character 7: Unterminated string starting at. The file seems to be cut off."),
        ('[{"a": 1} {"b": 2}]', "Not JSON at character 10: expected one of , ]."),
        ('[{"a": 1},]', "Not JSON at character 10: Expecting value."),
        ('[{"a": oops}]', "Not JSON at character 7: Expecting value."),
        ('{"a": 1,}', "Not JSON at character 8: Expecting value."),
        ('{"a" 1}', "Not JSON at character 5: expected one of :."),
        ('[{"a": 1}] [{"b": 2}]', "Not JSON at character 11: more text follows the end of the list."),
        ('{"data": []} {"data": []}', "Not JSON at character 13: more text follows the end of the list."),
        ('{"a": 1}\noops', "Not JSON at character 9: Expecting value."),
        ('[{"a": "\n"}]', "Not JSON at character 8: Invalid control character at."),
    ],
)
def test_where_and_why_the_text_stops_being_json_is_said(content: str, said: str) -> None:
    assert refusal(content) == said


def test_what_came_before_an_error_has_been_given() -> None:
    items = read_json_records(io.BytesIO(b'[{"a": 1}, 5, {"b": oops}, {"c": 3}]'))
    assert next(items) == (Position(1), {"a": 1})
    assert isinstance(next(items), Rejection)
    with pytest.raises(SourceFormatError):
        next(items)


# Memory


RECORD = json.dumps({"name": "x" * 300, "plugs": list(range(30))}).encode()
SIZE = 8_000_000


@pytest.mark.parametrize(
    ("start", "pattern", "end"),
    [
        (b"[", RECORD + b",\n", b"{}]"),
        (b"", RECORD + b"\n", b"{}"),
        (b'{"total": 5, "data": [', RECORD + b",", b'{}], "next": null}'),
        (b"[", b'"' + b"x" * 77 + b'",', b"{}]"),
        (b"", b" " * 998 + b"{}", b"{}"),
    ],
    ids=["array", "lines", "list", "no objects", "white space"],
)
def test_memory_does_not_grow_with_the_file(start: bytes, pattern: bytes, end: bytes) -> None:
    file = repeated(pattern, SIZE, start=start, end=end)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_json_records(file, list_keys={"data"})) == SIZE // len(pattern) + 1
        assert tracemalloc.get_traced_memory()[1] < SIZE / 3
    finally:
        tracemalloc.stop()


# The members beside a list


@pytest.mark.parametrize(
    ("content", "members"),
    [
        ('{"data": [{"a": 1}], "status": 7, "time": {"b": [2]}}', [("status", 7), ("time", {"b": [2]})]),
        ('{"status": 7, "data": []}', [("status", 7)]),
        ('{"status": 7}\n{"status": 8}', [("status", 7)]),
        ('[{"status": 7}]', []),
    ],
)
def test_members_beside_the_list_are_told(content: str, members: list[tuple[str, Any]]) -> None:
    told: list[tuple[str, Any]] = []
    records = read_json_records(
        io.BytesIO(content.encode()), list_keys={"data"}, on_member=lambda *member: told.append(member)
    )
    assert [item for item in records if isinstance(item, Rejection)] == []
    assert told == members


# Lists at any depth


def walk(content: str, chunk_bytes: int = 1 << 18) -> list[tuple[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK_BYTES", chunk_bytes)
        return list(walk_json(io.BytesIO(content.encode()), {"site", "status"}))


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 18])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{}", []),
        ("[]", []),
        ('{"site": [{"a": 1}, 2, [3]]}', [("site", {"a": 1}), ("site", 2), ("site", [3])]),
        ('{"a": [{"b": {"site": [1], "c": "x"}}, [{"status": [2]}]], "d": null}',
         [("site", 1), ("c", "x"), ("status", 2), ("d", None)]),
        ('{"site": {"status": [1]}}', [("site", {"status": [1]})]),
        ('{"site": [{"site": [1]}]}', [("site", {"site": [1]})]),
        ('[4, {"site": []}]', [("", 4)]),
    ],
)  # fmt: skip
def test_lists_are_found_at_any_depth(content: str, expected: list[tuple[str, Any]], chunk_bytes: int) -> None:
    assert walk(content, chunk_bytes) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "The input is empty"),
        ("7", "not JSON"),
        ('{"a": {"site": [1, 2', "cut off"),
        ('{"a": 1} {"b": 2}', "more text follows"),
        ("[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1), "nested too deeply"),
        ('{"a":' * (MAX_NESTING + 1) + "1" + "}" * (MAX_NESTING + 1), "nested too deeply"),
    ],
    ids=["empty", "a number", "cut off", "two documents", "nested lists", "nested objects"],
)
def test_a_document_that_cannot_be_walked_is_refused(content: str, message: str) -> None:
    with pytest.raises(SourceFormatError, match=message):
        walk(content)


def test_walking_takes_no_memory_for_the_whole_document() -> None:
    start, end = b'{"payload": {"table": [{"site": [', b'{"id": 0}]}]}}'
    file = repeated(b'{"id": 1, "name": "' + b"x" * 1_000 + b'"},', 20_000_000, start=start, end=end)
    tracemalloc.start()
    try:
        count = sum(1 for _ in walk_json(file, {"site"}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count > 19_000
    assert peak < 5_000_000
