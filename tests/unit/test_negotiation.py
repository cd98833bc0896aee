"""Which encoding a client is given (RFC 9110, section 12.5.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.v1._negotiation import ENCODINGS, asked_part, preferred_encoding


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0.4, identity;q=0.5", "identity"),
        ("identity, gzip", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip ; q=0.8 , zstd;q=0.8", "zstd"),
        ("*", "identity"),
        ("br", "identity"),
        ("gzip;q=2", "identity"),
        ("gzip;level=9", "identity"),
        ("*;q=0, gzip", "gzip"),
        ("identity;q=0", "identity"),
        (",,gzip,,", "gzip"),
    ],
)
def test_the_best_that_is_named(accepted: str, expected: str) -> None:
    assert preferred_encoding(accepted) == expected


@given(st.text(max_size=100))
def test_whatever_a_client_writes_it_gets_one_of_ours(accepted: str) -> None:
    assert preferred_encoding(accepted) in {*ENCODINGS, "identity"}


@given(st.integers(0, 20), st.one_of(st.integers(0, 30), st.none()), st.one_of(st.integers(0, 30), st.none()))
def test_a_part_is_what_the_file_has_of_the_range(size: int, first: int | None, last: int | None) -> None:
    """Byte by byte as section 14.1.2 says."""
    if first is None:
        wanted = set(range(size - last, size)) if last is not None else set()
    else:
        wanted = set(range(first, size if last is None else last + 1))
    expected = wanted & set(range(size))
    asked = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    if expected:
        part = asked_part(asked, size)
        assert part is not None
        assert set(range(*part)) == expected
    else:
        with pytest.raises(ValueError, match=f"The file has {size} bytes"):
            asked_part(asked, size)
