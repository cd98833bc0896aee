"""A real Prometheus with the rules of monitoring/ reads the running service and answers every query of a panel."""

import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.prometheus import Prometheus, comes_true
from tests.acceptance.watched import MONITORING, panel_queries, watched_service
from tests.conftest import ROOT
from tools import dashboard_queries

pytestmark = pytest.mark.once


def _panel_queries() -> Iterator[Any]:
    for query in panel_queries():
        yield pytest.param(query.expression, id=f"{query.board}: {query.panel}: {query.ref}")


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


@pytest.fixture(scope="module")
def watched(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("monitoring")
    shutil.copy(migrated_sqlite_file, folder / "voltway.db")
    with watched_service(folder) as server:
        recorded = [rule.values[0] for rule in _rules("record")]
        comes_true(lambda: all(map(server.answers, recorded)))
        yield server


def test_it_reads_the_service(watched: Prometheus) -> None:
    (target,) = watched.get("/api/v1/targets", state="active")["activeTargets"]
    assert target["health"] == "up", target["lastError"]
    assert target["labels"]["job"] == "voltway"
    assert target["scrapeUrl"].endswith("/metrics")


@pytest.mark.parametrize("expression", list(_panel_queries()))
def test_query_of_a_panel_returns_data(expression: str, watched: Prometheus) -> None:
    assert watched.answers(expression), f"no number for {expression}"


@pytest.mark.parametrize(
    "panel", ["EVSEs with live status", "Open streams", "Stream events", "History reads", "Webhook deliveries"]
)
def test_panel_shows_what_is_done(panel: str, watched: Prometheus) -> None:
    (query, *_) = (each.expression for each in panel_queries() if each.panel == panel)
    assert comes_true(lambda: any(value > 0 for _, value in watched.query(query)))


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


def test_picture_of_the_answers_shows_every_panel_and_its_last_value(watched: Prometheus) -> None:
    picture = html.unescape(dashboard_queries.draw(watched, seconds=5)).replace("\xa0", " ")
    for query in panel_queries():
        assert query.panel in picture
    assert "│none│" not in picture.replace(" ", "")


@pytest.mark.parametrize(
    ("course", "bars"), [([], ""), ([3, 3], "▁▁"), ([0, 7, 3.5], "▁█▅")], ids=["empty", "flat", "rising and falling"]
)
def test_course_is_drawn_from_its_least_to_its_greatest_number(course: list[float], bars: str) -> None:
    assert dashboard_queries.sparkline(course) == bars
