"""Answers that a client need not load twice (RFC 9110, sections 8.8.3 and 13.1.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from fastapi import Request, Response

ETAG: dict[str, Any] = {
    "ETag": {"description": "Send it as `If-None-Match` to load only what is new.", "schema": {"type": "string"}}
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "What `If-None-Match` names still holds."}}

_KEEP_BUT_ASK = b"cache-control", b"no-cache"
"""Caches may store the answer, and must ask each time whether it still holds."""
_JSON = b"content-type", b"application/json"

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Content:
    """JSON, and a version of it: to the same request, equal versions mean equal bodies and headers."""

    body: bytes
    version: bytes
    """Short, whatever the body's length."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, body: bytes) -> "Content":
        return cls(body, body)


def answered(known: str | None, content: Content) -> tuple[int, RawHeaders, bytes]:
    """Status, headers and body: 304 without content when `known`, the request's If-None-Match, names the version."""
    etag = f'"{blake2b(content.version, digest_size=12).hexdigest()}"'
    validators = [(b"etag", etag.encode()), _KEEP_BUT_ASK]
    if known and names(known, etag):
        return 304, validators, b""
    more = [(name.lower().encode(), value.encode("latin-1")) for name, value in content.headers.items()]
    length = (b"content-length", b"%d" % len(content.body))
    return 200, [_JSON, length, *more, *validators], content.body


def unless_known(request: Request, content: Content) -> Response:
    """`answered`, for a route."""
    known = request.headers.getlist("if-none-match")
    status, headers, body = answered(", ".join(known) if known else None, content)
    response = Response(body, status)
    response.raw_headers = headers
    return response


def names(known: str, etag: str) -> bool:
    """Whether an `If-None-Match` names the tag, by weak comparison: proxies that compress mark the tags that they
    pass on as weak."""
    tags = (tag.strip().removeprefix("W/") for tag in known.split(","))
    return any(tag in {etag.removeprefix("W/"), "*"} for tag in tags)
