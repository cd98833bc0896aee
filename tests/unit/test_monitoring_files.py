"""What monitoring/ holds is valid, whole, and explained in docs/operations."""

import json
import logging
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.prometheus import program
from tests.conftest import ROOT
from tools import log_events, metrics_table

MONITORING = ROOT / "monitoring"
OPERATIONS = ROOT / "docs" / "operations"
RULE_TESTS = sorted((MONITORING / "rules" / "tests").glob("*.yml"))
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
YAML_FILES = sorted(MONITORING.rglob("*.yml"))

GUIDE_PROMETHEUS = """
global:
  scrape_interval: 15s
scrape_configs:
  - job_name: 'voltway'
    static_configs:
      - targets: ['localhost:8000']
    metrics_path: '/metrics'
"""
GUIDE_FILEBEAT = """
filebeat.inputs:
  - type: log
    enabled: true
    paths:
      - /path/to/logs/app.log
    json.message_key: msg
    json.keys_under_root: true
"""


def _promtool(*arguments: str | Path) -> None:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _load(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _rules() -> list[dict[str, Any]]:
    files = sorted((MONITORING / "rules").glob("*.yml"))
    return [rule for file in files for group in _load(file)["groups"] for rule in group["rules"]]


def _alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def _panels(file: Path) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text(encoding="utf-8"))["panels"])


def _holds(whole: Any, part: Any) -> bool:
    """Whether everything in `part` stands in `whole` at the same place."""
    if isinstance(part, dict):
        return all(key in whole and _holds(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) >= len(part) and all(map(_holds, whole, part))
    return bool(whole == part)


def test_prometheus_accepts_the_configuration_and_the_rules() -> None:
    _promtool("check", "config", MONITORING / "prometheus.yml")
    _promtool("check", "rules", *sorted((MONITORING / "rules").glob("*.yml")))


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_rules_do_what_their_tests_say(file: Path) -> None:
    _promtool("test", "rules", file)


@pytest.mark.parametrize(
    ("file", "guide"),
    [("prometheus.yml", GUIDE_PROMETHEUS), ("filebeat.yml", GUIDE_FILEBEAT)],
    ids=["prometheus", "filebeat"],
)
def test_configuration_holds_that_of_the_guide(file: str, guide: str) -> None:
    assert _holds(_load(MONITORING / file), yaml.safe_load(guide))


def test_every_alert_fires_in_a_rule_test() -> None:
    tests = [test for file in RULE_TESTS for test in _load(file)["tests"]]
    checks = [check for test in tests for check in test.get("alert_rule_test", [])]
    assert {check["alertname"] for check in checks if check.get("exp_alerts")} == set(_alerts())


def test_every_alert_tells_how_bad_it_is_what_is_the_case_and_where_to_read_on() -> None:
    for name, alert in _alerts().items():
        assert alert["labels"]["severity"] in {"critical", "warning"}, name
        assert "{{ $value" in alert["annotations"]["description"], name
        assert alert["annotations"]["summary"], name
        assert alert["annotations"]["runbook_url"] == f"docs/operations/runbook.md#{name.lower()}"


def test_runbook_has_an_entry_for_every_alert_and_no_other() -> None:
    page = (OPERATIONS / "runbook.md").read_text(encoding="utf-8")
    entries = re.split(r"^## (Voltway\w+)$", page, flags=re.MULTILINE)[1:]
    assert set(entries[::2]) == set(_alerts())
    for name, entry in zip(entries[::2], entries[1::2], strict=True):
        for part in ("**Means.**", "**How bad.**", "**First look.**", "**Usual causes.**", "**Do.**"):
            assert part in entry, f"{name} lacks {part}"


def test_names_in_alerts_dashboards_and_runbook_are_those_of_metrics_and_rules() -> None:
    known = {row.name for row in metrics_table.rows()} | {rule.get("record") for rule in _rules()}
    known |= {f"{row.name}_{part}" for row in metrics_table.rows() for part in ("bucket", "count", "sum")}
    known |= {"up", "ALERTS"}
    texts = [str(rule["expr"]) for rule in _rules()]
    texts += [target["expr"] for file in DASHBOARDS for panel in _panels(file) for target in panel.get("targets", [])]
    runbook = (OPERATIONS / "runbook.md").read_text(encoding="utf-8")
    texts += re.findall(r"^```promql\n(.*?)^```", runbook, re.MULTILINE | re.DOTALL)
    used = {name for text in texts for name in re.findall(r"([a-zA-Z_:][\w:]*)(?:\{|\[)", text)}
    assert used
    assert used <= known


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_dashboard_is_whole(file: Path) -> None:
    board = json.loads(file.read_text(encoding="utf-8"))
    panels = board["panels"]
    assert board["uid"]
    assert board["title"]
    assert board["schemaVersion"] >= 39
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in _cells(panel["gridPos"])]
    assert len(cells) == len(set(cells)), "panels overlap"
    assert max(x for x, _ in cells) < 24
    for panel in panels:
        if panel["type"] != "row":
            _check_panel(panel)


def _cells(place: dict[str, int]) -> list[tuple[int, int]]:
    columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
    return [(x, y) for x in columns for y in lines]


def _check_panel(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"], panel["title"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["legendFormat"] or panel["type"] in {"stat", "table"}, panel["title"]


def test_service_dashboard_has_the_panels_of_the_guide() -> None:
    titles = {panel["title"] for panel in _panels(MONITORING / "grafana" / "dashboards" / "service.json")}
    assert titles >= {"Request rate", "Request latency", "Error rate and types", "Database query performance"}
    assert titles >= {"Cache hit ratio", "Memory usage", "Active connections"}


@pytest.mark.parametrize("file", YAML_FILES, ids=lambda file: file.relative_to(MONITORING).as_posix())
def test_yaml_file_is_valid(file: Path) -> None:
    assert isinstance(_load(file), dict)


def test_compose_file_mounts_what_exists_and_pins_its_images() -> None:
    services = _load(MONITORING / "compose.yml")["services"]
    assert services.keys() >= {"prometheus", "grafana", "filebeat"}
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (MONITORING / volume.split(":")[0]).exists(), volume


def test_grafana_finds_the_data_source_and_the_dashboards() -> None:
    (source,) = _load(MONITORING / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    (provider,) = _load(MONITORING / "grafana/provisioning/dashboards/voltway.yml")["providers"]
    grafana = _load(MONITORING / "compose.yml")["services"]["grafana"]
    assert source["url"].removeprefix("$") in grafana["environment"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    interval = _load(MONITORING / "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval


def test_metrics_page_is_that_of_the_code() -> None:
    page = (OPERATIONS / "metrics.md").read_text(encoding="utf-8")
    assert metrics_table.table() in page, "run tools/metrics_table.py and put what it prints into the page"


def test_log_page_lists_the_events_of_the_code() -> None:
    page = (OPERATIONS / "logs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+?)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    documented = {(name, levels, fields) for name, levels, fields, _, _ in rows}
    assert documented == {event.cells for event in log_events.events(ROOT / "app")}, "see tools/log_events.py"
    for name, _, _, meaning, action in rows:
        assert meaning, name
        assert action, name


def test_log_events_have_stable_names() -> None:
    for event in log_events.events(ROOT / "app"):
        assert re.fullmatch(r"[a-z][a-z0-9_…]*", event.name), f"{event.name!r}: put what changes into fields"


def test_fields_of_log_events_do_not_clash_with_those_of_a_record() -> None:
    taken = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
    for event in log_events.events(ROOT / "app"):
        assert not taken & set(event.fields), f"{event.name}: logging refuses such a field with a KeyError"
