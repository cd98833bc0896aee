"""What is cached never outlives a change: two serving processes, one database, one Redis."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests import services
from tests.acceptance.conftest import serving, voltway
from tests.acceptance.test_metrics import sample

DETAIL = "/api/v1/stations/7"
CACHE = "app.api.v1.details.detail_of_version"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    voltway(tmp_path, "migrate")
    voltway(tmp_path, "demo")
    return tmp_path


@pytest.fixture
def two(folder: Path, redis_url: str) -> Iterator[tuple[str, str]]:
    settings = {"REPLICA_POLL_SECONDS": "0.01", "REDIS_URL": redis_url, "CACHE_REDIS_WAIT": "5"}
    with serving(folder, **settings) as first, serving(folder, **settings) as second:
        yield first, second


def _rename(folder: Path, title: str) -> None:
    connection = sqlite3.connect(folder / "voltway.db", timeout=30)
    with connection:
        connection.execute("UPDATE stations SET title = ? WHERE id = 7", (title,))
    connection.close()


def _await_in_search(address: str, title: str) -> None:
    for _ in range(2_000):
        if httpx.get(f"{address}/api/v1/stations", params={"q": title}).json():
            return
    raise AssertionError(f"{title} was never found")


def _look_ups(address: str, tier: str, result: str) -> float:
    labels = f'{{cache="{CACHE}",result="{result}",tier="{tier}"}}'
    return sample(address, f"cache_requests_total{labels}") or 0


def test_one_process_uses_what_the_other_has_read(two: tuple[str, str]) -> None:
    first, second = two
    answers = [httpx.get(address + DETAIL).content for address in (first, first, second, second)]
    assert len(set(answers)) == 1
    assert [_look_ups(first, "redis", result) for result in ("miss", "hit")] == [1, 0]
    assert [_look_ups(second, "redis", result) for result in ("miss", "hit")] == [0, 1]
    assert [_look_ups(second, "memory", result) for result in ("miss", "hit")] == [1, 1]


def test_a_change_that_a_search_shows_is_in_the_detail_too(two: tuple[str, str], folder: Path) -> None:
    for number in range(10):
        for address in two:
            assert httpx.get(address + DETAIL).status_code == 200  # now it is cached
        title = f"renamed number {number}."
        _rename(folder, title)
        for address in two:
            _await_in_search(address, title)
            assert httpx.get(address + DETAIL).json()["title"] == title


def test_it_goes_on_when_redis_dies_and_when_it_comes_back(folder: Path) -> None:
    port = services.free_port()
    with serving(folder, REPLICA_POLL_SECONDS="0.01", REDIS_URL=f"redis://127.0.0.1:{port}/0") as address:
        for number, alive in enumerate([False, True, False]):
            title = f"renamed number {number}."
            if alive:
                with services.redis(port=port):
                    _rename(folder, title)
                    _await_in_search(address, title)
                    assert httpx.get(address + DETAIL).json()["title"] == title
            _rename(folder, title)
            _await_in_search(address, title)
            assert httpx.get(address + DETAIL).json()["title"] == title
