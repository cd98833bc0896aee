"""A real Prometheus, started privately for one test, and its HTTP API."""

import math
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.conftest import skip_or_fail
from tests.services import free_port

_PAUSE_S = 0.1


def program(name: str) -> str:
    """Path of `prometheus` or `promtool`; without it the test is skipped, or fails where nothing may be skipped."""
    found = shutil.which(name)
    if found is None:
        skip_or_fail(f"{name} is not installed, so monitoring/ was not tested")
        raise AssertionError
    return found


def comes_true(question: Callable[[], bool], within_s: float = 30.0) -> bool:
    """Ask again and again until the answer is yes or the time is over."""
    end = time.monotonic() + within_s
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(_PAUSE_S)
    return answer


@dataclass
class Prometheus:
    """Client of a running server."""

    http: httpx.Client

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series now. Fails when Prometheus refuses the expression."""
        result = self.get("/api/v1/query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def answers(self, expression: str) -> bool:
        """Whether there is at least one number."""
        return any(math.isfinite(value) for _, value in self.query(expression))

    def get(self, path: str, **parameters: str) -> Any:
        answer = self.http.get(path, params=parameters)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def is_ready(self) -> bool:
        try:
            return self.http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def prometheus(config: Path, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration file; its data and its log go to `folder`."""
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            with httpx.Client(base_url=f"http://{address}", timeout=30) as http:
                server = Prometheus(http)
                ready = comes_true(lambda: process.poll() is not None or server.is_ready())
                assert ready and process.poll() is None, (folder / "prometheus.log").read_text()  # noqa: PT018
                yield server
        finally:
            process.terminate()
            process.wait(timeout=30)
