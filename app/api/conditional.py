"""Answers that a client need not load twice (RFC 9110, sections 8.8.3 and 13.1.2)."""

from hashlib import blake2b
from typing import Any, NamedTuple

from fastapi import Request, Response

ETAG: dict[str, Any] = {
    "ETag": {"description": "Send it as `If-None-Match` to load only what is new.", "schema": {"type": "string"}}
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "What `If-None-Match` names still holds."}}

_KEEP_BUT_ASK = b"cache-control", b"no-cache"
"""Caches may store the answer, and must ask each time whether it still holds."""
_JSON = b"content-type", b"application/json"

RawHeaders = list[tuple[bytes, bytes]]


class Content(NamedTuple):
    """JSON, and a version of it: to the same request, equal versions mean equal bodies and headers."""

    body: bytes
    version: str
    """Short, of letters and digits."""
    headers: RawHeaders

    @classmethod
    def of(cls, body: bytes) -> "Content":
        return cls(body, blake2b(body, digest_size=12).hexdigest(), [])


def answered(known: str | None, content: Content) -> tuple[int, RawHeaders, bytes]:
    """Status, headers and body: 304 without content when `known`, the request's If-None-Match, names the version."""
    body, version, more = content
    etag = f'"{version}"'
    tag = b"etag", etag.encode()
    if known and names(known, etag):
        return 304, [tag, _KEEP_BUT_ASK], b""
    return 200, [_JSON, (b"content-length", b"%d" % len(body)), *more, tag, _KEEP_BUT_ASK], body


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
