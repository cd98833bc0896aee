"""Grouping on disk: against a dictionary, and what is left behind."""

import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.sources.grouping import Grouping

MEASURE = """
import resource
from app.sources.grouping import Grouping

def peak_kb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

with Grouping() as shelf:
    before = peak_kb()
    for n in range(40_000):
        shelf.add(f"key {n % 9_000}", "x" * 1_000)
    count = sum(1 for _, records in shelf.groups() for _ in records)
    print(count, peak_kb() - before)
"""


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "a", "A", "é", "a\0b"]), st.integers(0, 99) | st.text())))
def test_groups_equal_those_of_a_dictionary_in_order_of_first_appearance(
    records: list[tuple[str, object]],
) -> None:
    expected: dict[str, list[object]] = {}
    with Grouping() as shelf:
        for key, record in records:
            expected.setdefault(key, []).append(record)
            shelf.add(key, record)
        assert [(key, list(group)) for key, group in shelf.groups()] == list(expected.items())


def test_a_group_that_is_not_read_to_its_end_does_not_disturb_the_next() -> None:
    with Grouping() as shelf:
        for key, record in [("a", 1), ("b", 2), ("a", 3), ("b", 4)]:
            shelf.add(key, record)
        first = [(key, next(records)) for key, records in shelf.groups()]
    assert first == [("a", 1), ("b", 2)]


def test_nothing_can_be_read_after_the_end() -> None:
    with Grouping() as shelf:
        shelf.add("a", 1)
        groups = shelf.groups()
    with pytest.raises(sqlite3.ProgrammingError):
        next(groups)


def test_memory_does_not_grow_with_the_records() -> None:
    pytest.importorskip("resource")
    result = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True)
    count, grown_kb = map(int, result.stdout.split())
    assert count == 40_000
    assert grown_kb < 16_000  # of 40,000 KB put in
