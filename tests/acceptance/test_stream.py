"""Watching live status over a socket, through two serving processes on one database."""

import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson
import pytest

from app.api.v1.history import StationHistory
from app.api.v1.schemas import StationGone, StationStatusEvent
from tests.acceptance.conftest import serving
from tests.keys import create_key

STATIONS, STATUS, STREAM = "/api/v1/stations", "/api/v1/status", "/api/v1/stations/stream"
TIME_TO_LIVE = timedelta(hours=1)
"""The default of STATUS_TTL_MINUTES."""
CITY = "9.9,53.4,10.1,53.6"


@dataclass(frozen=True)
class Event:
    """As a browser's EventSource sees it."""

    id: str
    name: str
    data: dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("stream")
    shutil.copy(migrated_sqlite_file, folder / "voltway.db")
    return folder


@pytest.fixture(scope="module")
def processes(folder: Path) -> Iterator[list[httpx.Client]]:
    """Two, and a city with three stations: 1 and 2 have CCS2, 2 and 3 Type 2."""
    key = {"X-API-Key": create_key(f"sqlite:///{folder / 'voltway.db'}", "all")}
    with (
        serving(folder, MAX_STREAMS="5") as one,
        serving(folder, MAX_STREAMS="5") as other,
        httpx.Client(base_url=one, timeout=30, headers=key) as first,
        httpx.Client(base_url=other, timeout=30, headers=key) as second,
    ):
        stations = [_station(1, ["ccs2"]), _station(2, ["ccs2", "type2"]), _station(3, ["type2"])]
        assert first.post(f"{STATIONS}/bulk", json=stations).json()["created"] == 3
        with stream(second, bbox=CITY) as events:  # until it, too, knows them
            while {"1", "2", "3"} - {each["external_id"] for each in second.get(STATIONS).json()}:
                next(events)
        yield [first, second]


def _station(number: int, kinds: list[str], **more: Any) -> dict[str, Any]:
    evses = [{"uid": "a", "evse_id": f"DE*STR*E{number}", "connectors": [{"type": kind} for kind in kinds]}]
    place = {"latitude": 53.5, "longitude": 10.0}
    return {"source": "city", "external_id": str(number), "title": f"Station {number}", "evses": evses} | place | more


@contextmanager
def stream(http: httpx.Client, after: str | None = None, **query: Any) -> Iterator[Iterator[Event]]:
    headers = {} if after is None else {"Last-Event-ID": after}
    with http.stream("GET", STREAM, params=query, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[Event]:
    """As the HTML standard reads them, section 9.2.6."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line and "data" in fields:
            yield Event(fields["id"], fields.pop("event"), orjson.loads(fields.pop("data")))


def until_ready(events: Iterator[Event]) -> list[Event]:
    """What comes before `ready`, which is the last of them."""
    told = []
    for event in events:
        told.append(event)
        if event.name == "ready":
            return told
    raise AssertionError("the stream ended")


def tell(http: httpx.Client, number: int, status: str, ago: timedelta = timedelta(0)) -> None:
    at = datetime.now(UTC) - ago
    state = {"evse_id": f"DE*STR*E{number}", "status": status, "observed_at": at.isoformat()}
    assert http.post(STATUS, json=[state]).json()["applied"] == 1


def ids(http: httpx.Client) -> dict[str, int]:
    return {each["external_id"]: each["id"] for each in http.get(STATIONS, params={"source": "city"}).json()}


def states(events: list[Event]) -> dict[int, list[str]]:
    return {
        each.data["station_id"]: [evse["status"] for evse in each.data["evses"]]
        for each in events
        if each.name == "status"
    }


def test_a_change_reaches_those_who_watch_it_in_both_processes(processes: list[httpx.Client]) -> None:
    known = ids(processes[0])
    with (
        stream(processes[0], ids=f"{known['1']},{known['2']}") as by_id,
        stream(processes[1], bbox=CITY, connector="ccs2", snapshot="true") as by_box,
        stream(processes[1], bbox="0,0,1,1") as elsewhere,
    ):
        assert [each.name for each in until_ready(by_id)] == ["ready"]
        assert states(until_ready(by_box)).keys() == {known["1"], known["2"]}
        until_ready(elsewhere)
        tell(processes[0], 3, "CHARGING")
        tell(processes[0], 2, "AVAILABLE")
        for events in (by_id, by_box):
            event = next(events)
            assert (event.name, event.data["station_id"]) == ("status", known["2"])
            shown = StationStatusEvent.model_validate(event.data)
            assert (shown.status, shown.available_count, shown.evse_count) == ("available", 1, 1)
            assert shown.updated_at == shown.evses[0].observed_at
            assert shown.evses[0].connectors == ["ccs2", "type2"]
        processes[1].post(f"{STATIONS}/bulk", json=[_station(4, [], latitude=0.5, longitude=0.5)]).raise_for_status()
        assert next(elsewhere).data["evses"][0]["evse_id"] == "DE*STR*E4"


def test_who_comes_back_to_another_process_misses_nothing(processes: list[httpx.Client]) -> None:
    known = ids(processes[0])
    with stream(processes[0], bbox=CITY) as events:
        (ready,) = until_ready(events)
    tell(processes[0], 1, "CHARGING")
    tell(processes[0], 3, "OUTOFORDER")
    tell(processes[0], 1, "AVAILABLE")
    with stream(processes[1], after=ready.id, bbox=CITY) as events:
        told = until_ready(events)
    assert states(told) == {known["1"]: ["AVAILABLE"], known["3"]: ["OUTOFORDER"]}
    (before_last,) = (each for each in told if each.data.get("station_id") == known["3"])
    with stream(processes[1], after=before_last.id, bbox=CITY) as events:
        assert states(until_ready(events)).keys() == {known["1"]}


def test_who_breaks_off_in_a_snapshot_is_told_the_rest(processes: list[httpx.Client]) -> None:
    known = ids(processes[0])
    with stream(processes[0], bbox=CITY, snapshot="true") as events:
        first = next(events)
    tell(processes[0], 1, "BLOCKED")
    with stream(processes[1], after=first.id, bbox=CITY, snapshot="true") as events:
        told = until_ready(events)
    assert states(told) == states(told) | {known["1"]: ["BLOCKED"]}
    assert states(told).keys() == {known["1"], known["2"], known["3"]}
    assert "/" not in told[-1].id


def test_a_state_that_grows_too_old_is_told(processes: list[httpx.Client]) -> None:
    station = _station(6, ["ccs2"], longitude=50.0)
    processes[0].post(f"{STATIONS}/bulk", json=[station]).raise_for_status()
    with stream(processes[1], ids=ids(processes[0])["6"]) as events:
        until_ready(events)
        tell(processes[0], 6, "AVAILABLE", ago=TIME_TO_LIVE - timedelta(seconds=2))
        fresh = next(event for event in events if event.data["updated_at"])  # perhaps not before the station's own
        stale = next(event for event in events if event.data["status"] != "available")  # it may be told of twice
    assert (fresh.data["status"], stale.data["status"]) == ("available", "unknown")
    (evse,) = stale.data["evses"]
    since, seen = (datetime.fromisoformat(evse[name]) for name in ("stale_since", "observed_at"))
    assert since == seen + TIME_TO_LIVE


def test_a_station_that_moves_away_is_gone(processes: list[httpx.Client]) -> None:
    def put(**more: Any) -> None:
        processes[0].post(f"{STATIONS}/bulk", json=[_station(5, ["mcs"], **more)]).raise_for_status()

    with stream(processes[1], bbox=CITY, connector="mcs") as events:
        until_ready(events)
        put()
        station_id = next(events).data["station_id"]
        put(latitude=1.0)
        event = next(events)
    assert (event.name, StationGone.model_validate(event.data).station_id) == ("gone", station_id)


def test_an_id_that_is_not_known_any_more_begins_anew(processes: list[httpx.Client]) -> None:
    with stream(processes[0], after="0-999999999", bbox=CITY, snapshot="true") as events:
        reset, *told = until_ready(events)
    assert reset.name == "reset"
    assert len(states(told)) == 3


@pytest.mark.parametrize(
    ("query", "headers", "name"),
    [
        ({"ids": "1,x"}, {}, "ids"),
        ({"ids": ",".join(["1"] * 1_001)}, {}, "ids"),
        ({"bbox": "1,2,3"}, {}, "bbox"),
        ({"connector": "plug"}, {}, "connector"),
        ({"country": "DE"}, {}, "country"),
        ({}, {"Last-Event-ID": "yesterday"}, "last-event-id"),
    ],
    ids=["ids", "many-ids", "bbox", "connector", "unknown", "last-event-id"],
)
def test_what_cannot_be_watched_is_said(
    processes: list[httpx.Client], query: dict[str, str], headers: dict[str, str], name: str
) -> None:
    answer = processes[0].get(STREAM, params=query, headers=headers)
    assert answer.status_code == 422
    assert [each["name"] for each in answer.json()["errors"]] == [name]


def test_there_is_a_bound_on_streams(processes: list[httpx.Client]) -> None:
    with httpx.Client(base_url=processes[0].base_url, timeout=30) as http:
        open_streams = [http.send(http.build_request("GET", STREAM), stream=True) for _ in range(5)]
        refused = http.get(STREAM)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "voltway_streams 5.0" in http.get("/metrics").text
        for each in open_streams:
            each.close()


def test_a_head_has_no_stream(processes: list[httpx.Client]) -> None:
    answer = processes[0].head(STREAM)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_open_streams_do_not_hold_up_a_stop(folder: Path, workers: str, tmp_path: Path) -> None:
    shutil.copy(folder / "voltway.db", tmp_path / "voltway.db")
    with (
        serving(tmp_path, "--workers", workers) as address,
        httpx.Client(base_url=address, timeout=30) as http,
        stream(http) as events,
    ):
        until_ready(events)
        _stop(address)
        assert list(events) == []


def _stop(address: str) -> None:
    subprocess.run(["pkill", f"-{signal.SIGTERM}", "-f", address.rpartition(":")[2]], check=True, timeout=10)


def test_what_has_been_is_remembered(processes: list[httpx.Client]) -> None:
    processes[0].post(f"{STATIONS}/bulk", json=[_station(7, ["ccs2"], longitude=60.0)]).raise_for_status()
    station_id = ids(processes[0])["7"]
    for minutes, status in ((50, "AVAILABLE"), (30, "CHARGING"), (10, "OUTOFORDER")):
        tell(processes[0], 7, status, ago=timedelta(minutes=minutes))
    told = processes[1].get(f"{STATIONS}/{station_id}/history", params={"changes": "true"}).json()
    shown = StationHistory.model_validate(told)
    assert shown.changes is not None
    assert [each.status for each in shown.changes] == ["OUTOFORDER", "CHARGING", "AVAILABLE"]
    assert [shown.available_hours, shown.occupied_hours] == pytest.approx([20 / 60, 20 / 60], abs=0.01)
    assert (shown.occupancy, shown.uptime) == pytest.approx((0.4, 0.8), abs=0.02)
    assert shown.evses[0].uptime == shown.uptime
    assert sum(hour.available_hours for hour in shown.last_24_hours) == pytest.approx(shown.available_hours, abs=0.01)
    assert (len(shown.last_24_hours), len(shown.hours_of_week)) == (25, 168)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("999999/history", 404),
        ("1/history?days=0", 422),
        ("1/history?timezone=Mars/Olympus", 422),
        ("0/history", 422),
    ],
)
def test_what_cannot_be_looked_back_at_is_said(processes: list[httpx.Client], path: str, status: int) -> None:
    assert processes[0].get(f"{STATIONS}/{path}").status_code == status


def test_the_demo_network_lives(demo_folder: Path, tmp_path: Path) -> None:
    copied, copy = (sqlite3.connect(each / "voltway.db") for each in (demo_folder, tmp_path))
    with closing(copied), closing(copy):
        copied.backup(copy)
    with (
        serving(tmp_path, SIMULATE_DEMO="true") as address,
        httpx.Client(base_url=address, timeout=30) as http,
        stream(http) as events,
    ):
        until_ready(events)
        changed = [next(events).data["station_id"] for _ in range(3)]
        assert {http.get(f"{STATIONS}/{each}").json()["source"] for each in changed} == {"demo"}
