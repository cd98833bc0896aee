"""The two doors of a hot endpoint: whatever is asked, the answer does not tell through which one it came."""

import asyncio
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from app.api import errors
from app.api.hot import HotPaths
from app.api.v1 import render, stations
from app.errors import NotReadyError
from app.replica import Replica
from app.stations.query import StationQuery
from app.stations.vocabulary import ConnectorType, EvseStatus
from tests.make import evse_state, stored
from tests.property.test_nearest import EXAMPLES

PATH = "/api/v1/stations"
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def _replica() -> Replica:
    replica = Replica(render.summary)
    free = [evse_state("1", EvseStatus.AVAILABLE, (ConnectorType.CCS2, 150.0))]
    replica.put([stored(n, 13.4 + n / 100, 52.5, free, operator="Ünal & Söhne", country="DE") for n in range(1, 40)])
    return replica


class _Counting:
    """The routes, and how many requests have come to them."""

    def __init__(self) -> None:
        self._app = FastAPI()
        self._app.include_router(stations.router)
        errors.install(self._app)
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        await self._app(scope, receive, send)


ROUTES = _Counting()
BOTH = HotPaths(ROUTES, stations.HOT)
READY = SimpleNamespace(replica=_replica())


class _NotReady:
    @property
    def replica(self) -> Replica:
        raise NotReadyError("The catalogue is still being loaded.")


def _ask(app: Any, query: bytes, follower: Any = READY, method: str = "GET", **headers: str) -> Answer:
    scope: Scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": PATH, "raw_path": PATH.encode(),
        "query_string": query, "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "state": {"follower": follower},
    }  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], sorted(sent[0]["headers"]), body


_NAMES = st.sampled_from([*StationQuery.model_fields, "Latitude", "limits", "limit%20", "l%69mit"])
_VALUES = st.sampled_from(
    [
        *("", "52.5", "13.4", "-0", "1e1", "nan", "inf", "1_0", "%2052", "52+", "5,2", "10", "0", "1000", "1001"),
        *("ccs2", "CCS2", "type2", "available", "DE", "de", "public", "demo", "13,52,14,53", "13%2C52,14,53", "1.0"),
        *("true", "%C3%9Cnal%20%26%20S%C3%B6hne", "Ünal", "\xff", "%FF", "%zz", "'x'", "<>", "a=b", ";"),
    ]
)
_PARAMETERS = st.lists(st.tuples(_NAMES, _VALUES), max_size=5).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
_NOISE = st.text(st.sampled_from('latitude&=%;+?/#<>"é13.,-'), max_size=30)
_GOOD = st.fixed_dictionaries(
    {"latitude": st.floats(-90, 90), "longitude": st.floats(-180, 180)},
    optional={
        "radius_km": st.floats(0.1, 20_000),
        "connector": st.sampled_from(["ccs2", "type2"]),
        "status": st.just("available"),
        "operator": st.just("ünal & söhne"),
        "skip": st.integers(0, 50),
        "limit": st.integers(1, 50),
    },
).map(urlencode)


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(
    query=(_GOOD | _PARAMETERS | _NOISE).map(lambda text: text.encode("latin-1")), known=st.sampled_from(("", "*"))
)
def test_both_doors_give_one_answer(query: bytes, known: str) -> None:
    headers = {"if_none_match": known} if known else {}
    assert _ask(BOTH, query, **headers) == _ask(ROUTES, query, **headers)


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(query=_GOOD)
def test_what_is_plain_does_not_come_to_the_routes(query: str) -> None:
    before = ROUTES.requests
    assert _ask(BOTH, query.encode())[0] == 200
    assert ROUTES.requests == before


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1&limit=2", "country=", "latitude=1", "latitude=95&longitude=0", "nothing=1"]
)
def test_what_is_wrong_is_for_the_routes(query: str) -> None:
    before = ROUTES.requests
    assert _ask(BOTH, query.encode())[0] == 422
    assert ROUTES.requests == before + 1


def test_another_method_and_an_outage_are_for_the_routes() -> None:
    assert _ask(BOTH, b"", method="POST")[0] == 405
    assert _ask(BOTH, b"", follower=_NotReady())[0] == 503


@pytest.mark.parametrize("app", [BOTH, ROUTES], ids=["both doors", "routes"])
def test_an_answer_is_sent_again_only_if_it_has_changed(app: Any) -> None:
    query = urlencode({"latitude": 52.5, "longitude": 13.4, "limit": 3}).encode()
    etag = dict(_ask(app, query)[1])[b"etag"].decode()
    assert _ask(app, query, if_none_match=f'"x", W/{etag}')[0] == 304
    moved = SimpleNamespace(replica=_replica())
    moved.replica.put([stored(1, 13.42, 52.5, [])])
    assert _ask(app, query, follower=moved, if_none_match=etag)[0] == 200


def test_the_link_leads_on_to_the_end_through_either_door() -> None:
    query, ids = f"operator={quote('Ünal & Söhne')}&limit=7&country=de", []
    while query:
        _, headers, body = _ask(BOTH, query.encode())
        ids += [int(item.split(b",")[0]) for item in body.split(b'{"id":')[1:]]
        link = dict(headers).get(b"link", b"").decode()
        query = link.partition("?")[2].partition(">")[0]
    assert ids == list(range(1, 40))
