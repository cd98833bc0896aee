"""The file of rejected records."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ConfigurationError
from app.ingest.rejections import COLUMNS, RejectionsFile
from app.sources.records import Position, Rejection

REJECTION = Rejection(Position(7, 12), "power", "fast", "not_a_number", "This is no number.", "Mend it.", "DE-1")


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


def test_without_a_rejection_there_is_no_file(tmp_path: Path) -> None:
    with RejectionsFile(tmp_path / "new" / "rejections.csv") as rejections:
        assert not rejections.written
    assert not list(tmp_path.iterdir())


def test_each_rejection_is_a_row_under_one_header(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "rejections.csv"
    with RejectionsFile(path) as rejections:
        rejections.write(REJECTION)
        rejections.write(Rejection(Position(8), "row", "", "column_count", "why", "fix"))
        assert rejections.written
    assert read(path) == [
        list(COLUMNS),
        ["12", "7", "DE-1", "power", "fast", "not_a_number", "This is no number.", "Mend it."],
        ["", "8", "", "row", "", "column_count", "why", "fix"],
    ]


@pytest.mark.parametrize("ended_by", [None, KeyboardInterrupt])
def test_what_was_written_is_in_the_file_however_the_run_ends(
    tmp_path: Path, ended_by: type[BaseException] | None
) -> None:
    path = tmp_path / "rejections.csv"

    def run() -> None:
        with RejectionsFile(path) as rejections:
            rejections.write(REJECTION)
            if ended_by:
                raise ended_by

    if ended_by:
        with pytest.raises(ended_by):
            run()
    else:
        run()
    assert len(read(path)) == 2


@given(st.text(st.sampled_from('",;\n\r\0\t é') | st.characters(codec="utf-8"), max_size=20))
def test_any_value_can_be_read_back(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.mktemp("rejections") / "rejections.csv"
    with RejectionsFile(path) as rejections:
        rejections.write(Rejection(Position(1), value, value, value, value, value, value))
    assert read(path)[1] == ["", "1", *[value] * 6]


def test_half_a_surrogate_pair_is_shown_by_its_number(tmp_path: Path) -> None:
    with RejectionsFile(tmp_path / "rejections.csv") as rejections:
        rejections.write(Rejection(Position(1), "title", "a\ud800", "reason", "why", "fix"))
    assert read(rejections.path)[1][4] == "a\\ud800"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    rejections = RejectionsFile(tmp_path / "data" / "rejections.csv")
    with pytest.raises(ConfigurationError, match=r"data/rejections\.csv cannot be written: .*DATA_DIR"):
        rejections.write(REJECTION)
