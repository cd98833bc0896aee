"""`voltway serve` that cannot do its work ends, and says why."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import installed

_WORKERS = """
import sys, uvicorn
from app.cli._workers import Workers, WorkersFailedError
config = uvicorn.Config(sys.argv[1], port=0, workers=2)
try:
    Workers(config, [config.bind_socket()]).run()
except WorkersFailedError as error:
    sys.exit(f"error: {error}")
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
        ("dying", "10 worker processes died within 60 s"),
        ("refusing", "could not start"),
    ],
    ids=list(APPLICATIONS),
)
def test_workers_that_cannot_live_end_it(application: str, told: str, tmp_path: Path) -> None:
    (tmp_path / f"{application}.py").write_text(APPLICATIONS[application])
    done = subprocess.run(
        [sys.executable, "-c", _WORKERS, f"{application}:app"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert told in done.stderr.splitlines()[-1]
    assert CAUSES[application] in done.stderr
