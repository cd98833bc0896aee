"""`voltway serve` that cannot do its work ends, and says why; one that can goes on with it."""

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.acceptance.conftest import installed
from tests.services import free_port

_WORKERS = """
import sys, uvicorn
from app.cli._workers import Workers, WorkersFailedError
config = uvicorn.Config(sys.argv[1], port=int(sys.argv[2]), workers=2)
try:
    Workers(config, [config.bind_socket()]).run()
except WorkersFailedError as error:
    sys.exit(f"error: {error}")
"""
_TELLING = """
async def app(scope, receive, send):
    await receive()
    if scope["type"] == "lifespan":
        return await send({"type": "lifespan.startup.complete"})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": VERSION})
"""
APPLICATIONS = {
    "unfit": "from app.errors import ConfigurationError; raise ConfigurationError('PUMP is not set')",
    "broken": "1 / 0",
    "dying": "import os; os._exit(7)",
    "refusing": """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the cellar is flooded"})
""",
}
CAUSES = {"unfit": "PUMP is not set", "broken": "ZeroDivisionError", "dying": "", "refusing": "the cellar is flooded"}


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_ends_it(
    workers: int, taken_port: int, tmp_path: Path, migrated_sqlite_file: Path
) -> None:
    shutil.copy(migrated_sqlite_file, tmp_path / "voltway.db")
    done = installed(tmp_path, "serve", "--port", str(taken_port), "--workers", str(workers))
    assert done.returncode != 0
    assert "address already in use" in done.stderr.lower()


@pytest.mark.parametrize(
    ("application", "told"),
    [
        ("unfit", "could not start"),
        ("broken", "could not start"),
        ("dying", "died again and again within 60 s"),
        ("refusing", "could not start"),
    ],
    ids=list(APPLICATIONS),
)
def test_workers_that_cannot_live_end_it(application: str, told: str, tmp_path: Path) -> None:
    (tmp_path / f"{application}.py").write_text(APPLICATIONS[application])
    done = subprocess.run(
        [sys.executable, "-c", _WORKERS, f"{application}:app", "0"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert told in done.stderr.splitlines()[-1]
    assert CAUSES[application] in done.stderr


def test_a_reload_that_fails_changes_nothing(tmp_path: Path) -> None:
    application, port = tmp_path / "telling.py", free_port()

    def answer() -> str | None:
        try:
            return httpx.get(f"http://127.0.0.1:{port}").text
        except httpx.ConnectError:
            return None

    application.write_text(f"VERSION = b'1'{_TELLING}")
    command = [sys.executable, "-B", "-c", _WORKERS, "telling:app", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as workers:
        try:
            _until(lambda: answer() == "1")
            application.write_text(APPLICATIONS["dying"])
            workers.send_signal(signal.SIGHUP)
            assert workers.stderr is not None
            assert any("reload_failed" in line for line in workers.stderr)
            assert {answer() for _ in range(20)} == {"1"}
            application.write_text(f"VERSION = b'2'{_TELLING}")
            workers.send_signal(signal.SIGHUP)
            _until(lambda: {answer() for _ in range(20)} == {"2"})
        finally:
            workers.terminate()
        assert workers.wait(20) == 0


def _until(holds: Callable[[], bool], attempts: int = 20_000) -> None:
    for _ in range(attempts):
        if holds():
            return
    raise AssertionError("it never came true")
