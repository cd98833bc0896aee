"""`voltway export`: files, standard output, and nothing by halves."""

import hashlib
import json
import os
import pty
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import VOLTWAY, environment, voltway


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, demo_folder: Path) -> Path:
    """The demo network, in a folder to be written to."""
    folder = tmp_path_factory.mktemp("export")
    copied, copy = (sqlite3.connect(each / "voltway.db") for each in (demo_folder, folder))
    with closing(copied), closing(copy):
        copied.backup(copy)
    return folder


def test_a_file_is_written_with_its_licences_and_told_of(folder: Path) -> None:
    done = voltway(folder, "export", "geojson", "--country", "de", "--bbox=-10,40,20,60")
    assert done.returncode == 0, done.stderr
    content = (folder / "voltway-stations.geojson").read_bytes()
    count = len(json.loads(content)["features"])
    assert done.stdout.startswith(f"voltway-stations.geojson: {count} stations, {len(content):,} bytes in ")
    assert f"sha256: {hashlib.sha256(content).hexdigest()}" in done.stdout
    assert count == 50
    assert "Licence: CC0-1.0" in (folder / "voltway-stations.geojson-licences.txt").read_text()


def test_standard_output_is_the_file_and_nothing_else(folder: Path) -> None:
    done = voltway(folder, "export", "ndjson", "-", "--connector", "ccs2", "--connector", "nacs", "--source", "demo")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["source"] for line in lines} == {"demo"}
    assert f"standard output: {len(lines):,} stations" in done.stderr
    assert "Licence: CC0-1.0" in done.stderr


def test_a_file_is_not_overwritten_unless_told(folder: Path) -> None:
    for name in ("mine.csv", "other.csv-licences.txt"):
        (folder / name).write_text("precious")
    for name in ("mine.csv", "other.csv"):
        refused = voltway(folder, "export", "csv", name)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "exists; --force overwrites it." in refused.stderr
    assert (folder / "mine.csv").read_text() == "precious"
    assert not (folder / "other.csv").exists()
    assert voltway(folder, "export", "csv", "mine.csv", "--force").returncode == 0
    assert (folder / "mine.csv").read_text().startswith("id,source,")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["csv", "x.csv", "--country", "Germany"], "country: "),
        (["csv", "x.csv", "--connector", "type9"], "connector: "),
        (["csv", "x.csv", "--bbox", "1,2"], "bbox: "),
        (["xlsx"], "'xlsx' is not one of"),
        (["csv", "mine.csv/x.csv"], "cannot be written"),
    ],
    ids=["country", "connector", "box", "format", "folder"],
)
def test_what_cannot_be_done_is_one_line(folder: Path, arguments: list[str], message: str) -> None:
    (folder / "mine.csv").touch()
    done = voltway(folder, "export", *arguments)
    assert done.returncode in {1, 2}
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "x.csv").exists()


@pytest.mark.parametrize("format_", ["ndjson", "geoparquet"])
def test_interrupted_it_leaves_nothing_by_halves(folder: Path, tmp_path: Path, format_: str) -> None:
    """It is interrupted once its bar shows on a terminal of its own."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [VOLTWAY, "export", format_, tmp_path / "file"],
        env=environment(folder, TERM="xterm"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    try:
        shown = b""
        while format_.encode() not in shown:
            shown += os.read(master, 1024)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    whole = ["file", "file-licences.txt"] if process.returncode == 0 else []  # it may have been ready just before
    assert sorted(path.name for path in tmp_path.iterdir()) == whole
