"""Every error that /openapi.json says of webhooks is provoked on a running server."""

import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.api.errors import KINDS
from app.api.v1.webhooks import MOST_PINGS
from app.auth import Scope
from app.webhooks.repository import MAX_OF_KEY
from tests.acceptance.conftest import serving
from tests.acceptance.test_openapi import assert_documented, operations, without_database
from tests.keys import create_key
from tests.receiver import Receiver, receiving

__all__ = ["without_database"]

HOOKS = "/api/v1/webhooks"
HOOK = HOOKS + "/{webhook_id}"
Operation = tuple[str, str]
BODIES: dict[Operation, Any] = {
    ("post", HOOKS): {"url": "http://127.0.0.1:1/"},
    ("post", HOOK + "/rotate-secret"): {},
}
"""Sound ones."""
WAITING = "w" * 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("webhook errors")
    shutil.copy(migrated_sqlite_file, folder / "voltway.db")
    return folder


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, str]:
    url = f"sqlite:///{folder / 'voltway.db'}"
    return {"one": create_key(url, "one", [Scope.WEBHOOKS]), "nothing": create_key(url, "nothing", [])}


@pytest.fixture(scope="module")
def http(folder: Path, keys: dict[str, str]) -> Iterator[httpx.Client]:
    with (
        serving(folder, WEBHOOK_PRIVATE_TARGETS="true") as address,
        httpx.Client(base_url=address, timeout=60, headers={"X-API-Key": keys["one"]}) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    return dict(http.get("/openapi.json").json())


@pytest.fixture
def hook(http: httpx.Client, folder: Path) -> Iterator[tuple[str, Receiver]]:
    """A webhook with a delivery that waits, and its receiver."""
    with receiving() as receiver:
        webhook_id = http.post(HOOKS, json={"url": receiver.url}).json()["id"]
        change(
            folder,
            "INSERT INTO webhook_deliveries (id, webhook_id, created_at, events, body, attempts, next_attempt_at)"
            f" VALUES ('{WAITING}', '{webhook_id}', '2026-01-01', 0, '', 1, '2999-01-01')",
        )
        yield webhook_id, receiver
        http.delete(f"{HOOKS}/{webhook_id}")


def change(folder: Path, statement: str) -> None:
    """As an operator could."""
    with closing(sqlite3.connect(folder / "voltway.db", isolation_level=None)) as database:
        database.execute(statement)


def documented(document: dict[str, Any]) -> dict[tuple[Operation, str], dict[str, Any]]:
    """Each kind of error of each operation."""
    return {
        (of, kind): operation
        for of, operation in operations(document)
        if of[1].startswith(HOOKS)
        for answer in operation["responses"].values()
        for kind in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }


def ask(http: httpx.Client, of: Operation, webhook_id: str, **more: Any) -> httpx.Response:
    """A sound request, but for what is given."""
    method, template = of
    path = template.replace("{webhook_id}", webhook_id).replace("{delivery_id}", WAITING)
    body = {"json": BODIES[of]} if of in BODIES and not {"json", "content"} & more.keys() else {}
    return http.request(method, path, **body, **more)


def provoke(http: httpx.Client, of: Operation, kind: str, hook: tuple[str, Receiver], unfit: str) -> httpx.Response:
    webhook_id, receiver = hook
    if kind == "invalid-request":
        if of == ("post", HOOKS):
            return ask(http, of, webhook_id, json={"url": "https://user@example.com/"})
        return ask(http, of, "x" * 201)
    if kind == "not-found":
        return ask(http, of, "none")
    if kind == "conflict":
        return conflict(http, of, webhook_id)
    if kind == "too-many-requests":
        return many_pings(http, of, webhook_id, receiver)
    wrong: dict[str, dict[str, Any]] = {
        "bad-request": {"headers": {"Authorization": "Bearer other"}},
        "malformed-json": {"content": b"{", "headers": {"Content-Type": "application/json"}},
        "unauthorized": {"headers": {"X-API-Key": ""}},
        "forbidden": {"headers": {"X-API-Key": unfit}},
    }
    return ask(http, of, webhook_id, **wrong[kind])


def conflict(http: httpx.Client, of: Operation, webhook_id: str) -> httpx.Response:
    answers = [ask(http, of, webhook_id) for _ in range(MAX_OF_KEY + 1 if of == ("post", HOOKS) else 1)]
    for made in answers[:-1]:
        if made.status_code == 201:
            http.delete(f"{HOOKS}/{made.json()['id']}")
    return answers[-1]


def many_pings(http: httpx.Client, of: Operation, webhook_id: str, receiver: Receiver) -> httpx.Response:
    receiver.hangs.set()
    with ThreadPoolExecutor(MOST_PINGS) as pool:
        pings = []
        for number in range(1, MOST_PINGS + 1):
            pings.append(pool.submit(ask, http, of, webhook_id))
            receiver.wait_for(lambda n=number: len(receiver.received) == n)  # type: ignore[misc]
        answer = ask(http, of, webhook_id)
        receiver.hangs.clear()
        assert all(ping.result().json()["delivered"] for ping in pings)
    return answer


def test_every_documented_error_of_webhooks_comes_as_it_is_documented(
    http: httpx.Client, keys: dict[str, str], folder: Path, document: dict[str, Any], hook: tuple[str, Receiver]
) -> None:
    change(folder, f"UPDATE webhooks SET paused_because = 'operator' WHERE id = '{hook[0]}'")
    statuses = {kind.type: kind.status for kind in KINDS}
    kinds = documented(document)
    assert len(kinds) > 50
    for (of, kind), operation in kinds.items():
        if kind != "service-unavailable":
            answer = provoke(http, of, kind, hook, keys["nothing"])
            assert answer.json().get("type") == f"urn:voltway:problem:{kind}", (of, kind, answer.text)
            assert answer.status_code == statuses[answer.json()["type"]]
            assert_documented(answer, operation, document)


def test_every_documented_outage_of_webhooks_comes_as_it_is_documented(
    without_database: httpx.Client, document: dict[str, Any]
) -> None:
    for (of, kind), operation in documented(document).items():
        if kind == "service-unavailable":
            answer = ask(without_database, of, "none")
            assert answer.json()["type"] == f"urn:voltway:problem:{kind}", (of, answer.text)
            assert_documented(answer, operation, document)
