"""`voltway replay`: a day from the register on, in one command."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import voltway
from tests.conftest import DATA

HEADER = "id_pdc_itinerance,etat_pdc,occupation_pdc,horodatage\n"


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """A register, a snapshot and a file of changes."""
    folder = tmp_path / "day"
    changes = folder / "dynamic-changes-2026-08-18"
    changes.mkdir(parents=True)
    shutil.copy(DATA / "irve" / "stations.csv", folder / "static-2026.csv")
    (folder / "dynamic-snapshot-2026-08-18.csv").write_text(
        f"{HEADER}FRNRDE00011,en_service,libre,2026-08-17 23:59:00\nFRXXXE1,en_service,libre,2026-08-17 23:59:00\n"
    )
    (changes / "2026-08-18_001000.csv").write_text(f"{HEADER}FRNRDE00011,en_service,occupe,2026-08-18 00:09:00\n")
    return folder


def test_one_command_plays_the_register_the_snapshot_and_the_changes_again_and_again(
    tmp_path: Path, day: Path
) -> None:
    assert voltway(tmp_path, "migrate").returncode == 0
    first = voltway(tmp_path, "replay", str(day), "--with-static", "--as-recorded")
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert lines[0].startswith("irve: ")
    assert lines[1].startswith("stations: ")
    assert ", 0 updated, 0 unchanged, 0 removed" in lines[1]
    assert lines[-1] == (
        "irve-live: 3 read = 2 applied + 0 unchanged + 0 superseded + 0 conflicting + 1 unknown + 0 rejected"
    )
    assert first.stderr.splitlines()[-1].startswith("2 of 2 files: 3 read")
    again = voltway(tmp_path, "replay", str(day), "--with-static", "--as-recorded")
    assert "stations: 0 new, 0 updated" in again.stdout
    assert "3 read = 0 applied + 1 unchanged + 1 superseded" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--speed", "0"), "--speed is original, max, or a number over 0, not '0'."),
        (("--speed", "60", "--as-recorded"), "--as-recorded goes with --speed max"),
        (("--with-static",), "has no static-*.csv.gz."),
    ],
)
def test_what_cannot_be_played_is_said_at_once(
    tmp_path: Path, day: Path, arguments: tuple[str, ...], message: str
) -> None:
    (day / "static-2026.csv").unlink()
    done = voltway(tmp_path, "replay", str(day), *arguments)
    assert done.returncode == 1
    assert message in done.stderr
