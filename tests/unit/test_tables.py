"""Tables of the command line."""

import pytest

from app.cli import _tables

ROWS = [["irve", "ok", "12,345", "all went well"], ["東京", "failing", "-", "no\x1b[31m\nanswer" + "!" * 80]]


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int | None) -> list[str]:
    monkeypatch.setattr("sys.stdout.isatty", lambda: width is not None)
    monkeypatch.setenv("COLUMNS", str(width or 80))
    _tables.print_table(("source", "status", "read", "error"), ROWS, spare=("read",))
    return capsys.readouterr().out.splitlines()


def test_a_pipe_gets_everything_one_line_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert printed(capsys, monkeypatch, None) == [
        "source  status   read    error",
        "irve    ok       12,345  all went well",
        "東京    failing  -       no [31m answer" + "!" * 80,
    ]


def test_a_terminal_gets_what_fits(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(capsys, monkeypatch, 45) == [
        "source  status   read    error",
        "irve    ok       12,345  all went well",
        "東京    failing  -       no [31m answer!!!!!…",
    ]
    assert printed(capsys, monkeypatch, 40)[0] == "source  status   error"
