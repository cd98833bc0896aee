"""A partner pushes its locations, as OCPI 2.2.1 says in §8.2.2, over a socket."""

import copy
import json
import re
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.auth import Scope
from app.db.migrate import migrate
from tests.acceptance.conftest import serving
from tests.conftest import ROOT
from tests.keys import create_key

LOCATIONS, STATIONS = "/ocpi/2.2.1/locations", "/api/v1/stations"
LOC = f"{LOCATIONS}/NL/ALL/LOC1"
CONNECTOR = {
    "id": "1", "standard": "IEC_62196_T2_COMBO", "format": "CABLE", "power_type": "DC", "max_voltage": 920,
    "max_amperage": 400, "max_electric_power": 150_000, "last_updated": "2026-11-24T08:00:00Z",
}  # fmt: skip
EVSE = {
    "uid": "3256", "evse_id": "NL*ALL*E3256", "status": "AVAILABLE", "connectors": [CONNECTOR],
    "capabilities": ["RFID_READER"], "last_updated": "2026-11-24T08:00:00Z",
}  # fmt: skip
LOCATION = {
    "country_code": "NL", "party_id": "ALL", "id": "LOC1", "publish": True, "name": "Harbour", "address": "Quay 1",
    "city": "Rotterdam", "country": "NLD", "coordinates": {"latitude": "51.917", "longitude": "4.483"},
    "evses": [EVSE], "time_zone": "Europe/Amsterdam", "last_updated": "2026-11-24T08:00:00Z",
}  # fmt: skip


@contextmanager
def _partner(folder: Path, url: str) -> Iterator[httpx.Client]:
    with (
        serving(folder, DATABASE_URL=url) as address,
        httpx.Client(base_url=address, headers=_token(url, "partner"), timeout=30) as http,
    ):
        yield http


def _token(url: str, name: str, party: str | None = None) -> dict[str, str]:
    key = create_key(url, name, [Scope.OCPI_WRITE], ocpi_party=party)
    return {"Authorization": f"Token {b64encode(key.encode()).decode()}"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgresql_server"))
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('ocpi') / 'voltway.db'}"
    migrate(url)
    return url


@pytest.fixture(scope="module")
def http(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with _partner(tmp_path_factory.mktemp("ocpi"), url) as http:
        yield http


@pytest.fixture
def pushed(http: httpx.Client) -> dict[str, Any]:
    """The location, whole and as it was at first."""
    location = copy.deepcopy(LOCATION)
    assert http.put(LOC, json=location).status_code in {200, 201}
    return location


def station(http: httpx.Client) -> dict[str, Any]:
    (found,) = http.get(STATIONS, params={"source": "ocpi-push", "q": "Quay 1"}).json()
    detail: dict[str, Any] = http.get(f"{STATIONS}/{found['id']}").json()
    return detail


def told(answer: httpx.Response) -> tuple[int, int]:
    envelope = answer.json()
    assert envelope.keys() <= {"data", "status_code", "status_message", "timestamp"}
    return answer.status_code, envelope["status_code"]


BEGAN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
"""A state holds for a day."""


def at(minute: int) -> str:
    return f"{BEGAN + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"


def test_what_is_pushed_is_found_and_can_be_had_back(http: httpx.Client, pushed: dict[str, Any]) -> None:
    assert http.get(LOC).json()["data"] == pushed
    assert http.get(f"{LOC}/3256").json()["data"] == EVSE
    assert http.get(f"{LOC}/3256/1").json()["data"] == CONNECTOR
    found = station(http)
    assert (found["title"], found["external_id"], found["country"]) == ("Harbour", "NL*ALL*LOC1", "NL")
    assert found["evses"][0]["evse_id"] == "NL*ALL*E3256"
    assert (found["max_power_kw"], found["connectors"][0]["type"]) == (150, "ccs2")


def test_a_key_for_one_party_opens_no_other(http: httpx.Client, pushed: dict[str, Any], url: str) -> None:
    own, other = _token(url, "own", "NL*ALL"), _token(url, "other", "NL*XYZ")
    for headers in (own, other):  # the server looks for keys that it does not know ten times a second
        assert any(http.get(LOC, headers=headers).status_code != 401 for _ in range(1_000))
    assert told(http.put(LOC.replace("NL/ALL", "nl/all"), json=LOCATION, headers=own)) == (200, 1000)
    for method in ("GET", "PUT", "PATCH"):
        answer = http.request(method, f"{LOC}/3256", content=json.dumps(EVSE), headers=other)
        assert told(answer) == (403, 2000)
        assert "NL*XYZ only" in answer.json()["status_message"]


def test_a_state_changes_and_an_older_one_does_not_count(http: httpx.Client, pushed: dict[str, Any]) -> None:
    assert told(http.patch(f"{LOC}/3256", json={"status": "CHARGING", "last_updated": at(5)})) == (200, 1000)
    assert told(http.patch(f"{LOC}/3256", json={"status": "OUTOFORDER", "last_updated": at(4)})) == (200, 1000)
    (evse,) = station(http)["evses"]
    assert (evse["status"], evse["observed_at"]) == ("CHARGING", at(5))
    kept = http.get(LOC).json()["data"]
    assert (kept["evses"][0]["status"], kept["last_updated"]) == ("CHARGING", at(5))
    assert kept["evses"][0]["capabilities"] == ["RFID_READER"]


def test_parts_are_added_replaced_and_removed(http: httpx.Client, pushed: dict[str, Any]) -> None:
    second = EVSE | {"uid": "2", "evse_id": "NL*ALL*E2", "connectors": [], "last_updated": at(10)}
    assert told(http.put(f"{LOC}/2", json=second)) == (201, 1000)
    assert told(http.put(f"{LOC}/2/7", json=CONNECTOR | {"id": "7", "standard": "CHADEMO"})) == (201, 1000)
    assert told(http.patch(f"{LOC}/2/7", json={"max_electric_power": 50_000, "last_updated": at(11)})) == (200, 1000)
    evses = {evse["uid"]: evse for evse in station(http)["evses"]}
    assert [(c["type"], c["power_kw"]) for c in evses["2"]["connectors"]] == [("chademo", 50)]
    assert told(http.patch(f"{LOC}/2", json={"status": "REMOVED", "last_updated": at(12)})) == (200, 1000)
    assert [evse["uid"] for evse in station(http)["evses"]] == ["3256"]
    assert told(http.patch(LOC, json={"name": "New harbour", "last_updated": at(13)})) == (200, 1000)
    assert station(http)["title"] == "New harbour"
    assert told(http.patch(LOC, json={"publish": False, "last_updated": at(14)})) == (200, 1000)
    assert http.get(STATIONS, params={"source": "ocpi-push", "q": "Quay 1"}).json() == []
    assert http.get(LOC).json()["data"]["publish"] is False


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("PUT", LOC, b"[", (400, 2001)),
        ("PUT", LOC, b"[]", (400, 2001)),
        ("PUT", LOC, b'{"id": "LOC2"}', (400, 2001)),
        ("PUT", LOC, b'{"country_code": "DE"}', (400, 2001)),
        ("PUT", f"{LOCATIONS}/NL/ALL/NEW", b'{"id": "NEW", "name": "no place"}', (400, 2001)),
        ("PATCH", LOC, b'{"name": "x"}', (400, 2001)),
        ("PATCH", LOC, b'{"name": "x", "last_updated": "yesterday"}', (400, 2001)),
        ("PATCH", f"{LOCATIONS}/NL/ALL/NONE", b'{"last_updated": "2026-11-24T09:00:00Z"}', (404, 2003)),
        ("PATCH", f"{LOC}/none", b'{"last_updated": "2026-11-24T09:00:00Z"}', (404, 2003)),
        ("PUT", f"{LOC}/none/1", b"{}", (404, 2003)),
        ("GET", f"{LOC}/3256/none", b"", (404, 2003)),
        ("GET", f"{LOCATIONS}/NLD/ALL/LOC1", b"", (400, 2001)),
        ("PUT", LOC, b" " * 20_000_001, (413, 2000)),
    ],
)
def test_what_cannot_be_understood_is_said_in_an_envelope(
    http: httpx.Client, pushed: dict[str, Any], method: str, path: str, body: bytes, expected: tuple[int, int]
) -> None:
    before = http.get(LOC).json()["data"]
    answer = http.request(method, path, content=body)
    assert told(answer) == expected
    assert answer.json()["status_message"]
    assert http.get(LOC).json()["data"] == before


@pytest.mark.parametrize("authorization", [None, "Token wrong", "Bearer x", "Token " + b64encode(b"vw_x").decode()])
def test_without_a_token_that_holds_nothing_can_be_done(http: httpx.Client, authorization: str | None) -> None:
    with httpx.Client(base_url=http.base_url) as stranger:
        headers = {} if authorization is None else {"Authorization": authorization}
        for method in ("GET", "PUT", "PATCH"):
            assert told(stranger.request(method, LOC, headers=headers)) == (401, 2000)


_PARTS: dict[str, dict[str, Any]] = {"": LOCATION, "/3256": EVSE, "/3256/1": CONNECTOR}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("told", [{"id": None}, {}], ids=str)
def test_a_connector_without_id_has_that_of_its_address(http: httpx.Client, told: dict[str, Any]) -> None:
    http.put(LOC, json=LOCATION)
    bare = {name: value for name, value in CONNECTOR.items() if name != "id"}
    assert http.put(f"{LOC}/3256/1", json=bare | told).status_code == 200
    assert http.get(f"{LOC}/3256/1").json()["data"] == CONNECTOR


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from([*LOCATION, "operator", "opening_times"]),
    value=JSON,
    part=st.sampled_from(["", "/3256", "/3256/1"]),
)
def test_nothing_that_is_pushed_breaks_the_service(http: httpx.Client, field: str, value: Any, part: str) -> None:
    http.put(LOC, json=LOCATION)
    whole = _PARTS[part]
    for method in ("PUT", "PATCH"):
        body = json.dumps(whole | {field: value} if method == "PUT" else {"last_updated": at(59), field: value})
        status, code = told(http.request(method, LOC + part, content=body.encode()))
        assert status in {200, 201, 400}
        assert code in {1000, 2001}


def test_the_example_of_the_documentation(http: httpx.Client, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "ocpi.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    token = http.headers["Authorization"].partition(" ")[2]
    (tmp_path / "partner.key").write_bytes(b64decode(token) + b"\n")  # as the command prints it
    address = str(http.base_url).rstrip("/")
    for command in commands.replace("http://127.0.0.1:8000", address).splitlines():
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
        )
        assert json.loads(done.stdout)["status_code"] == 1000
    assert http.get(f"{LOC}/3256").json()["data"]["status"] == "CHARGING"
