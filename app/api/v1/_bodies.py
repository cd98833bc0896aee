"""Bodies with many items, as a JSON array or one item a line."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson
from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter

from app.api.errors import MalformedJsonError
from app.ingest.bulk import Fault, Unreadable

MAX_ITEMS = 10_000
JSON, LINES = "application/json", "application/x-ndjson"


def body_of(items: TypeAdapter[Any], examples: Sequence[object], description: str) -> dict[str, Any]:
    """How such a body is documented (OpenAPI request body)."""
    schema = items.json_schema(ref_template="#/components/schemas/{model}")
    lines = b"".join(orjson.dumps(each) + b"\n" for each in examples).decode()
    return {
        "required": True,
        "description": description,
        "content": {
            JSON: {"schema": schema, "example": examples},
            LINES: {"schema": {"type": "string"}, "example": lines},
        },
    }


async def receive_items(request: Request, noun: str) -> Callable[[], Iterable[object]]:
    """Receive the whole body and return what reads it, which takes long enough to be called in a thread and raises
    for what is no list of items. `noun`: what they are, plural."""
    is_lines = _media_type(request) == LINES
    body = await request.body()
    return lambda: _lines(body, noun) if is_lines else _array(body, noun)


def _media_type(request: Request) -> str:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in {JSON, LINES} or request.headers.get("Content-Encoding", "identity") != "identity":
        raise HTTPException(415, f"Send {JSON} or {LINES}, not compressed.")
    return media_type


def _array(body: bytes, noun: str) -> list[object]:
    try:
        items = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJsonError(str(error)) from error
    if not isinstance(items, list):
        whole = {"loc": ("body",), "msg": f"This must be a JSON array of {noun}", "input": None}
        raise RequestValidationError([whole])
    if len(items) > MAX_ITEMS:
        raise _too_many(noun)
    return items


def _lines(body: bytes, noun: str) -> Iterator[object]:
    """Blank lines do not count."""
    for number, line in enumerate(line for line in body.split(b"\n") if line.strip()):
        if number == MAX_ITEMS:
            raise _too_many(noun)
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield Unreadable(f"This line is not JSON: {error}")


def _too_many(noun: str) -> HTTPException:
    return HTTPException(413, f"These are more than {MAX_ITEMS:,} {noun}: send them in parts.")


def as_error(fault: Fault) -> dict[str, Any]:
    """As pydantic tells of errors."""
    return {"loc": ("body", fault.index, fault.field), "msg": fault.message, "input": fault.value}
