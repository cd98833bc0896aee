"""A real Prometheus with the rules of monitoring/ reads the running service and answers every query of a panel."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from tests.acceptance.conftest import serving, voltway
from tests.acceptance.prometheus import Prometheus, comes_true, prometheus
from tests.conftest import DATA, ROOT

MONITORING = ROOT / "monitoring"
STATIONS = "/api/v1/stations"
STATION = {"source": "example", "external_id": "1", "title": "Market square", "latitude": 53.57, "longitude": 10.02}
GRAFANA = {"$__rate_interval": "1m", "$__range": "5m", "$instance": ".*"}
"""What Grafana puts in: four scrape intervals of 15 s, which the data source names; the time shown; all instances."""


def _panel_queries() -> Iterator[Any]:
    for file in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                name = f"{file.stem}: {panel['title']}: {target['refId']}"
                yield pytest.param(_as_grafana_asks(target["expr"]), id=name)


def _as_grafana_asks(expression: str) -> str:
    for variable, value in GRAFANA.items():
        expression = expression.replace(variable, value)
    return expression


def _rules(kind: str) -> Iterator[Any]:
    for file in sorted((MONITORING / "rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if kind in rule:
                    yield pytest.param(rule["expr"], id=rule[kind])


def _runbook_queries() -> list[str]:
    page = (ROOT / "docs" / "operations" / "runbook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```promql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def _load(http: httpx.Client, key: str) -> None:
    """What clients do, with their mistakes."""
    found = http.get(STATIONS, params={"latitude": 48.86, "longitude": 2.35, "limit": 5}).raise_for_status().json()
    http.get(f"{STATIONS}/{found[0]['id']}").raise_for_status()
    assert http.get(f"{STATIONS}/0").status_code in {404, 422}
    assert http.get(STATIONS, params={"latitude": 95}).status_code == 422
    assert http.get("/no-such-page").status_code == 404
    http.get("/api/v1/health").raise_for_status()
    http.post(f"{STATIONS}/bulk", json=[STATION], headers={"X-API-Key": key}).raise_for_status()


@contextmanager
def _under_load(address: str, key: str) -> Iterator[None]:
    """Until the end, several rounds a second."""
    over = threading.Event()

    def keep_asking() -> None:
        with httpx.Client(base_url=address, timeout=30) as http:
            while not over.is_set():
                _load(http, key)
                over.wait(0.2)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(keep_asking)
        try:
            yield
        finally:
            over.set()
        asking.result()


def _configuration(address: str, folder: Path) -> Path:
    """Copy of monitoring/ for a service elsewhere and a test that does not wait for minutes."""
    shutil.copytree(MONITORING / "rules", folder / "rules")
    text = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    file = folder / "prometheus.yml"
    file.write_text(text.replace("localhost:8000", address.removeprefix("http://")).replace(": 15s", ": 1s"))
    return file


def _done(folder: Path, *arguments: str) -> str:
    """What a command of VoltWay prints last."""
    done = voltway(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def watched(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus, beside a service under load that it has read a few times."""
    folder = tmp_path_factory.mktemp("monitoring")
    shutil.copy(migrated_sqlite_file, folder / "voltway.db")
    _done(folder, "import", "irve", str(DATA / "irve" / "stations.csv"))
    key = _done(folder, "keys", "create", "load", "--scope", "stations:write")
    with (
        serving(folder) as address,
        _under_load(address, key),
        prometheus(_configuration(address, folder), folder) as server,
    ):
        comes_true(lambda: server.answers('count_over_time(up{job="voltway"}[1m]) >= 3'))
        queries = [query.values[0] for query in (*_panel_queries(), *_rules("record"))]
        comes_true(lambda: all(map(server.answers, queries)))
        yield server


def test_it_reads_the_service(watched: Prometheus) -> None:
    (target,) = watched.get("/api/v1/targets", state="active")["activeTargets"]
    assert target["health"] == "up", target["lastError"]
    assert target["labels"]["job"] == "voltway"
    assert target["scrapeUrl"].endswith("/metrics")


@pytest.mark.parametrize("expression", list(_panel_queries()))
def test_query_of_a_panel_returns_data(expression: str, watched: Prometheus) -> None:
    assert watched.answers(expression), f"no number for {expression}"


@pytest.mark.parametrize("expression", list(_rules("record")))
def test_recording_rule_returns_data(expression: str, watched: Prometheus) -> None:
    assert watched.answers(expression), f"no number for {expression}"


@pytest.mark.parametrize("expression", list(_rules("alert")))
def test_alert_can_be_computed(expression: str, watched: Prometheus) -> None:
    watched.query(expression)


@pytest.mark.parametrize("expression", _runbook_queries())
def test_query_of_the_runbook_can_be_computed(expression: str, watched: Prometheus) -> None:
    watched.query(expression)


def test_variable_of_the_dashboards_finds_the_instance(watched: Prometheus) -> None:
    (series,) = watched.get("/api/v1/series", **{"match[]": 'up{job="voltway"}'})
    assert series["instance"].startswith("127.0.0.1:")


def test_all_rules_were_evaluated_and_nothing_fires_in_a_sound_service(watched: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in watched.get("/api/v1/rules")["groups"] for rule in group["rules"]]

    assert comes_true(lambda: all(rule["health"] == "ok" for rule in rules())), rules()
    assert [rule["name"] for rule in rules() if rule.get("state") == "firing"] == []
