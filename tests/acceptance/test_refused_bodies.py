"""An error that is answered before the body was read reaches clients that send all of it before they listen."""

import json
import socket
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import httpx2 as httpx
import pytest

from app.api.bodies import MAX_BYTES

BULK = "/api/v1/stations/bulk"
BODY = b" " * (MAX_BYTES + 1)


def _refusal(address: str, headers: dict[str, str], body: bytes = BODY) -> HTTPError:
    headers = {"Content-Type": "application/json"} | headers
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(address + BULK, body, headers, method="POST"), timeout=30)  # noqa: S310 - our own server
    return refused.value


def test_urllib_gets_to_read_why_a_body_is_refused(demo_address: str) -> None:
    with _refusal(demo_address, {}) as refused:
        assert (refused.code, json.loads(refused.read())["status"]) == (401, 401)


def test_a_body_that_the_framework_reads_is_limited_too(demo_address: str) -> None:
    answer = httpx.post(f"{demo_address}/api/v1/webhooks", content=BODY, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:voltway:problem:content-too-large")


def test_another_request_may_follow_on_the_same_connection(demo_address: str) -> None:
    url = urlsplit(demo_address)
    with httpx.Client(base_url=demo_address, timeout=30) as client:
        assert client.post(BULK, content=BODY).status_code == 401
        assert client.get("/api/v1/health").status_code == 200
    head = f"POST {BULK} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as connection:
        connection.sendall(head + BODY + b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    assert received.startswith(b"HTTP/1.1 401 ")
    assert b"HTTP/1.1 200 " in received


def test_who_waits_for_leave_to_send_is_answered_at_once(demo_address: str) -> None:
    url = urlsplit(demo_address)
    head = f"POST {BULK} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
