"""Webhooks over HTTP, as those who want to be told use them."""

import re
import shutil
import subprocess
import sys
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
from tests.receiver import Receiver, receiving

HOOKS = "/api/v1/webhooks"
STATION = {
    "source": "acme",
    "external_id": "1",
    "title": "Harbour",
    "latitude": 53.5,
    "longitude": 9.9,
    "evses": [{"uid": "1"}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("webhooks")
    shutil.copy(migrated_sqlite_file, folder / "voltway.db")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'voltway.db'}"


@pytest.fixture(scope="module")
def keys(url: str) -> dict[str, dict[str, str]]:
    """As headers."""
    scopes = {"all": list(Scope), "other": [Scope.WEBHOOKS], "many": [Scope.WEBHOOKS], "unfit": [Scope.STATUS_WRITE]}
    return {name: {"X-API-Key": create_key(url, name, allowed)} for name, allowed in scopes.items()}


@pytest.fixture(scope="module")
def http(folder: Path, keys: dict[str, dict[str, str]]) -> Iterator[httpx.Client]:
    with (
        serving(folder, WEBHOOK_PRIVATE_TARGETS="true") as address,
        httpx.Client(base_url=address, timeout=60, headers=keys["all"]) as client,
    ):
        yield client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def create(http: httpx.Client, target: str, **more: Any) -> dict[str, Any]:
    answer = http.post(HOOKS, json={"url": target, **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{HOOKS}/{answer.json()['id']}"
    return dict(answer.json())


def tell(http: httpx.Client, status: str, seconds_ago: float = 0) -> None:
    (found,) = http.get("/api/v1/stations", params={"source": "acme"}).json()
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    item = {"station_id": found["id"], "evse_uid": "1", "status": status, "observed_at": at.isoformat()}
    assert http.post("/api/v1/status", json=[item]).json()["applied"] == 1


def test_from_creation_to_deletion(http: httpx.Client, receiver: Receiver) -> None:
    http.post("/api/v1/stations/bulk", json=[STATION]).raise_for_status()
    made = create(http, receiver.url, name="dispatch", filter={"bbox": "9,53,10,54"})
    secret = made.pop("secret")
    assert len(secret) > 40
    one = f"{HOOKS}/{made['id']}"
    assert http.get(one).json() == made
    assert http.get(HOOKS).json()["items"] == [made]
    assert secret not in http.get(HOOKS).text

    receiver.refuse(500)
    ping = http.post(f"{one}/test").json()
    assert (ping["delivered"], ping["status"]) == (False, 500)
    ping = http.post(f"{one}/test").json()
    assert (ping["delivered"], ping["status"], ping["error"]) == (True, 204, None)
    assert receiver.bodies[-1]["events"] == [{"type": "ping"}]
    assert receiver.received[-1].is_signed_with(secret)

    tell(http, "AVAILABLE", seconds_ago=1)
    receiver.wait_for(lambda: len(receiver.received) == 3)
    assert receiver.received[-1].is_signed_with(secret)
    assert receiver.bodies[-1]["events"][0]["status"] == "available"

    receiver.refuse(410)
    tell(http, "CHARGING")
    receiver.wait_for(lambda: http.get(one).json()["paused_because"] == "gone")
    (waiting,) = http.get(f"{one}/deliveries").json()["items"]
    assert (waiting["state"], waiting["error"]) == ("pending", "the receiver answered 410")
    assert http.get(f"{one}/deliveries", params={"state": "dead"}).json()["items"] == []
    assert http.post(f"{one}/deliveries/{waiting['id']}/retry").status_code == 409
    assert http.post(f"{one}/resume").json()["state"] == "active"
    receiver.wait_for(lambda: len(receiver.received) == 5)
    assert receiver.bodies[-1]["events"] == receiver.bodies[-2]["events"]

    changed = http.post(f"{one}/rotate-secret", json={}).json()
    assert changed["secret"] != secret
    assert changed["former_secret_until"] is not None
    http.post(f"{one}/test")
    assert receiver.received[-1].is_signed_with(secret)
    assert receiver.received[-1].is_signed_with(changed["secret"])
    own: dict[str, Any] = {"secret": "sixteen-characters-or-more", "overlap_hours": 0}
    assert http.post(f"{one}/rotate-secret", json=own).json()["secret"] == own["secret"]
    http.post(f"{one}/test")
    assert receiver.received[-1].is_signed_with(own["secret"])
    assert not receiver.received[-1].is_signed_with(changed["secret"])

    assert http.delete(one).status_code == 204
    assert http.get(one).status_code == 404


def test_another_keys_webhook_is_not_there(
    http: httpx.Client, keys: dict[str, dict[str, str]], receiver: Receiver
) -> None:
    one = f"{HOOKS}/{create(http, receiver.url)['id']}"
    other = keys["other"]
    assert http.get(HOOKS, headers=other).json() == {"items": []}
    for method, path in (
        ("GET", one), ("DELETE", one), ("POST", f"{one}/test"), ("POST", f"{one}/resume"),
        ("GET", f"{one}/deliveries"), ("POST", f"{one}/deliveries/1/retry"),
    ):  # fmt: skip
        assert http.request(method, path, headers=other).status_code == 404
    assert http.delete(one).status_code == 204
    assert http.get(HOOKS, headers=keys["unfit"]).status_code == 403


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "url"), ({"url": "nowhere"}, "url"), ({"url": "http://no-such-host.invalid/"}, "url"),
        ({"url": "http://127.0.0.1/", "secret": "short"}, "secret"),
        ({"url": "http://127.0.0.1/", "filter": {"bbox": "1,2"}}, "filter.bbox"),
        ({"url": "http://127.0.0.1/", "filter": {"ids": [0]}}, "filter.ids.0"),
        ({"url": "http://127.0.0.1/", "colour": "red"}, "colour"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(http: httpx.Client, body: dict[str, Any], name: str) -> None:
    answer = http.post(HOOKS, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["name"] == name


def test_a_key_may_have_so_many(http: httpx.Client, keys: dict[str, dict[str, str]], receiver: Receiver) -> None:
    many = keys["many"]
    for _ in range(20):
        assert http.post(HOOKS, json={"url": receiver.url}, headers=many).status_code == 201
    assert http.post(HOOKS, json={"url": receiver.url}, headers=many).status_code == 409


def test_an_operator_lists_pauses_resumes_and_deletes(http: httpx.Client, folder: Path, receiver: Receiver) -> None:
    made = create(http, receiver.url, name="for operators")
    one = f"{HOOKS}/{made['id']}"
    listed = voltway(folder, "webhooks", "list").stdout
    assert "for operators" in listed
    assert made["secret"] not in listed
    assert voltway(folder, "webhooks", "pause", made["id"]).returncode == 0
    assert http.get(one).json()["paused_because"] == "operator"
    assert http.post(f"{one}/resume").status_code == 409
    assert voltway(folder, "webhooks", "resume", made["id"]).returncode == 0
    assert http.get(one).json()["state"] == "active"
    assert voltway(folder, "webhooks", "delete", made["id"]).returncode == 0
    assert http.get(one).status_code == 404
    unknown = voltway(folder, "webhooks", "delete", "none")
    assert unknown.returncode != 0
    assert "no webhook none" in unknown.stderr


def test_no_secret_is_in_the_log(http: httpx.Client, folder: Path, receiver: Receiver) -> None:
    secret = "-".join(["a", "secret", "of", "my", "own"])
    made = create(http, receiver.url, secret=secret)
    receiver.refuse(500)
    tell(http, "OUTOFORDER")
    receiver.wait_for(lambda: http.get(f"{HOOKS}/{made['id']}").json()["state"] == "failing")
    log = "".join(file.read_text() for file in folder.rglob("*.log"))
    assert made["id"] in log
    assert secret not in log


def test_targets_inside_are_refused_unless_the_operator_allows_them(
    folder: Path, keys: dict[str, dict[str, str]]
) -> None:
    with (
        serving(folder, JOBS_IN_SERVE="false") as address,
        httpx.Client(base_url=address, headers=keys["all"]) as client,
    ):
        for target in (
            "http://127.0.0.1/",
            "http://localhost/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/",
        ):
            answer = client.post(HOOKS, json={"url": target})
            assert answer.status_code == 422, target
            assert "not public" in answer.json()["errors"][0]["message"]


def test_the_check_in_the_documentation_tells_sound_requests_from_others(http: httpx.Client, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    with receiving() as receiver:
        made = create(http, receiver.url)
        http.post(f"{HOOKS}/{made['id']}/test").raise_for_status()
        (request,) = receiver.received
    module = tmp_path / "check.py"
    given = request.headers["Voltway-Signature"], request.raw, made["secret"]
    module.write_text(
        f"{code}\nheader, body, secret = {given!r}\n"
        "print(is_genuine(header, body, secret), is_genuine(header, body + b' ', secret),"
        " is_genuine(header.replace('t=', 't=1'), body, secret), is_genuine('', body, secret))\n"
    )
    done = subprocess.run([sys.executable, module], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False", "False"]
