"""Every example of the documentation, run as it is written.

In a block marked `console`, a line that begins with `$ ` is a command and what follows is its output, in which `…`
stands for anything. In a block marked `sh`, every `make` target must exist.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.settings import Settings
from app.stations.query import StationQuery
from app.stations.vocabulary import ConnectorType
from tests.acceptance.conftest import VOLTWAY, environment, voltway
from tests.conftest import DATA, ROOT, skip_or_fail

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
FILES = {"Ladesaeulenregister.csv": "bnetza/2022-without-ids.csv", "stations-irve.csv": "irve/stations.csv"}


@dataclass
class Example:
    """A command, the output that the page promises, and where it stands."""

    page: str
    command: str
    output: str


def _blocks(kind: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in re.findall(
            rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            yield page.relative_to(ROOT).as_posix(), block


def _examples() -> Iterator[Example]:
    for page, block in _blocks("console"):
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            yield Example(page, command, output)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with an empty database and the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("docs")
    for name, fixture in FILES.items():
        shutil.copy(DATA / fixture, folder / name)
    assert voltway(folder, "migrate").returncode == 0
    assert voltway(folder, "demo").returncode == 0
    return folder


@pytest.mark.parametrize("example", list(_examples()), ids=lambda example: f"{example.page}: {example.command[:60]}")
def test_example(example: Example, folder: Path, demo_address: str) -> None:
    for program in ("curl", "jq"):
        if example.command.startswith("curl") and shutil.which(program) is None:
            skip_or_fail(f"{program} is not installed, so the examples of the documentation were not all run")
    command = example.command.replace("http://127.0.0.1:8000", demo_address).replace(".venv/bin/", "")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment(folder, PATH=f"{VOLTWAY.parent}{os.pathsep}{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = ".*".join(re.escape(part) for part in example.output.rstrip().split("…"))
    printed = done.stdout.replace("\r", "").rstrip()
    assert re.fullmatch(expected, printed, re.DOTALL), (
        f"{printed}\n--- is not what {example.page} shows:\n{example.output}"
    )


def test_there_are_examples() -> None:
    assert {example.page for example in _examples()} >= {"README.md", "docs/api.md", "docs/importing.md"}


def test_every_make_target_that_is_named_exists() -> None:
    targets = {word for _, block in _blocks("sh") for word in re.findall(r"^make ([a-z]+)", block, re.MULTILINE)}
    assert targets >= {"run", "test", "check", "bench"}
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_every_relative_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
    assert documented == {name.upper() for name in Settings.model_fields}


def test_every_search_parameter_and_connector_is_documented() -> None:
    table = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("## One station")[0]
    named = set(re.findall(r"`([a-z0-9_]+)`", table))
    assert set(StationQuery.model_fields) | set(ConnectorType) <= named
