"""A service that is replaced, or full, while it is used."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import httpx2 as httpx
import psutil
import pytest

from app.api.errors import Problem
from tests.acceptance.conftest import process_of, serving, workers_of

STATIONS = "/api/v1/stations?latitude=52.52&longitude=13.405&limit=20"


class Client:
    """Asks all the time, on one connection for as long as it is left open, or on a new one for each request."""

    def __init__(self, address: str, keeps_alive: bool) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._address, self._keeps_alive = address, keeps_alive
        self._enough = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        headers = {} if self._keeps_alive else {"Connection": "close"}
        with httpx.Client(base_url=self._address, headers=headers, timeout=30) as http:
            while not self._enough.is_set():
                try:
                    http.get(STATIONS).raise_for_status()
                    self.answered += 1
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))


@pytest.fixture
def served(demo_folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """An address with two workers, and their parent."""
    with serving(demo_folder, "--workers", "2", LOG_DIR=str(demo_folder / "reload")) as address:
        yield address, process_of(address)


def _wait_for(holds: Callable[[], bool], within_s: float = 60) -> None:
    enough = Event()
    for _ in range(int(within_s / 0.05)):
        if holds():
            return
        enough.wait(0.05)
    raise AssertionError("it never came true")


def test_no_request_is_lost_when_workers_are_replaced(served: tuple[str, psutil.Process]) -> None:
    address, parent = served
    _wait_for(lambda: len(workers_of(parent)) == 2)
    clients = [Client(address, keeps_alive) for keeps_alive in (True, True, False)]
    old = workers_of(parent)
    try:
        os.kill(parent.pid, signal.SIGHUP)
        _wait_for(lambda: len(workers_of(parent)) == 2 and not workers_of(parent) & old)
    finally:
        for client in clients:
            client.stop()
    assert [client.failures for client in clients] == [[], [], []]
    assert all(client.answered > 100 for client in clients)


def test_nothing_is_left_behind_by_processes_that_were_killed(served: tuple[str, psutil.Process]) -> None:
    address, parent = served
    _wait_for(lambda: len(workers_of(parent)) == 2)
    orphans = workers_of(parent)
    loaded = next(each for each in parent.children() if each.children())
    loaded.kill()
    _wait_for(lambda: len(workers_of(parent)) == 2 and not any(map(_lives, orphans)))
    with httpx.Client(timeout=30) as http:
        assert http.get(address + STATIONS).status_code == 200
    last = {each.pid for each in parent.children(recursive=True)}
    parent.kill()
    _wait_for(lambda: not any(map(_lives, last)))


def _lives(pid: int) -> bool:
    """Whoever has lost its parent may not be waited for by anyone."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_service_that_is_full_says_so_at_once(demo_folder: Path) -> None:
    with serving(demo_folder, MAX_REQUESTS="2", LOG_DIR=str(demo_folder / "full")) as address, ExitStack() as opened:
        http = opened.enter_context(httpx.Client(base_url=address, timeout=30))
        url = urlsplit(address)
        for _ in range(2):  # their bodies do not come
            connection = socket.create_connection((url.hostname or "", url.port or 0), timeout=30)
            opened.enter_context(connection)
            connection.sendall(
                b"POST /api/v1/webhooks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # it is waited for
        refused = http.get(STATIONS)
        problem = Problem.model_validate_json(refused.content)
        assert (refused.status_code, problem.status, refused.headers["retry-after"]) == (503, 503, "5")
        assert problem.request_id == refused.headers["x-request-id"]
        assert http.get("/health").status_code == http.get("/api/v1/health").status_code == 200
        assert "requests_turned_away_total 1.0" in http.get("/metrics").text
        with http.stream("GET", "/api/v1/stations/stream") as stream:
            assert stream.status_code == 200
        connection.sendall(b"{}")
        assert connection.recv(100).startswith(b"HTTP/1.1 ")
        assert http.get(STATIONS).status_code == 200
