"""Answers while the catalogue changes: each was true at a moment between the request and its answer, and what happens
while a process sleeps reaches it."""

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event, Thread

import httpx2 as httpx
import pytest

from app.auth import Scope
from tests.acceptance.conftest import process_of, serving, voltway
from tests.keys import create_key

STATIONS, BULK, STATUS = "/api/v1/stations", "/api/v1/stations/bulk", "/api/v1/status"
WRITES = 60
STATES = ("CHARGING", "AVAILABLE", "OUTOFORDER", "AVAILABLE", "BLOCKED", "CHARGING", "AVAILABLE")
IN_ONE_REQUEST = 2_000


class Asking(Thread):
    """Asks all the time for the price of a station, which is a number that only grows."""

    def __init__(self, address: str, written: list[int]) -> None:
        super().__init__()
        self._address, self._written = address, written
        self.stop = Event()
        self.seen: list[tuple[int, int, int]] = []
        """Of each answer: what was written before it was asked for, what it said, what was being written by then."""

    def run(self) -> None:
        with httpx.Client(base_url=self._address, timeout=60) as http:
            while not self.stop.is_set():
                before = self._written[-1] - 1
                (station,) = http.get(STATIONS, params={"latitude": 1, "longitude": 1, "limit": 1}).json()
                self.seen.append((before, int(station["price"]), self._written[-1]))


def _priced(number: int) -> list[dict[str, object]]:
    return [
        {"source": "true", "external_id": "1", "title": "One", "latitude": 1, "longitude": 1, "price": str(number)}
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    voltway(tmp_path, "migrate")
    return tmp_path


@pytest.fixture
def url(request: pytest.FixtureRequest, folder: Path) -> str:
    return str(request.getfixturevalue("postgresql_url")) if request.param else f"sqlite:///{folder / 'voltway.db'}"


@pytest.fixture
def two(folder: Path, url: str) -> Iterator[tuple[httpx.Client, str]]:
    """A client of one process, which may write, and the address of another one of the same database."""
    key = create_key(url, "both", (Scope.STATIONS_WRITE, Scope.STATUS_WRITE))
    more = {"DATABASE_URL": url}
    with (
        serving(folder, **more) as one,
        serving(folder, **more) as other,
        httpx.Client(base_url=one, headers={"X-API-Key": key}, timeout=60) as http,
    ):
        yield http, other


on_both = pytest.mark.parametrize("url", [False, True], ids=["sqlite", "postgresql"], indirect=True)


@pytest.mark.once
@on_both
def test_an_answer_was_true_while_it_was_asked_for(two: tuple[httpx.Client, str]) -> None:
    http, other = two
    written = [1]
    """Numbers of which writing has begun; all but the last are stored and shown."""
    http.post(BULK, json=_priced(0)).raise_for_status()
    _until(lambda: httpx.get(f"{other}{STATIONS}").headers["x-total-count"] == "1")
    here, there = Asking(str(http.base_url), written), Asking(other, written)
    for thread in (here, there):
        thread.start()
    for number in range(1, WRITES):
        http.post(BULK, json=_priced(number)).raise_for_status()
        written.append(number + 1)
    for thread in (here, there):
        thread.stop.set()
        thread.join()
    assert all(before <= said <= after for before, said, after in here.seen)
    others = [said for _, said, _ in there.seen]
    assert others == sorted(others)
    assert all(said <= after for _, said, after in there.seen)
    assert len({said for _, said, _ in here.seen}) > WRITES / 4


@pytest.mark.once
@on_both
def test_what_happened_while_a_process_slept_reaches_it(
    folder: Path, url: str, two: tuple[httpx.Client, str]
) -> None:
    """More of it than any notice holds, and without reading everything again."""
    http, other = two
    numbers = range(IN_ONE_REQUEST)
    many = [
        {"source": "many", "external_id": str(n), "title": f"No. {n}", "latitude": 1 + n / 1_000, "longitude": 1,
         "evses": [{"uid": "1", "evse_id": f"DE*ABC*E{n}", "connectors": [{"type": "ccs2"}]}]}
        for n in numbers
    ]  # fmt: skip
    http.post(BULK, json=many).raise_for_status()
    process = process_of(other)
    with httpx.Client(base_url=other, timeout=60) as sleeper:
        _until(lambda: sleeper.get(STATIONS).headers["x-total-count"] == str(IN_ONE_REQUEST))
        process.send_signal(signal.SIGSTOP)
        try:
            for state in STATES:
                told = [{"evse_id": f"DE*ABC*E{n}", "status": state, "observed_at": _now()} for n in numbers]
                assert http.post(STATUS, json=told).json()["applied"] == IN_ONE_REQUEST
            http.post(BULK, json=many[:-1] + _priced(5)).raise_for_status()
        finally:
            process.send_signal(signal.SIGCONT)
        for skip in (0, 1_000, 2_000):
            page = {"limit": 1_000, "skip": skip, "latitude": 0, "longitude": 0}
            headers = {"If-None-Match": http.get(STATIONS, params=page).headers["etag"]}
            _until(partial(_is_known, sleeper, page, headers))


def _is_known(http: httpx.Client, page: dict[str, int], headers: dict[str, str]) -> bool:
    return http.get(STATIONS, params=page, headers=headers).status_code == 304


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _until(holds: Callable[[], bool], attempts: int = 3_000) -> None:
    assert any(holds() for _ in range(attempts))
