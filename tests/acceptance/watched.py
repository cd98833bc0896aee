"""The service under load beside a real Prometheus with the rules of monitoring/, and what the dashboards ask it."""

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.acceptance.conftest import serving, voltway
from tests.acceptance.prometheus import Prometheus, comes_true, prometheus
from tests.conftest import DATA, ROOT
from tests.receiver import receiving

MONITORING = ROOT / "monitoring"
STATIONS = "/api/v1/stations"
STATION = {
    "source": "example", "external_id": "1", "title": "Market square", "latitude": 53.57, "longitude": 10.02,
    "evses": [{"uid": "1"}],
}  # fmt: skip
STATES = cycle(("AVAILABLE", "CHARGING"))
GRAFANA = {"$__rate_interval": "1m", "$__range": "5m", "$instance": ".*"}
"""What Grafana puts in: four scrape intervals of 15 s, which the data source names; the time shown; all instances."""


@dataclass(frozen=True)
class PanelQuery:
    """One of a panel's queries, as Grafana asks it."""

    board: str
    panel: str
    unit: str
    """As Grafana names it."""
    ref: str
    expression: str


def panel_queries() -> Iterator[PanelQuery]:
    """Those of all dashboards, in their order."""
    for file in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        board: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                unit = panel["fieldConfig"]["defaults"]["unit"]
                yield PanelQuery(
                    board["title"], panel["title"], unit, target["refId"], _as_grafana_asks(target["expr"])
                )


def _as_grafana_asks(expression: str) -> str:
    for variable, value in GRAFANA.items():
        expression = expression.replace(variable, value)
    return expression


def _load(http: httpx.Client) -> None:
    """What clients do, with their mistakes."""
    found = http.get(STATIONS, params={"latitude": 48.86, "longitude": 2.35, "limit": 5}).raise_for_status().json()
    http.get(f"{STATIONS}/{found[0]['id']}").raise_for_status()
    assert http.get(f"{STATIONS}/0").status_code in {404, 422}
    assert http.get(STATIONS, params={"latitude": 95}).status_code == 422
    assert http.get("/no-such-page").status_code == 404
    http.get("/api/v1/health").raise_for_status()
    http.post(f"{STATIONS}/bulk", json=[STATION]).raise_for_status()
    (ours,) = http.get(STATIONS, params={"source": "example"}).raise_for_status().json()
    state = {"station_id": ours["id"], "evse_uid": "1", "status": next(STATES)}
    http.post("/api/v1/status", json=[state | {"observed_at": datetime.now(UTC).isoformat()}]).raise_for_status()
    http.get(f"{STATIONS}/{ours['id']}/history").raise_for_status()


@contextmanager
def _under_load(address: str, key: str) -> Iterator[None]:
    """Until the end, several rounds a second, while one reads the stream and one has a webhook."""
    over = threading.Event()

    def client() -> httpx.Client:
        return httpx.Client(base_url=address, timeout=30, headers={"X-API-Key": key})

    def keep_watching() -> None:
        with client() as http, http.stream("GET", f"{STATIONS}/stream", params={"bbox": "10,53,11,54"}) as stream:
            for _ in stream.iter_lines():
                if over.is_set():
                    return

    def keep_asking(watching: Future[None]) -> None:
        with client() as http:
            while not watching.done():  # which needs something to see, to find that it is over
                _load(http)
                over.wait(0.2)

    with receiving() as receiver, client() as http, ThreadPoolExecutor(2) as pool:
        http.post("/api/v1/webhooks", json={"url": receiver.url}).raise_for_status()
        watching = pool.submit(keep_watching)
        asking = pool.submit(keep_asking, watching)
        try:
            yield
        finally:
            over.set()
        watching.result()
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


@contextmanager
def watched_service(folder: Path) -> Iterator[Prometheus]:
    """Prometheus, beside a service under load whose database is in `folder`, and that it has read a few times."""
    _done(folder, "migrate")
    _done(folder, "import", "irve", str(DATA / "irve" / "stations.csv"))
    _done(folder, "import", "ocpi", str(DATA / "ocpi" / "locations.json"))
    scopes = ("--scope", "stations:write", "--scope", "status:write", "--scope", "webhooks")
    key = _done(folder, "keys", "create", "load", *scopes)
    with (
        serving(folder, WEBHOOK_PRIVATE_TARGETS="true") as address,
        _under_load(address, key),
        prometheus(_configuration(address, folder), folder) as server,
    ):
        comes_true(lambda: server.answers('count_over_time(up{job="voltway"}[1m]) >= 3'))
        comes_true(lambda: all(server.answers(query.expression) for query in panel_queries()))
        yield server
