"""Telling the states of EVSEs over a socket, and reading them from a file, as a user does."""

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.auth import Scope
from tests.acceptance.conftest import serving, voltway
from tests.conftest import ROOT
from tests.keys import create_key

STATIONS, STATUS = "/api/v1/stations", "/api/v1/status"
TTL_S = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("status")
    shutil.copy(migrated_sqlite_file, folder / "voltway.db")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(folder) as address:
        yield address


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    return create_key(f"sqlite:///{folder / 'voltway.db'}", "all")


@pytest.fixture
def http(address: str, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60, headers={"X-API-Key": key}) as client:
        yield client


def put(http: httpx.Client, source: str, *evse_ids: str) -> int:
    """A station with EVSEs of these public ids; its id."""
    evses = [
        {"uid": str(n), "evse_id": evse_id, "connectors": [{"type": "ccs2"}]}
        for n, evse_id in enumerate(evse_ids, start=1)
    ]
    station = {"source": source, "external_id": "1", "title": source, "latitude": 47, "longitude": 8, "evses": evses}
    assert http.post(f"{STATIONS}/bulk", json=[station]).json()["created"] == 1
    (found,) = http.get(STATIONS, params={"source": source}).json()
    return int(found["id"])


def state(evse_id: str, status: str, seconds_ago: float = 0) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return {"evse_id": evse_id, "status": status, "observed_at": at.isoformat()}


def evses(http: httpx.Client, station_id: int) -> dict[str, dict[str, Any]]:
    return {evse["uid"]: evse for evse in http.get(f"{STATIONS}/{station_id}").json()["evses"]}


def test_what_is_told_is_found_at_once(http: httpx.Client) -> None:
    station_id = put(http, "one", "DE*ONE*E1", "DE*ONE*E2")
    told = http.post(STATUS, json=[state("deonee1", "CHARGING", 2), state("DE-ONE-E2", "AVAILABLE", 1)])
    assert (told.status_code, told.json()["applied"], told.json()["results"]) == (200, 2, ["applied", "applied"])
    (found,) = http.get(STATIONS, params={"source": "one", "status": "available"}).json()
    assert (found["status"], found["available_count"], found["evse_count"]) == ("available", 1, 2)
    assert [group["available"] for group in found["connectors"]] == [1]
    shown = evses(http, station_id)
    assert [(each["evse_id"], each["status"], each["stale_since"]) for each in shown.values()] == [
        ("DE*ONE*E1", "CHARGING", None), ("DE*ONE*E2", "AVAILABLE", None),
    ]  # fmt: skip


def test_a_repeated_and_a_late_request_change_nothing(http: httpx.Client) -> None:
    put(http, "two", "DE*TWO*E1")
    new, old = [state("DE*TWO*E1", "AVAILABLE", 1)], [state("DE*TWO*E1", "OUTOFORDER", 9)]
    results = [http.post(STATUS, json=sent).json()["results"] for sent in (new, new, old)]
    assert results == [["applied"], ["unchanged"], ["superseded"]]
    assert http.get(STATIONS, params={"source": "two"}).json()[0]["status"] == "available"


def test_bad_items_do_not_hold_up_the_others(http: httpx.Client) -> None:
    station_id = put(http, "three", "DE*THR*E1")
    good = state("DE*THR*E1", "BLOCKED", 1)
    at = good["observed_at"]
    lines = [
        json.dumps(good),
        "{",
        json.dumps(state("DE*NOBODY", "AVAILABLE")),
        json.dumps(good | {"status": "free"}),
        json.dumps(good | {"observed_at": "2026-05-01T12:00:00"}),
        json.dumps(good | {"observed_at": "9999-12-31T23:59:59-14:00"}),
        json.dumps(good | {"station_id": station_id, "evse_uid": "1"}),
        json.dumps({"station_id": station_id, "status": "BLOCKED", "observed_at": at}),
        json.dumps(good | {"evse_id": "*-"}),
        json.dumps({"station_id": station_id, "evse_uid": "1", "status": "BLOCKED", "observed_at": at}),
        "7",
    ]
    told = http.post(STATUS, content="\n".join(lines), headers={"Content-Type": "application/x-ndjson"}).json()
    bad = "rejected"
    assert told["results"] == ["applied", bad, "unknown", bad, bad, bad, bad, bad, bad, "unchanged", bad]
    assert (told["applied"], told["unchanged"], told["unknown"], told[bad]) == (1, 1, 1, 8)
    assert [(error["index"], error["name"]) for error in told["errors"]] == [
        (1, "item"), (3, "status"), (4, "observed_at"), (5, "observed_at"), (6, "item"), (7, "item"), (8, "item"),
        (10, "item"),
    ]  # fmt: skip


def test_a_clock_that_is_ahead_is_told(http: httpx.Client) -> None:
    station_id = put(http, "four", "DE*FOU*E1")
    told = http.post(STATUS, json=[state("DE*FOU*E1", "AVAILABLE", -3_600)]).json()
    assert (told["applied"], told["ahead"]) == (1, 1)
    shown = datetime.fromisoformat(evses(http, station_id)["1"]["observed_at"])
    assert shown <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{}", 422), (b"[", 400), (b"[" + b"1," * 10_000 + b"1]", 413), (b"[]", 200)],
    ids=["object", "cut", "many", "none"],
)
def test_a_body_that_is_no_list_is_refused(http: httpx.Client, body: bytes, status: int) -> None:
    assert http.post(STATUS, content=body, headers={"Content-Type": "application/json"}).status_code == status


def test_a_key_of_another_scope_does_not_open_it(address: str, folder: Path) -> None:
    other = create_key(f"sqlite:///{folder / 'voltway.db'}", "stations", [Scope.STATIONS_WRITE])
    assert httpx.post(address + STATUS, json=[]).status_code == 401
    refused = httpx.post(address + STATUS, json=[], headers={"X-API-Key": other})
    assert (refused.status_code, "status:write" in refused.json()["detail"]) == (403, True)


def test_a_state_that_is_not_told_again_is_not_shown_for_ever(tmp_path: Path, migrated_sqlite_file: Path) -> None:
    shutil.copy(migrated_sqlite_file, tmp_path / "voltway.db")
    key = create_key(f"sqlite:///{tmp_path / 'voltway.db'}", "all")
    with (
        serving(tmp_path, STATUS_TTL_MINUTES="60", REPLICA_POLL_SECONDS="0.05") as address,
        httpx.Client(base_url=address, timeout=60, headers={"X-API-Key": key}) as http,
    ):
        station_id = put(http, "frozen", "DE*FRO*E1", "DE*FRO*E2")
        seen = state("DE*FRO*E1", "AVAILABLE", 3_600 - TTL_S), state("DE*FRO*E2", "AVAILABLE", 3_601)
        assert http.post(STATUS, json=seen).json()["applied"] == 2
        old = evses(http, station_id)["2"]
        until = datetime.fromisoformat(old["observed_at"]) + timedelta(hours=1)
        assert (old["status"], datetime.fromisoformat(old["stale_since"])) == ("UNKNOWN", until)
        found = http.get(STATIONS, params={"status": "available"}).json()
        assert [each["available_count"] for each in found] == [1]
        deadline = datetime.now(UTC) + timedelta(seconds=30)
        while http.get(STATIONS, params={"status": "available"}).json():
            assert datetime.now(UTC) < deadline
        assert http.get(STATIONS).json()[0]["status"] == "unknown"
        assert evses(http, station_id)["1"]["stale_since"] is not None
    with serving(tmp_path) as address:  # counts at its start
        deadline = datetime.now(UTC) + timedelta(seconds=30)
        while 'voltway_live_evses{source="api",state="stale"} 2.0' not in httpx.get(address + "/metrics").text:
            assert datetime.now(UTC) < deadline


def test_the_example_of_the_documentation(address: str, key: str, folder: Path) -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("## Telling the state of EVSEs")[2]
    command, answer = re.findall(r"```(?:sh|json)\n(.*?)```", page, re.DOTALL)[:2]
    (folder / "reporter.key").write_text(key)
    with httpx.Client(base_url=address, timeout=60, headers={"X-API-Key": key}) as http:
        assert put(http, "doc", "DE*DOC*E1") > 0
        known = http.get(STATIONS, params={"limit": 1000}).json()
        assert "2" in {str(each["id"]) for each in known}
        newer = {"station_id": 2, "evse_uid": "1", "status": "CHARGING", "observed_at": datetime.now(UTC).isoformat()}
        assert http.post(STATUS, json=[newer]).json()["rejected"] == 0
    done = subprocess.run(
        ["bash", "-c", command.replace("http://127.0.0.1:8000", address)],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == json.loads(answer)


def test_states_of_a_real_day(tmp_path: Path, migrated_sqlite_file: Path, real_data: Path) -> None:
    """The national file and one of its changes: read = applied + … + rejected, and the same again changes nothing."""
    shutil.copy(migrated_sqlite_file, tmp_path / "voltway.db")
    folder = real_data / "irve"
    changes = sorted((folder / "dynamic-changes-2026-08-18").glob("*.csv.gz"))[0]
    assert voltway(tmp_path, "import", "irve", str(folder / "static-2026.csv.gz")).returncode == 0
    snapshot = folder / "dynamic-snapshot-2026-08-18.csv.gz"
    files = (snapshot, changes, snapshot)
    counts = [_counts(voltway(tmp_path, "import", "irve-live", str(file)).stdout) for file in files]
    for count in counts:
        assert count.pop("read") == sum(count.values())
    with gzip.open(snapshot, "rt", encoding="utf-8") as file:
        assert sum(counts[0].values()) == sum(1 for _ in file) - 1
    assert counts[0]["applied"] > 10_000
    assert "applied" not in counts[2]


def _counts(printed: str) -> dict[str, int]:
    """Of the report's first line."""
    line = re.sub(r"states read =", "read +", printed.splitlines()[0].partition(": ")[2])
    return {name: int(number.replace(",", "")) for number, name in (part.split() for part in line.split(" + "))}


def test_what_is_free_is_counted_in_one_call(http: httpx.Client) -> None:
    station_id = put(http, "counted", "DE*CNT*E1", "DE*CNT*E2", "DE*CNT*E3")
    http.post(STATUS, json=[state("DE*CNT*E1", "AVAILABLE", 30), state("DE*CNT*E2", "CHARGING", 90)])
    answer = http.get("/api/v1/availability", params={"ids": f"{station_id},999999"}).json()
    (item,) = answer["items"]
    assert (item["station_id"], item["status"], answer["missing"]) == (station_id, "available", [999999])
    (group,) = item["connectors"]
    assert answer["connectors"] == [group]
    newest, oldest = group.pop("newest_age_s"), group.pop("oldest_age_s")
    assert 30 <= newest < 60
    assert oldest - newest in {59, 60, 61}
    assert group == {
        "type": "ccs2", "power_class": "unknown", "total": 3, "available": 1, "occupied": 1, "maintenance": 0,
        "unknown": 1,
    }  # fmt: skip
    boxed = http.get("/api/v1/availability", params={"bbox": "7.9,46.9,8.1,47.1"}).json()
    assert (boxed["items"], boxed["missing"]) == (None, None)
    assert boxed["stations"]["total"] >= 1
    assert sum(group["available"] for group in boxed["connectors"]) >= 1


@pytest.mark.parametrize(
    "query", [{}, {"ids": "1", "bbox": "0,0,1,1"}, {"ids": "x"}, {"bbox": "1"}, {"ids": "1", "q": "x"}]
)
def test_what_cannot_be_counted_is_said(http: httpx.Client, query: dict[str, str]) -> None:
    answer = http.get("/api/v1/availability", params=query)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:voltway:problem:invalid-request")
