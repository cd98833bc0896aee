"""Searches over HTTP, in times of what the same server does with a constant answer of the same size."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from benchmarks.engine import places
from benchmarks.figures import print_table, spread
from tests.services import free_port

_ROOT = Path(__file__).parents[1]
_START_S = 60


@contextmanager
def server(database_url: str, *command: str, **settings: str) -> Iterator[int]:
    """Run `python -m COMMAND`, in which `{port}` stands for a free port, and yield the port once it accepts."""
    port = free_port()
    arguments = [sys.executable, "-m", *(part.format(port=port) for part in command)]
    environment = os.environ | {"DATABASE_URL": database_url} | settings
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(arguments, cwd=_ROOT, env=environment, stdout=log, stderr=log)
        try:
            if not _accepts(port, process):
                log.seek(0)
                raise RuntimeError(f"{' '.join(command)} does not answer:\n{log.read().decode()}")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _accepts(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it does; False when the process ends before, or the time."""
    end = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.05)
    return False


def load(port: int, paths: list[str], seconds: float) -> tuple[float, float]:
    """Ask from another process; return requests a second and bytes a body."""
    command = [sys.executable, "-m", "benchmarks.load", str(port), str(seconds)]
    done = subprocess.run(command, cwd=_ROOT, input="\n".join(paths), check=True, capture_output=True, text=True)
    rate, length = json.loads(done.stdout)
    return rate, length


def nearest_20(count: int) -> list[str]:
    return [
        f"/api/v1/stations?longitude={longitude}&latitude={latitude}&limit=20"
        for longitude, latitude in islice(places(), count)
    ]


def print_http(database_url: str, rounds: int, seconds: float = 2.0) -> None:
    paths = nearest_20(2_000)
    with server(database_url, "app.cli", "serve", "--port", "{port}") as ours:
        _, length = load(ours, paths, 1.0)
        with server(database_url, "benchmarks.constant", "{port}", str(round(length))) as constant:
            load(constant, paths, 1.0)
            runs = [(load(constant, paths, seconds)[0], load(ours, paths, seconds)[0]) for _ in range(rounds)]
    ratios = [search / floor for floor, search in runs]
    print(f"Nearest 20 over HTTP, one worker, {length:,.0f} bytes an answer, {rounds} runs of {seconds:g} s each\n")
    rows = [
        ["constant answer, requests/s", spread([floor for floor, _ in runs], 0)],
        ["nearest 20, requests/s", spread([search for _, search in runs], 0)],
        ["nearest 20 ÷ constant answer", spread(ratios)],
    ]
    print_table(["figure", "median (smallest to greatest)"], rows)
