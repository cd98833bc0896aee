"""`/metrics` of the running service."""

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx

from tests.acceptance.conftest import process_of, serving, workers_of

SEARCH = "/api/v1/stations?limit=1"
COUNTED = 'request_count_total{endpoint="/api/v1/stations",method="GET",status="200"}'


def sample(address: str, name: str) -> float | None:
    """The value of a sample, its labels in alphabetical order; `None` when there is none."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", httpx.get(f"{address}/metrics").text, re.MULTILINE)
    return float(found[1]) if found else None


def test_it_is_prometheus_text(demo_address: str) -> None:
    answer = httpx.get(f"{demo_address}/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# HELP request_count_total Total HTTP requests\n# TYPE request_count_total counter\n" in answer.text


def test_what_clients_send_adds_no_series(demo_address: str) -> None:
    with httpx.Client(base_url=demo_address) as http:
        for number in range(100):
            http.get(f"/api/v1/stations/{number + 1}")
            http.get(f"/none/{number}")
            http.request(f"X{number}", SEARCH)
        text = http.get("/metrics").text
    counted = re.findall(r"^request_count_total\{(.*)\}", text, re.MULTILINE)
    found = [labels for labels in counted if 'method="GET",status="200"' in labels and "station_id" in labels]
    templates = "/api/v1/stations/{station_id}", "/api/v1/stations/{station_id}/history"  # asked for by other tests
    assert set(found) <= {f'endpoint="{each}",method="GET",status="200"' for each in templates}
    assert len(set(found)) == len(found) >= 1
    missing = [labels for labels in counted if 'method="GET",status="404"' in labels and "unmatched" in labels]
    assert missing == ['endpoint="unmatched",method="GET",status="404"']
    assert any('method="other"' in labels for labels in counted)
    assert "/none/" not in text
    assert 'method="X' not in text


def test_the_catalogue_is_measured(demo_address: str) -> None:
    assert sample(demo_address, "voltway_replica_stations") == 2000
    assert sample(demo_address, 'voltway_source_stations{source="demo"}') == 2000
    assert (sample(demo_address, "memory_rss_bytes") or 0) > 50e6
    assert (sample(demo_address, 'db_query_duration_seconds_count{operation="select"}') or 0) > 0


def test_several_workers_count_together_also_when_one_was_killed(demo_folder: Path) -> None:
    with serving(demo_folder, "--workers", "2") as address:
        for _ in range(60):  # each on a connection of its own, so that both workers get some
            assert httpx.get(address + SEARCH).status_code == 200
        assert sample(address, COUNTED) == 60
        before = sample(address, "memory_rss_bytes")
        os.kill(min(workers_of(process_of(address))), signal.SIGKILL)
        for _ in range(60):
            with suppress(httpx.TransportError):  # what the killed one had accepted
                httpx.get(address + SEARCH)
        assert (sample(address, COUNTED) or 0) > 60
        assert before
        assert 0 < (sample(address, "memory_rss_bytes") or 0) < 1.5 * before


def test_off_means_off(demo_folder: Path) -> None:
    with serving(demo_folder, METRICS_ENABLED="false") as address:
        assert httpx.get(address + SEARCH).status_code == 200
        assert httpx.get(f"{address}/metrics").status_code == 404
        assert "/metrics" not in httpx.get(f"{address}/openapi.json").json()["paths"]
