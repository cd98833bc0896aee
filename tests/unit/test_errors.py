"""What nobody foresaw is a problem document too, and tells no secrets."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.api.errors import Problem
from app.main import create_app
from app.replica import Replica
from app.settings import Settings


@pytest.fixture
def client(sqlite_url: str, tmp_path: Path) -> TestClient:
    return TestClient(create_app(Settings(data_dir=tmp_path, database_url=sqlite_url)), raise_server_exceptions=False)


def test_an_unexpected_error_is_a_500_with_the_requests_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("password is hunter2")

    monkeypatch.setattr(Replica, "search", fail)
    with client:
        answer = client.get("/api/v1/stations", headers={"X-Request-ID": "find-me"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert problem.request_id == answer.headers["x-request-id"] == "find-me"
    assert "hunter2" not in answer.text
    (line,) = [vars(record) for record in caplog.records if record.message == "request_failed"]
    assert (line["request_id"], line["method"], line["path"]) == ("find-me", "GET", "/api/v1/stations")


def test_every_answer_documented_is_a_problem_or_a_shape(client: TestClient) -> None:
    paths = client.app.openapi()["paths"]  # type: ignore[attr-defined]
    for path in ("/api/v1/stations", "/api/v1/stations/{station_id}"):
        for status, answer in paths[path]["get"]["responses"].items():
            if status == "200":
                assert "application/json" in answer["content"]
            elif status != "304":
                (media_type,) = answer["content"]
                assert media_type == "application/problem+json"
                assert answer["content"][media_type]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_settings_name_the_database_without_its_password() -> None:
    shown = Settings(database_url="postgresql://me:hunter2@host/name").shown_database_url
    assert "hunter2" not in shown
    assert "host" in shown
