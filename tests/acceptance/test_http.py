"""The API over a socket, with the demo network behind it."""

import re
import sqlite3
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app import __version__
from app.api.errors import Problem
from app.api.v1.schemas import StationDetail, StationNearby
from tests.acceptance.conftest import serving, voltway
from tests.services import free_port

STATIONS = "/api/v1/stations"
BERLIN: dict[str, Any] = {"latitude": 52.52, "longitude": 13.405}


def _problem(answer: httpx.Response, status: int) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert problem.status == status
    assert problem.request_id == answer.headers["x-request-id"]
    return problem


def test_nearest_free_fast_charger(http: httpx.Client) -> None:
    wanted: dict[str, Any] = {"connector": "ccs2", "min_power_kw": 50, "status": "available", "limit": 5}
    answer = http.get(STATIONS, params=BERLIN | wanted)
    stations = TypeAdapter(list[StationNearby]).validate_json(answer.content)
    assert len(stations) == 5
    assert "x-total-count" not in answer.headers
    assert [s.distance_km for s in stations] == sorted(s.distance_km or 0 for s in stations)
    for station in stations:
        detail = StationDetail.model_validate_json(http.get(f"{STATIONS}/{station.id}").content)
        assert any(
            evse.status == "AVAILABLE" and any(c.type == "ccs2" and (c.power_kw or 0) >= 50 for c in evse.connectors)
            for evse in detail.evses
        )


def test_pages_joined_are_the_whole_list(http: httpx.Client) -> None:
    whole = http.get(STATIONS, params={"country": "US", "limit": 1000})
    assert whole.headers["x-total-count"] == "250"
    assert "link" not in whole.headers
    pages, url = [], f"{STATIONS}?country=US&limit=60"
    while url:
        page = http.get(url)
        pages += page.json()
        url = page.links.get("next", {}).get("url", "")
    assert pages == whole.json()
    assert [station["id"] for station in pages] == sorted(station["id"] for station in pages)


@pytest.mark.parametrize("path", [f"{STATIONS}?latitude=52.52&longitude=13.405&limit=5", f"{STATIONS}/1"])
def test_what_the_client_has_is_not_sent_again(http: httpx.Client, path: str) -> None:
    first = http.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (etag, f"W/{etag}", f'"another", {etag}', "*"):
        again = http.get(path, headers={"If-None-Match": known})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == etag
    for known in ('"another"', "", etag.strip('"')):
        again = http.get(path, headers={"If-None-Match": known})
        assert again.status_code == 200
        assert again.content == first.content


def test_another_answer_has_another_etag(http: httpx.Client) -> None:
    limits = (1, 2)
    pages = {http.get(STATIONS, params={"q": "harbour", "limit": limit}).headers["etag"] for limit in limits}
    none_left = {http.get(STATIONS, params={"country": code, "skip": 1000}).headers["etag"] for code in ("US", "DE")}
    assert len(pages) == len(none_left) == 2  # of two empty pages too, as their X-Total-Count differs


def test_a_radius_gives_a_count(http: httpx.Client) -> None:
    answer = http.get(STATIONS, params={**BERLIN, "radius_km": 30, "limit": 10})
    assert int(answer.headers["x-total-count"]) == 50
    assert len(answer.json()) == 10
    assert answer.links["next"]["url"].startswith(STATIONS)


def test_a_box_across_the_antimeridian(http: httpx.Client) -> None:
    across = http.get(STATIONS, params={"bbox": "178,-19,-178,-17", "limit": 1000}).json()
    assert {station["city"] for station in across} == {"Suva"}


def test_zero_is_an_ordinary_place(http: httpx.Client) -> None:
    answer = http.get(STATIONS, params={"latitude": 0, "longitude": 0, "limit": 1})
    assert answer.status_code == 200
    assert answer.json()[0]["distance_km"] > 1000


def test_skip_far_beyond_the_end_is_an_empty_list(http: httpx.Client) -> None:
    answer = http.get(STATIONS, params={**BERLIN, "skip": 1_000_000_000})
    assert (answer.status_code, answer.json()) == (200, [])


def test_a_station_says_where_it_comes_from(http: httpx.Client) -> None:
    (first,) = http.get(STATIONS, params={"limit": 1}).json()
    detail = http.get(f"{STATIONS}/{first['id']}").json()
    assert detail["licence"] == "CC0-1.0"
    assert "do not exist" in detail["attribution"]
    assert {name: detail[name] for name in first} == first


@pytest.mark.parametrize(
    ("parameters", "name", "says"),
    [
        ({"latitude": 52}, "longitude", "go together"),
        ({"longitude": 13}, "latitude", "go together"),
        ({"radius_km": 5}, "latitude", "position"),
        ({**BERLIN, "latitude": 95}, "latitude", "less than or equal to 90"),
        ({**BERLIN, "latitude": "NaN"}, "latitude", "finite"),
        ({**BERLIN, "longitude": "inf"}, "longitude", "finite"),
        ({**BERLIN, "longitude": "1e999"}, "longitude", "finite"),
        ({**BERLIN, "longitude": "%"}, "longitude", "valid number"),
        ({**BERLIN, "radius_km": 0}, "radius_km", "greater than 0"),
        ({**BERLIN, "radius_km": 1e9}, "radius_km", "less than or equal to 20040"),
        ({"limit": 0}, "limit", "greater than or equal to 1"),
        ({"limit": 1001}, "limit", "less than or equal to 1000"),
        ({"limit": 2**63}, "limit", "less than or equal to 1000"),
        ({"skip": 2**200}, "skip", "less than or equal to 1000000000"),
        ({"skip": -1}, "skip", "greater than or equal to 0"),
        ({"connector": "ccs3"}, "connector", "'ccs2'"),
        ({"status": "free"}, "status", "'available'"),
        ({"access": "open"}, "access", "'public'"),
        ({"country": "DEU"}, "country", "^[A-Za-z]{2}$"),
        ({"min_power_kw": -1}, "min_power_kw", "greater than or equal to 0"),
        ({"bbox": "1,2,3"}, "bbox", "four numbers"),
        ({"bbox": "1,50,2,40"}, "bbox", "south not above north"),
        ({"bbox": "nan,0,1,1"}, "bbox", "finite"),
        ({"q": "a\x00b"}, "q", "pattern"),
        ({"q": "x" * 50_000}, "q", "at most 200 characters"),
        ({"operator": ""}, "operator", "at least 1 character"),
        ({"lat": 52}, "lat", "latitude"),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_allowed(
    http: httpx.Client, parameters: dict[str, Any], name: str, says: str
) -> None:
    problem = _problem(http.get(STATIONS, params=parameters), 422)
    assert problem.errors is not None
    (error,) = problem.errors
    assert (error.location, error.name) == ("query", name)
    assert says in error.message
    assert name in problem.detail
    assert len(problem.model_dump_json()) < 2_000


@pytest.mark.parametrize(
    ("length", "status", "says"),
    [(60_000, 422, "q: String should have at most 200 characters"), (100_000, 414, "longer than 64 KiB")],
)
def test_why_a_long_query_string_is_refused_is_said(demo_address: str, length: int, status: int, says: str) -> None:
    connection = HTTPConnection(demo_address.removeprefix("http://"), timeout=30)
    connection.request("GET", f"{STATIONS}?q={'x' * length}")
    answer = connection.getresponse()
    problem = Problem.model_validate_json(answer.read())
    connection.close()
    assert (answer.status, problem.status) == (status, status)
    assert says in problem.detail


def test_a_parameter_given_twice_is_refused(http: httpx.Client) -> None:
    problem = _problem(http.get(f"{STATIONS}?latitude=1&latitude=2&longitude=3&skip=1&skip=1"), 422)
    assert [error.name for error in problem.errors or []] == ["latitude", "skip"]


def test_head_is_get_without_the_content(http: httpx.Client) -> None:
    for path in ("/health", f"{STATIONS}?limit=1", f"{STATIONS}/1"):
        head, get = http.head(path), http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    assert http.head("/none").status_code == 404


def test_percent_and_quotes_are_ordinary_text(http: httpx.Client) -> None:
    for text in ("%", "_", "'", '"', "\\", "100%25"):
        assert http.get(STATIONS, params={"q": text}).json() == []
    assert len(http.get(STATIONS, params={"q": "museum BERLIN"}).json()) > 0


@pytest.mark.parametrize("station_id", ["0", "-1", "abc", str(2**63), "1" * 5_000, "1.5", "%00"])
def test_a_bad_id_is_refused(http: httpx.Client, station_id: str) -> None:
    problem = _problem(http.get(f"{STATIONS}/{station_id}"), 422)
    assert problem.errors is not None
    assert (problem.errors[0].location, problem.errors[0].name) == ("path", "station_id")


def test_what_is_not_there_is_a_404(http: httpx.Client) -> None:
    assert "999999999" in _problem(http.get(f"{STATIONS}/999999999"), 404).detail
    _problem(http.get("/no/such/page"), 404)
    _problem(http.delete(STATIONS), 405)


def test_the_request_id_is_the_callers_if_it_is_fit(http: httpx.Client) -> None:
    def given(request_id: str) -> str:
        return http.get("/health", headers={"X-Request-ID": request_id}).headers["x-request-id"]

    assert given("abc-123") == "abc-123"
    for unfit in ("", "a b", "x" * 129, 'a"b'):
        assert given(unfit) not in {unfit, ""}


def test_the_root_leads_to_the_documentation(http: httpx.Client) -> None:
    answer = http.get("/", follow_redirects=True)
    assert answer.status_code == 200
    assert "VoltWay" in answer.text
    needed = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert len(needed) >= 3
    assert all(http.get(path).status_code == 200 for path in needed if path.startswith("/"))
    assert not [path for path in needed if not path.startswith("/")]  # nothing from elsewhere
    assert STATIONS in http.get("/openapi.json").json()["paths"]


def test_health(http: httpx.Client) -> None:
    assert http.get("/health").json() == {"status": "ok"}
    health = http.get("/api/v1/health")
    assert health.status_code == 200
    body = health.json()
    assert 0 <= body.pop("replica_age_s") < 30
    assert body == {"status": "ok", "version": __version__, "database": "ok", "stations": 2000}


parameter_names = st.sampled_from(
    [
        "latitude",
        "longitude",
        "radius_km",
        "bbox",
        "connector",
        "min_power_kw",
        "status",
        "q",
        "skip",
        "limit",
        "other",
    ]
)
parameter_values = (
    st.text(max_size=20) | st.floats().map(str) | st.integers().map(str) | st.sampled_from(["ccs2", "1,2,3,4"])
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(parameter_names, parameter_values), max_size=6))
def test_no_query_string_breaks_it(http: httpx.Client, parameters: list[tuple[str, str]]) -> None:
    answer = http.get(f"{STATIONS}?{urlencode(parameters)}")
    if answer.status_code == 200:
        TypeAdapter(list[StationNearby]).validate_json(answer.content)
    else:
        assert _problem(answer, 422).errors


def test_a_write_by_another_process_is_seen(tmp_path: Path) -> None:
    """The server polls the change feed; the request is repeated until it shows the change."""
    voltway(tmp_path, "migrate")
    with serving(tmp_path, REPLICA_POLL_SECONDS="0.01") as address, httpx.Client(base_url=address) as http:
        assert http.get(STATIONS).json() == []
        voltway(tmp_path, "demo")
        _until(lambda: http.get(STATIONS, params={"limit": 1}).headers["x-total-count"] == "2000")
        with sqlite3.connect(tmp_path / "voltway.db") as connection:
            connection.execute("UPDATE stations SET title = 'by hand' WHERE id = 7")
        connection.close()
        _until(lambda: len(http.get(STATIONS, params={"q": "by hand"}).json()) == 1)
        voltway(tmp_path, "demo", "--remove")
        _until(lambda: http.get(STATIONS).json() == [])


def test_searches_go_on_while_the_database_is_away(tmp_path: Path) -> None:
    voltway(tmp_path, "migrate")
    voltway(tmp_path, "demo")
    with serving(tmp_path, REPLICA_POLL_SECONDS="0.01") as address, httpx.Client(base_url=address) as http:
        database = tmp_path / "voltway.db"
        with sqlite3.connect(database) as connection:
            connection.execute("ALTER TABLE stations RENAME TO hidden")
        connection.close()
        _problem(http.get(f"{STATIONS}/1"), 503)
        assert len(http.get(STATIONS, params={"limit": 5}).json()) == 5
        with sqlite3.connect(database) as connection:
            connection.execute("ALTER TABLE hidden RENAME TO stations")
        connection.close()
        assert http.get(f"{STATIONS}/1").status_code == 200


def test_without_a_database_it_starts_and_says_so(tmp_path: Path) -> None:
    nobody = f"postgresql://voltway@127.0.0.1:{free_port()}/none"
    with serving(tmp_path, DATABASE_URL=nobody) as address, httpx.Client(base_url=address) as http:
        assert http.get("/health").status_code == 200
        health = http.get("/api/v1/health")
        assert health.status_code == 503
        assert health.json()["status"] == "unavailable"
        answer = http.get(STATIONS)
        _problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0


def test_several_workers_give_the_same_answers(demo_folder: Path) -> None:
    with serving(demo_folder, "--workers", "2") as address:
        answers = {httpx.get(address + STATIONS, params=BERLIN).text for _ in range(10)}
    assert len(answers) == 1


def test_the_same_on_postgresql(tmp_path: Path, postgresql_url: str, demo_address: str) -> None:
    voltway(tmp_path, "migrate", DATABASE_URL=postgresql_url)
    voltway(tmp_path, "demo", DATABASE_URL=postgresql_url)
    unlike = {"id", "last_updated", "updated_at"}
    with serving(tmp_path, DATABASE_URL=postgresql_url) as address:
        assert httpx.get(address + "/api/v1/health").json()["stations"] == 2000
        here, there = (
            [
                {name: value for name, value in station.items() if name not in unlike}
                for station in httpx.get(base + STATIONS, params={**BERLIN, "limit": 200}).json()
            ]
            for base in (address, demo_address)
        )
    assert here == there


def _until(holds: Any, attempts: int = 2_000) -> None:
    for _ in range(attempts):
        if holds():
            return
    raise AssertionError("it never came true")
