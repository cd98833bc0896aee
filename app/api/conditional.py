"""Answers that a client need not load twice (RFC 9110, sections 8.8.3 and 13.1.2)."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from fastapi import Request, Response

_KEEP_BUT_ASK = {"Cache-Control": "no-cache"}
"""Caches may store the answer, and must ask each time whether it still holds."""
ETAG: dict[str, Any] = {
    "ETag": {"description": "Send it as `If-None-Match` to load only what is new.", "schema": {"type": "string"}}
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "What `If-None-Match` names still holds."}}


def unless_known(request: Request, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """JSON with an `ETag` of its content and headers, or 304 without content when `If-None-Match` names it."""
    headers = headers or {}
    etag = f'"{blake2b(body + repr(headers).encode(), digest_size=12).hexdigest()}"'
    known = request.headers.get("if-none-match")
    if known and names(known, etag):
        return Response(status_code=304, headers={"ETag": etag, **_KEEP_BUT_ASK})
    return Response(body, headers={**headers, "ETag": etag, **_KEEP_BUT_ASK}, media_type="application/json")


def names(known: str, etag: str) -> bool:
    """Whether an `If-None-Match` names the tag, by weak comparison: proxies that compress mark the tags that they
    pass on as weak."""
    tags = (tag.strip().removeprefix("W/") for tag in known.split(","))
    return any(tag in {etag.removeprefix("W/"), "*"} for tag in tags)
