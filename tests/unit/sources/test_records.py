"""The driver of the adapters: every record becomes one outcome."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.records import (
    BadField,
    Outcome,
    Parsed,
    Position,
    Rejection,
    Skip,
    SkipRecord,
    SourceFacts,
    convert_records,
)
from app.stations.model import StationCreate

UNREADABLE = Rejection(Position(9), "row", "x", "column_count", "why", "fix")


def convert(row: str, notes: list[str]) -> StationCreate:
    """A converter whose rows say what is to become of them."""
    notes.append(f"note on {row}")
    if row == "bad":
        raise BadField("power", "fast", "not_a_number", "This is not a number.")
    if row == "skipped":
        raise SkipRecord("fuel E85")
    if row == "gone":
        raise SkipRecord("withdrawn", gone=True)
    return StationCreate(external_id=row, title="x" * 501 if row == "invalid" else row, longitude=1, latitude=2)


def outcomes(*rows: str) -> list[Outcome]:
    def items() -> Iterator[tuple[Position, str] | Rejection]:
        for number, row in enumerate(rows, start=1):
            yield UNREADABLE if row == "unreadable" else (Position(number), row)

    return list(convert_records(items(), convert, lambda row: f"id of {row}"))


def test_a_converted_record_is_parsed_with_its_own_notes() -> None:
    first, second = outcomes("one", "two")
    assert isinstance(first, Parsed)
    assert isinstance(second, Parsed)
    assert (first.station.title, first.position, first.records, first.notes) == (
        "one",
        Position(1),
        1,
        ("note on one",),
    )
    assert (second.station.title, second.position, second.notes) == ("two", Position(2), ("note on two",))


def test_a_bad_field_is_a_rejection_that_says_how_to_mend_it() -> None:
    assert outcomes("bad") == [
        Rejection(
            Position(1),
            field="power",
            value="fast",
            reason="not_a_number",
            why="This is not a number.",
            fix="Correct the value at the source and import again.",
            external_id="id of bad",
        )
    ]


def test_a_station_that_is_not_valid_is_a_rejection() -> None:
    (rejection,) = outcomes("invalid")
    assert isinstance(rejection, Rejection)
    assert (rejection.field, rejection.value, rejection.reason) == ("title", "x" * 200, "value_not_allowed")
    assert rejection.why == "String should have at most 500 characters"
    assert rejection.external_id == "id of invalid"


def test_only_what_its_source_has_withdrawn_is_gone() -> None:
    assert outcomes("skipped", "gone") == [
        Skip(Position(1), "fuel E85", gone_id=None),
        Skip(Position(2), "withdrawn", gone_id="id of gone"),
    ]


def test_a_row_that_could_not_be_read_is_passed_on() -> None:
    assert outcomes("unreadable") == [UNREADABLE]


def test_a_mistake_in_a_converter_is_not_hidden() -> None:
    def broken(_: str, __: list[str]) -> StationCreate:
        raise KeyError("title")

    with pytest.raises(KeyError):
        list(convert_records([(Position(1), "row")], broken, str))


KINDS = {
    "one": Parsed,
    "bad": Rejection,
    "invalid": Rejection,
    "skipped": Skip,
    "gone": Skip,
    "unreadable": Rejection,
}


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=20))
def test_every_record_becomes_one_outcome_in_its_order(rows: list[str]) -> None:
    assert [type(outcome) for outcome in outcomes(*rows)] == [KINDS[row] for row in rows]


def test_facts_are_stored_in_seconds() -> None:
    facts = SourceFacts("x", "X", "https://x.example", "MIT", "https://mit.example", "X", timedelta(days=1), "rows")
    assert facts.as_row() == {
        "name": "x",
        "title": "X",
        "homepage": "https://x.example",
        "licence": "MIT",
        "licence_url": "https://mit.example",
        "attribution": "X",
        "cadence_s": 86_400,
        "status_ttl_s": None,
    }
