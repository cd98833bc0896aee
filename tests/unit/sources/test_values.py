"""Converters of single values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.records import BadField
from app.sources.values import number, required, text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  a  b\t\r\nc ", "a b c"),
        ("a\u00a0b\u2028c\u3000d", "a b c d"),
        ("a\0b\x7fc\x85d\x9fe", "a b c d e"),
        ("\0", None),
        ("", None),
        (" \n ", None),
        (None, None),
        (0, "0"),
        (75018, "75018"),
        (1.5, "1.5"),
        (True, "True"),
        (10**400, str(10**400)),
        ("NaN", "NaN"),
        (math.nan, None),
        (-math.inf, None),
        ({"a": 1}, None),
        ([], None),
        ("日本語 ñ – “x”", "日本語 ñ – “x”"),
    ],
)
def test_text_is_one_clean_line(value: object, expected: str | None) -> None:
    assert text(value) == expected


def test_text_is_cut_without_a_blank_at_its_end() -> None:
    assert text("x" * 501) == "x" * 500
    assert text("abc def", max_length=4) == "abc"
    assert text("  abc def", max_length=5) == "abc d"


@given(st.text(st.sampled_from("ab \t\n\0\x85\u00a0\u200b") | st.characters(), max_size=30), st.integers(1, 12))
def test_text_of_text_is_the_same(value: str, max_length: int) -> None:
    line = text(value, max_length)
    assert line is None or 0 < len(line) <= max_length
    assert text(line, max_length) == line
    assert line is None or not any(character < " " or "\x7f" <= character <= "\x9f" for character in line)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("52.5", 52.5),
        (" -13 ", -13.0),
        ("+1e3", 1000.0),
        (".5", 0.5),
        (22, 22.0),
        (0.0, 0.0),
        ("", None),
        (" ", None),
    ],
)
@pytest.mark.parametrize("decimal_comma", [False, True])
def test_a_number_is_read(value: object, expected: float | None, decimal_comma: bool) -> None:
    assert number("power", value, decimal_comma=decimal_comma) == expected


def test_none_is_no_number() -> None:
    assert number("power", None) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("52,5", 52.5),
        ("-1,25", -1.25),
        (",5", 0.5),
        ("22,", 22.0),
        ("1.234,5", 1234.5),
        ("-1.234.567,89", -1_234_567.89),
        ("1.234", 1.234),
    ],
)
def test_a_decimal_comma_is_read_where_the_source_writes_one(value: str, expected: float) -> None:
    assert number("power", value, decimal_comma=True) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_back_from_either_spelling(value: float) -> None:
    assert number("power", value) == number("power", str(value)) == value
    assert number("power", str(value).replace(".", ","), decimal_comma=True) == value


@pytest.mark.parametrize(
    "value",
    [
        "fast",
        "22 kW",
        "1,5",
        "1 000",
        "1_000",
        "0x10",
        "--1",
        "nan",
        "1e999",
        math.nan,
        10**400,
        True,
        [22],
        {"kw": 22},
    ],
)
def test_what_is_no_finite_number_is_a_bad_field(value: object) -> None:
    with pytest.raises(BadField) as fault:
        number("power", value)
    assert (fault.value.field, fault.value.value, fault.value.reason) == ("power", value, "not_a_number")


@pytest.mark.parametrize(
    "value", ["52.5,13.4", "1,234.5", "1,2,3", "12.34,5", "1234.567,8", "1.234.56,7", ".123,4", ","]
)
def test_points_and_commas_that_are_no_decimal_comma_are_a_bad_field(value: str) -> None:
    with pytest.raises(BadField):
        number("power", value, decimal_comma=True)


def test_a_required_value_that_is_missing_is_a_bad_field() -> None:
    assert required("lat", 0.0) == 0.0
    with pytest.raises(BadField) as fault:
        required("lat", None)
    assert (fault.value.field, fault.value.value, fault.value.reason) == ("lat", "", "missing")
    assert fault.value.why == "lat is empty, and a station cannot be stored without it."
