"""`voltway keys`, as it is typed."""

import shutil
from pathlib import Path

import pytest

from app.auth.development import FILE
from app.auth.token import key_id_of
from tests.acceptance.conftest import Command


@pytest.fixture(autouse=True)
def _tables(migrated_sqlite_file: Path, tmp_path: Path) -> None:
    shutil.copy(migrated_sqlite_file, tmp_path / "voltway.db")


def test_a_key_is_shown_once_alone_on_the_last_line_and_never_again(command: Command) -> None:
    made = command("keys", "create", "loader [x]", "--scope", "stations:write", "--expires-in-days", "7")
    assert made.returncode == 0, made.stderr
    token = made.stdout.splitlines()[-1]
    key_id = key_id_of(token)
    assert key_id is not None
    assert made.stdout.count(token) == 1
    listed = command("keys", "list").stdout
    for shown in (key_id, "loader [x]", "stations:write", "until 2", "never"):
        assert shown in listed
    assert token[12:] not in listed
    revoked = command("keys", "revoke", "loader [x]")
    assert revoked.stdout == f"revoked: {key_id} (loader [x])\n"
    assert "revoked 2" in command("keys", "list").stdout


def test_mistakes_are_named_in_one_line(command: Command) -> None:
    assert "stations:write" in command("keys", "create", "a", "--scope", "stations:read").stderr
    assert "--scope" in command("keys", "create", "a").stderr
    for scope, party in ("ocpi:write", "NLALLX"), ("status:write", "NL*ALL"):
        assert "--party is" in command("keys", "create", "a", "--scope", scope, "--party", party).stderr
    made = command("keys", "create", "a", "--scope", "ocpi:write", "--party", "nlall")
    assert "ocpi:write for NL*ALL" in made.stdout
    unknown = command("keys", "revoke", "nobody")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("error: No key")
    assert len(unknown.stderr.splitlines()) == 1


def test_the_development_key_is_shown_each_time(command: Command, tmp_path: Path) -> None:
    shown = [command("keys", "development").stdout.splitlines()[-1] for _ in range(2)]
    assert shown == [(tmp_path / FILE).read_text().strip()] * 2


def test_make_run_shows_it() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    run = makefile.partition("\nrun:")[2].partition("\n\n")[0]
    assert run.index("voltway keys development") < run.index("voltway serve")
