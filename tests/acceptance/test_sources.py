"""`voltway sources`, `voltway sync` and `GET /api/v1/sources`."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.acceptance.conftest import voltway
from tests.conftest import DATA
from tests.misbehaving import Answer, Server, file, misbehaving

REGISTER = (DATA / "irve/stations.csv").read_bytes()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setitem(os.environ, "NO_PROXY", "127.0.0.1")
    with misbehaving() as server:
        server.respond = file(REGISTER)
        yield server


def test_sources_are_kept_fresh_from_the_command_line(tmp_path: Path, server: Server) -> None:
    def run(*arguments: str, urls: str = f"irve={server.url}?key=s3cret", status: int = 0) -> str:
        done = voltway(tmp_path, *arguments, SOURCE_URLS=urls)
        assert done.returncode == status, done.stderr
        assert "s3cret" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    run("migrate")
    assert "set SOURCE_URLS" in run("sync", urls="")
    assert "never" in run("sources")
    assert "charge points read" in run("sync")
    assert "irve: not due before" in run("sync", "irve")
    assert "0 new" in run("sync", "irve", "--force")
    assert "SOURCE_URLS has no address" in run("sync", "afdc", status=1)
    assert "There is no source 'nowhere'" in run("sync", "nowhere", status=1)
    server.answers(Answer(status=404))
    assert "irve: failed: " in run("sync", "--force", status=1)
    assert "failing" in run("sources")
    shown = run("sources", "show", "irve")
    assert "answered 404" in shown
    assert "1 since then" in shown
    assert "There is no source 'nowhere'" in run("sources", "show", "nowhere", status=1)
    assert "SOURCE_URLS: there is no source nowhere" in run("sync", urls="nowhere=http://x.example", status=1)


def test_a_shrunken_file_needs_a_word(tmp_path: Path) -> None:
    register = tmp_path / "register.csv"
    register.write_bytes(REGISTER)
    assert voltway(tmp_path, "migrate").returncode == 0
    assert voltway(tmp_path, "import", "irve", str(register), "--full").returncode == 0
    register.write_bytes(b"\n".join(REGISTER.splitlines()[:2]) + b"\n")
    refused = voltway(tmp_path, "import", "irve", str(register), "--full")
    assert refused.returncode == 1
    assert "--accept-shrunken" in refused.stderr
    accepted = voltway(tmp_path, "import", "irve", str(register), "--full", "--accept-shrunken")
    assert accepted.returncode == 0, accepted.stderr


def test_sources_are_told_over_http(http: httpx.Client) -> None:
    answer = http.get("/api/v1/sources")
    assert answer.status_code == 200
    sources = {source["name"]: source for source in answer.json()}
    assert sources["demo"]["stations"] == 2_000
    assert sources["bnetza"] == {
        "name": "bnetza",
        "title": "Ladesäulenregister der Bundesnetzagentur",
        "homepage": sources["bnetza"]["homepage"],
        "licence": "CC-BY-4.0",
        "licence_url": "https://creativecommons.org/licenses/by/4.0/",
        "attribution": "Bundesnetzagentur.de",
        "stations": 0,
        "status": "disabled",
        "problem": None,
        "last_success_at": None,
        "age_s": None,
        "cadence_s": 30 * 86_400,
        "next_due_at": None,
    }
