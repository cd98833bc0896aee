"""Ids met in an import: a set that lives on disk."""

import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.seen import SeenIds

IDS = st.lists(st.sampled_from(["", "a", "A", "a ", "a\0", "a\0b", "é", "e\u0301", "1", "01"]) | st.text(max_size=5))

MEASURE = """
import resource
from app.ingest.seen import SeenIds

def peak_kb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

with SeenIds() as seen:
    before = peak_kb()
    new = sum(seen.add(f"{n % 40_000:0300}") for n in range(50_000))
    print(new, peak_kb() - before)
"""


@given(IDS, IDS)
def test_it_knows_what_a_set_knows(added: list[str], asked: list[str]) -> None:
    known: set[str] = set()
    with SeenIds() as seen:
        for each in added:
            assert seen.add(each) is (each not in known)
            known.add(each)
        assert seen.missing(asked) == [each for each in asked if each not in known]


def test_two_imports_do_not_share_their_ids() -> None:
    with SeenIds() as one, SeenIds() as other:
        one.add("a")
        assert other.missing(["a"]) == ["a"]


def test_it_is_closed_at_the_end() -> None:
    with SeenIds() as seen:
        seen.add("a")
    with pytest.raises(sqlite3.ProgrammingError):
        seen.add("b")


def test_memory_does_not_grow_with_the_ids() -> None:
    pytest.importorskip("resource")
    result = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True)
    new, grown_kb = map(int, result.stdout.split())
    assert new == 40_000
    assert grown_kb < 6_000  # of 12,000 KB put in
