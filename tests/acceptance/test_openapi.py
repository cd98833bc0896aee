"""Everything that /openapi.json says is tried on a running server."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.api.errors import KINDS
from app.api.v1._bodies import MAX_ITEMS
from tests.acceptance.conftest import serving
from tests.acceptance.openapi_check import faults
from tests.keys import create_key
from tests.services import free_port

BULK = "/api/v1/stations/bulk"
JSON = {"Content-Type": "application/json"}
Provoke = Callable[[httpx.Client], httpx.Response]
Operation = tuple[str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, demo_folder: Path) -> Path:
    """The demo network, to be written to."""
    folder = tmp_path_factory.mktemp("openapi")
    copied, copy = (sqlite3.connect(each / "voltway.db") for each in (demo_folder, folder))
    with closing(copied), closing(copy):
        copied.backup(copy)
    return folder


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, str]:
    """One that may write, and one that may nothing."""
    url = f"sqlite:///{folder / 'voltway.db'}"
    return {"writer": create_key(url, "writer"), "nothing": create_key(url, "nothing", scopes=())}


@pytest.fixture(scope="module")
def http(folder: Path, keys: dict[str, str]) -> Iterator[httpx.Client]:
    with serving(folder) as address, httpx.Client(base_url=address, timeout=60) as client:
        client.headers["X-API-Key"] = keys["writer"]
        yield client


@pytest.fixture(scope="module")
def without_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("no database")
    nobody = f"postgresql://voltway@127.0.0.1:{free_port()}/none"
    with serving(folder, DATABASE_URL=nobody) as address, httpx.Client(base_url=address, timeout=60) as client:
        client.headers["X-API-Key"] = f"vw_abcd1234_{'x' * 43}"
        yield client


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[Operation, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield (method, path), operation


def call(http: httpx.Client, of: Operation, operation: dict[str, Any], media_type: str = "") -> httpx.Response:
    """As the document's examples say."""
    (method, path), parameters = of, operation.get("parameters", [])
    asked = [each for each in parameters if each["in"] == "query" and each.get("example") is not None]
    given = {each["name"]: each["example"] for each in asked}
    for each in parameters:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", str(each["example"]))
    if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
        return first_part(http, path, given)
    if not media_type:
        return http.request(method, path, params=given)
    example = operation["requestBody"]["content"][media_type]["example"]
    body: dict[str, Any] = {"content": example} if isinstance(example, str) else {"json": example}
    return http.request(method, path, params=given, headers={"Content-Type": media_type}, **body)


def first_part(http: httpx.Client, path: str, given: dict[str, Any]) -> httpx.Response:
    """Of an answer that has no end."""
    with http.stream("GET", path, params=given) as answer:
        return httpx.Response(answer.status_code, headers=answer.headers, content=next(answer.iter_raw()))


def assert_documented(answer: httpx.Response, operation: dict[str, Any], document: dict[str, Any]) -> None:
    content = operation["responses"][str(answer.status_code)]["content"]
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = next(each.get("schema", {}) for name, each in content.items() if name.partition(";")[0] == media_type)
    value = answer.json() if media_type.endswith("json") else answer.text
    assert list(faults(value, schema, document["components"]["schemas"])) == []


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for of, operation in operations(document):
        assert operation["summary"], of
        assert operation["description"], of
        assert set(operation["tags"]) <= tags, of
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (of, parameter["name"])


def test_every_get_answers_its_own_example(http: httpx.Client, document: dict[str, Any]) -> None:
    tried = 0
    for of, operation in operations(document):
        parameters = operation.get("parameters", [])
        if of[0] == "get" and all("example" in each for each in parameters if each["in"] == "path"):
            answer = call(http, of, operation)
            assert answer.status_code == 200, (of, answer.text)
            assert_documented(answer, operation, document)
            assert answer.content not in {b"", b"[]", b"{}"}, of
            tried += 1
    assert tried >= 4


def test_the_examples_of_the_bulk_body_are_stored(http: httpx.Client, document: dict[str, Any]) -> None:
    operation = document["paths"][BULK]["post"]
    body = operation["requestBody"]["content"]
    assert list(body) == ["application/json", "application/x-ndjson"]
    answers = [call(http, ("post", BULK), operation, media_type) for media_type in body]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert_documented(answer, operation, document)
    assert [answer.json()["created"] for answer in answers] == [2, 0]
    assert answers[1].json()["unchanged"] == 2
    json_body = body["application/json"]
    assert list(faults(json_body["example"], json_body["schema"], document["components"]["schemas"])) == []


def test_every_example_of_an_answer_fits_its_schema(document: dict[str, Any]) -> None:
    for of, operation in operations(document):
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                examples = [each["value"] for each in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                if media_type.endswith("json") and content.get("schema"):
                    assert examples, (of, status)
                for example in examples:
                    wrong = list(faults(example, content["schema"], document["components"]["schemas"]))
                    assert wrong == [], (of, status)


def test_operations_that_need_a_key_say_so(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert {(scheme["type"], scheme.get("name") or scheme.get("scheme")) for scheme in schemes.values()} == {
        ("apiKey", "X-API-Key"),
        ("http", "bearer"),
    }
    operation = document["paths"][BULK]["post"]
    assert operation["security"] == [{"ApiKey": ["stations:write"]}, {"Bearer": ["stations:write"]}]
    assert {"401", "403"} <= set(operation["responses"])
    assert "security" not in document["paths"]["/api/v1/stations"]["get"]


def _post(body: bytes = b"[]", **headers: str) -> Provoke:
    sent = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda http: http.post(BULK, content=body, headers=sent)


def _get(path: str) -> Provoke:
    return lambda http: http.get(path)


LIST, ONE, WRITE = ("get", "/api/v1/stations"), ("get", "/api/v1/stations/{station_id}"), ("post", BULK)
JOBS, JOB = ("get", "/api/v1/jobs"), ("get", "/api/v1/jobs/{job_id}")


def _with(path: str, **headers: str) -> Provoke:
    return lambda http: http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


PROVOKED: dict[tuple[Operation, str], Provoke] = {
    (LIST, "invalid-request"): _get("/api/v1/stations?latitude=95"),
    (ONE, "not-found"): _get("/api/v1/stations/999999999"),
    (ONE, "invalid-request"): _get("/api/v1/stations/none"),
    (WRITE, "bad-request"): _post(Authorization="Bearer other"),
    (WRITE, "malformed-json"): _post(b"[{"),
    (WRITE, "unauthorized"): _post(X_API_Key="wrong"),
    (WRITE, "content-too-large"): _post(b"[" + b",".join([b"1"] * (MAX_ITEMS + 1)) + b"]"),
    (WRITE, "unsupported-media-type"): _post(Content_Type="text/csv"),
    (WRITE, "invalid-request"): _post(b"[1]"),
    (JOBS, "bad-request"): _with("/api/v1/jobs", Authorization="Bearer other"),
    (JOBS, "unauthorized"): _with("/api/v1/jobs", X_API_Key=""),
    (JOBS, "invalid-request"): _get("/api/v1/jobs?status=done"),
    (JOB, "bad-request"): _with("/api/v1/jobs/1", Authorization="Bearer other"),
    (JOB, "unauthorized"): _with("/api/v1/jobs/1", X_API_Key="wrong"),
    (JOB, "not-found"): _get("/api/v1/jobs/1"),
    (JOB, "invalid-request"): _get(f"/api/v1/jobs/{'1' * 201}"),
}
AWAY: dict[tuple[Operation, str], Provoke] = {
    (LIST, "service-unavailable"): _get("/api/v1/stations"),
    (ONE, "service-unavailable"): _get("/api/v1/stations/1"),
    (WRITE, "service-unavailable"): _post(),
    (JOBS, "service-unavailable"): _get("/api/v1/jobs"),
    (JOB, "service-unavailable"): _get("/api/v1/jobs/1"),
}


def _assert_provoked(
    http: httpx.Client, provocations: dict[tuple[Operation, str], Provoke], document: dict[str, Any]
) -> None:
    statuses = {kind.type: kind.status for kind in KINDS}
    for ((method, path), kind), provoke in provocations.items():
        answer = provoke(http)
        urn = f"urn:voltway:problem:{kind}"
        assert answer.json()["type"] == urn, (path, answer.text)
        assert answer.status_code == statuses[urn]
        assert answer.headers["content-type"] == "application/problem+json"
        assert_documented(answer, document["paths"][path][method], document)


def test_every_documented_error_comes_as_it_is_documented(
    http: httpx.Client, keys: dict[str, str], document: dict[str, Any]
) -> None:
    scope = {(WRITE, "forbidden"): _post(X_API_Key=keys["nothing"])}
    for of, path in (JOBS, "/api/v1/jobs"), (JOB, "/api/v1/jobs/1"):
        scope[of, "forbidden"] = _with(path, X_API_Key=keys["nothing"])
    _assert_provoked(http, PROVOKED | scope, document)


def test_every_documented_outage_comes_as_it_is_documented(
    without_database: httpx.Client, document: dict[str, Any]
) -> None:
    _assert_provoked(without_database, AWAY, document)


def test_no_error_of_these_operations_is_left_out(document: dict[str, Any]) -> None:
    documented = {
        (of, kind)
        for of, operation in operations(document)
        if of in {LIST, ONE, WRITE, JOBS, JOB}
        for answer in operation["responses"].values()
        for kind in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    assert documented == {*PROVOKED, *AWAY, *((of, "forbidden") for of in (WRITE, JOBS, JOB))}


def test_all_problem_types_are_listed(document: dict[str, Any]) -> None:
    assert len({kind.type for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert f"`{kind.type}`" in document["info"]["description"]
