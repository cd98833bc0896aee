"""Writing stations over a socket, with a key."""

import gzip
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest

from app.api.bodies import MAX_BYTES
from app.api.errors import Problem
from app.api.v1._bodies import MAX_ITEMS
from app.ingest.bulk import MAX_FAULTS
from tests.acceptance.conftest import serving
from tests.conftest import ROOT
from tests.keys import create_key, revoke_key

STATIONS = "/api/v1/stations"
BULK = f"{STATIONS}/bulk"
JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("bulk")
    shutil.copy(migrated_sqlite_file, folder / "voltway.db")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'voltway.db'}"


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(folder, REPLICA_POLL_SECONDS="60") as address:  # only its own writes are seen
        yield address


@pytest.fixture(scope="module")
def key(url: str) -> str:
    return create_key(url, "loader")


@pytest.fixture
def http(address: str, key: str) -> Iterator[httpx.Client]:
    """A client with a key."""
    with httpx.Client(base_url=address, timeout=60, headers={"X-API-Key": key}) as client:
        yield client


def station(source: str, external_id: str, **fields: Any) -> dict[str, Any]:
    given = {"title": f"Station {external_id}", "latitude": 47.5, "longitude": 9.7}
    return {"source": source, "external_id": external_id, **given, **fields}


def titles(http: httpx.Client, source: str) -> list[str]:
    return [each["title"] for each in http.get(STATIONS, params={"source": source, "limit": 1000}).json()]


def problem(answer: httpx.Response, status: int, kind: str) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(answer.content)
    assert (found.type, found.status) == (f"urn:voltway:problem:{kind}", status)
    return found


def test_what_was_sent_is_found_at_once_and_updated_by_its_external_id(http: httpx.Client) -> None:
    first = http.post(BULK, json=[station("acme", "1"), station("acme", "2"), station("other", "1")])
    assert (first.status_code, first.json()) == (200, {"created": 3, "updated": 0, "unchanged": 0})
    assert titles(http, "acme") == ["Station 1", "Station 2"]
    again = http.post(BULK, json=[station("acme", "1"), station("acme", "2", title="new"), station("acme", "3")])
    assert again.json() == {"created": 1, "updated": 1, "unchanged": 1}
    assert titles(http, "acme") == ["Station 1", "new", "Station 3"]
    assert titles(http, "other") == ["Station 1"]


def test_only_title_and_position_are_needed(http: httpx.Client) -> None:
    bare = {"title": "bare", "latitude": 0, "longitude": 0}
    for _ in range(2):  # without an external id it is another station each time
        assert http.post(BULK, json=[bare]).json()["created"] == 1
    assert titles(http, "local") == ["bare", "bare"]
    assert http.post(BULK, json=[]).json() == {"created": 0, "updated": 0, "unchanged": 0}


def test_one_invalid_station_and_none_is_stored(http: httpx.Client) -> None:
    wrong = station("none", "2", latitude=95, evses=[{"uid": "1", "connectors": [{"type": "ccs3"}]}], colour="red")
    found = problem(http.post(BULK, json=[station("none", "1"), wrong, 7]), 422, "invalid-request")
    errors = {(each.index, each.name): each for each in found.errors or []}
    assert set(errors) == {(1, "latitude"), (1, "evses.0.connectors.0.type"), (1, "colour"), (2, "item")}
    assert errors[1, "latitude"].value == "95"
    assert errors[1, "latitude"].message in found.detail
    assert "'ccs2'" in errors[1, "evses.0.connectors.0.type"].message
    assert titles(http, "none") == []


def test_on_error_collect_stores_the_others(http: httpx.Client) -> None:
    sent = [station("some", "1"), station("some", "2", latitude=95), station("some", "3"), None]
    answer = http.post(BULK, params={"on_error": "collect"}, json=sent)
    assert answer.status_code == 200
    result = answer.json()
    errors = result.pop("errors")
    assert result == {"created": 2, "updated": 0, "unchanged": 0, "rejected": 2}
    assert [(each["index"], each["name"]) for each in errors] == [(1, "latitude"), (3, "item")]
    assert titles(http, "some") == ["Station 1", "Station 3"]
    none = http.post(BULK, params={"on_error": "collect"}, json=[station("some", "1")]).json()
    assert none == {"created": 0, "updated": 0, "unchanged": 1, "rejected": 0, "errors": []}


def test_the_list_of_faults_is_bounded_and_the_count_is_not(http: httpx.Client) -> None:
    sent = [station("many", str(n), latitude=95, **{"x" * 10_000: "y" * 10_000}) for n in range(150)]
    answer = http.post(BULK, params={"on_error": "collect"}, json=sent)
    assert answer.json()["rejected"] == 150
    assert len(answer.json()["errors"]) == MAX_FAULTS
    refused = http.post(BULK, json=sent)
    assert len(problem(refused, 422, "invalid-request").errors or []) == MAX_FAULTS
    assert max(len(refused.content), len(answer.content)) < 50_000


def test_a_key_that_comes_twice_in_a_request_is_named(http: httpx.Client) -> None:
    sent = [station("twice", "1"), station("twice", "2"), station("twice", "1", title="other")]
    (error,) = problem(http.post(BULK, json=sent), 422, "invalid-request").errors or []
    assert (error.index, error.name, error.value) == (2, "external_id", "1")
    assert "Item 0" in error.message
    assert http.post(BULK, params={"on_error": "collect"}, json=sent).json()["created"] == 2
    assert titles(http, "twice") == ["Station 1", "Station 2"]


@pytest.mark.parametrize("source", ["afdc", "bnetza", "irve", "ocm", "demo"])
def test_what_is_imported_from_elsewhere_cannot_be_written(http: httpx.Client, source: str) -> None:
    (error,) = problem(http.post(BULK, json=[station(source, "1")]), 422, "invalid-request").errors or []
    assert (error.name, error.value) == ("source", source)
    assert "of your own" in error.message
    assert titles(http, source) == []


def test_one_station_a_line(http: httpx.Client) -> None:
    lines = [json.dumps(station("lines", "1")), "", "{no json", json.dumps(station("lines", "2")) + "\r"]
    body = "\n".join(lines).encode()
    (error,) = problem(http.post(BULK, content=body, headers=LINES), 422, "invalid-request").errors or []
    assert (error.index, error.name) == (1, "item")
    assert "column 2" in error.message
    answer = http.post(BULK, params={"on_error": "collect"}, content=body, headers=LINES)
    assert (answer.json()["created"], answer.json()["rejected"]) == (2, 1)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'[{"title": nothing}]', "column 12"),
        (b'[\n{"title": "a"},\n{"ti', "line 3"),
        (b"", "column 1"),
        (b'[{"title": "\xff"}]', ""),
        (b'[{"latitude": NaN}]', "column 15"),
        (b"[" * 100_000, ""),
    ],
    ids=["word", "cut off", "empty", "not UTF-8", "NaN", "deep"],
)
def test_what_is_no_json_is_refused_with_the_place(http: httpx.Client, body: bytes, where: str) -> None:
    assert where in problem(http.post(BULK, content=body, headers=JSON), 400, "malformed-json").detail


def test_json_that_is_no_list_is_refused(http: httpx.Client) -> None:
    for body in (json.dumps(station("x", "1")), "1", "null", '"text"'):
        (error,) = problem(http.post(BULK, content=body, headers=JSON), 422, "invalid-request").errors or []
        assert (error.location, error.index) == ("body", None)
        assert "array" in error.message


def test_another_content_type_is_refused(http: httpx.Client) -> None:
    body = json.dumps([station("typed", "1")]).encode()
    for headers in ({}, {"Content-Type": "text/csv"}, {**JSON, "Content-Encoding": "gzip"}):
        sent = gzip.compress(body) if "Content-Encoding" in headers else body
        answer = http.post(BULK, content=sent, headers=headers)
        assert "application/json" in problem(answer, 415, "unsupported-media-type").detail
    with_charset = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert http.post(BULK, content=body, headers=with_charset).json()["created"] == 1


def test_an_unknown_way_to_treat_errors_is_refused(http: httpx.Client) -> None:
    answer = http.post(BULK, params={"on_error": "ignore"}, json=[])
    assert "collect" in problem(answer, 422, "invalid-request").detail


def test_ten_thousand_stations_pass_and_one_more_does_not(http: httpx.Client) -> None:
    sent = [station("load", str(n)) for n in range(MAX_ITEMS)]
    assert http.post(BULK, json=sent).json() == {"created": MAX_ITEMS, "updated": 0, "unchanged": 0}
    assert http.get(STATIONS, params={"source": "load", "limit": 1}).headers["x-total-count"] == str(MAX_ITEMS)
    assert http.post(BULK, json=sent).json() == {"created": 0, "updated": 0, "unchanged": MAX_ITEMS}
    sent.append(station("load", "one more"))
    problem(http.post(BULK, json=sent), 413, "content-too-large")
    lines = b"\n".join(json.dumps(each).encode() for each in sent)
    problem(http.post(BULK, content=lines, headers=LINES), 413, "content-too-large")


def _exchange(address: str, head: str, *parts: bytes) -> bytes:
    """Send what no client would, and return all that comes back until the other side closes."""
    url = urlsplit(address)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as connection:
        connection.sendall(f"POST {BULK} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode())
        for part in parts:
            connection.sendall(part)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def test_a_body_that_says_to_be_too_large_is_refused_before_it_is_sent(address: str, key: str) -> None:
    head = f"X-API-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {MAX_BYTES + 1}\r\n"
    received = _exchange(address, head)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"urn:voltway:problem:content-too-large" in received


def test_a_body_of_unknown_length_is_read_only_as_far_as_it_may_go(address: str, key: str) -> None:
    head = f"X-API-Key: {key}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    a_fifth = MAX_BYTES // 5
    chunk = f"{a_fifth:x}\r\n".encode() + b" " * a_fifth + b"\r\n"
    received = _exchange(address, head, *[chunk] * 5, b"1\r\n \r\n")  # one byte too many, and no end
    assert received.startswith(b"HTTP/1.1 413 ")


def test_without_a_key_the_body_is_not_even_read(address: str) -> None:
    received = _exchange(address, "Content-Type: application/json\r\nContent-Length: 1000\r\n")
    assert received.startswith(b"HTTP/1.1 401 ")


def test_a_client_that_goes_away_leaves_nothing_behind(http: httpx.Client, address: str, key: str) -> None:
    url = urlsplit(address)
    body = json.dumps([station("gone", "1")]).encode()
    head = f"POST {BULK} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: {len(body) + 1}\r\n\r\n".encode() + body)
    assert http.post(BULK, json=[]).status_code == 200
    assert titles(http, "gone") == []


def test_writers_at_once_store_each_station_once(http: httpx.Client) -> None:
    sent = [station("race", str(n)) for n in range(200)]
    with ThreadPoolExecutor(6) as pool:
        results = [answer.json() for answer in pool.map(lambda _: http.post(BULK, json=sent), range(12))]
    assert sum(result["created"] for result in results) == 200
    assert sum(result["unchanged"] for result in results) == 11 * 200
    assert len(titles(http, "race")) == 200


def test_the_documented_requests_answer_what_the_page_says(address: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "loader.key").write_text(key)
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("## Telling the state")[0]
    examples = re.findall(r"^```sh\n(curl .*\n)```\n\n```json\n(.*\n)```", page, re.MULTILINE)
    assert len(examples) == 2
    for command, answer in examples:
        here = command.replace("http://127.0.0.1:8000", address)
        done = subprocess.run(
            ["bash", "-c", here], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        assert json.loads(done.stdout) == json.loads(answer)


def test_a_key_is_taken_from_either_header(address: str, key: str) -> None:
    for headers in (
        {"X-API-Key": key},
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer {key}"},
        {"Authorization": f"Bearer {key}", "X-API-Key": key},
        {"Authorization": "Basic dTpw", "X-API-Key": key},
    ):
        assert httpx.post(address + BULK, json=[], headers=headers).status_code == 200, headers


def test_two_different_keys_are_one_too_many(address: str, key: str) -> None:
    both = {"Authorization": "Bearer other", "X-API-Key": key}
    assert "two" in problem(httpx.post(address + BULK, json=[], headers=both), 400, "bad-request").detail
    twice = [("X-API-Key", key), ("X-API-Key", "other")]
    problem(httpx.post(address + BULK, json=[], headers=twice), 400, "bad-request")


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": ""}, {"Authorization": "Bearer"}, {"Authorization": "Basic x"}]
)
def test_without_a_key_the_answer_says_how_to_send_one(address: str, headers: dict[str, str]) -> None:
    answer = httpx.post(address + BULK, json=[], headers=headers)
    detail = problem(answer, 401, "unauthorized").detail
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "X-API-Key" in detail
    assert "Authorization: Bearer" in detail


def test_a_key_that_does_not_hold_is_refused_without_telling_why(address: str, url: str, key: str) -> None:
    revoked, unscoped = create_key(url, "revoked"), create_key(url, "no scope", scopes=())
    expired = create_key(url, "expired", expires_at=datetime.now(UTC))
    assert httpx.post(address + BULK, json=[], headers={"X-API-Key": revoked}).status_code == 200
    revoke_key(url, "revoked")
    _until_refused(address, revoked, within_s=5)
    bodies = set()
    for wrong in (revoked, expired, key[:-1] + ("a" if key[-1] != "a" else "b"), "rubbish", "x" * 10_000):
        answer = httpx.post(address + BULK, json=[], headers={"X-API-Key": wrong, "X-Request-ID": "same"})
        problem(answer, 401, "unauthorized")
        bodies.add((answer.text, answer.headers["www-authenticate"]))
    assert len(bodies) == 1
    assert wrong not in bodies.pop()[0]
    answer = httpx.post(address + BULK, json=[], headers={"X-API-Key": unscoped})
    assert "stations:write" in problem(answer, 403, "forbidden").detail
    assert 'scope="stations:write"' in answer.headers["www-authenticate"]


def _until_refused(address: str, key: str, within_s: float) -> None:
    deadline = monotonic() + within_s
    while httpx.post(address + BULK, json=[], headers={"X-API-Key": key}).status_code != 401:
        assert monotonic() < deadline, "a revoked key still holds"


def test_another_process_sees_the_write_and_the_revocation_on_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    there = {"DATABASE_URL": postgresql_url, "REPLICA_POLL_SECONDS": "0.05"}
    key = create_key(postgresql_url, "loader")
    headers = {"X-API-Key": key}
    with serving(tmp_path, **there) as one, serving(tmp_path, **there) as other:
        answer = httpx.post(one + BULK, json=[station("acme", "1")], headers=headers)
        assert answer.json() == {"created": 1, "updated": 0, "unchanged": 0}
        assert len(httpx.get(one + STATIONS).json()) == 1
        deadline = monotonic() + 10
        while not httpx.get(other + STATIONS).json():
            assert monotonic() < deadline, "the other process does not find the station"
        assert httpx.post(other + BULK, json=[station("acme", "1")], headers=headers).json()["unchanged"] == 1
        revoke_key(postgresql_url, "loader")
        for address in (one, other):
            _until_refused(address, key, within_s=5)


@pytest.mark.parametrize(
    ("query", "name"),
    [("on_error=collect&on_error=reject", "on_error"), ("on_eror=collect", "on_eror")],
)
def test_a_parameter_given_twice_or_misspelt_is_refused(http: httpx.Client, query: str, name: str) -> None:
    errors = problem(http.post(f"{BULK}?{query}", json=[]), 422, "invalid-request").errors
    assert errors
    assert [each.name for each in errors] == [name]


@pytest.mark.parametrize("value", [True, "47.5"])
def test_a_position_is_a_number_and_nothing_else(http: httpx.Client, value: object) -> None:
    errors = problem(http.post(BULK, json=[station("strict", "1", latitude=value)]), 422, "invalid-request").errors
    assert errors
    assert [each.name for each in errors] == ["latitude"]


def test_an_imported_source_is_reserved_in_any_case(http: httpx.Client) -> None:
    errors = problem(http.post(BULK, json=[station("OCM", "1")]), 422, "invalid-request").errors
    assert errors
    assert [each.name for each in errors] == ["source"]
