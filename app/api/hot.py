"""Frequent requests, answered without the framework's generic machinery.

A hot endpoint has two doors to one function. Its route in FastAPI is the one that is documented, and that answers
whatever is unusual. `HotPaths` stands before the router and answers what is plain: GET, and a query that the route's
own model accepts. Whatever else comes, also an error, goes on to the route, so that errors are told in one place.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Generic, TypeVar, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.conditional import Content, answered
from app.api.deps import Resources
from app.errors import VoltWayError

Query = TypeVar("Query", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class HotEndpoint(Generic[Query]):
    """An endpoint whose answer follows from its query and what this process has in memory."""

    query: type[Query]
    answer: Callable[[Query, Resources, Scope], Content]
    """May raise VoltWayError."""


class HotPaths:
    """The innermost middleware: answers the plain requests to these paths."""

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, HotEndpoint[Any]]) -> None:
        self._app = app
        self._doors = {path: _Door(path, endpoint) for path, endpoint in endpoints.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_get = scope["type"] == "http" and scope["method"] == "GET"
        door = self._doors.get(scope["path"]) if is_get else None
        content = door.content(scope) if door else None
        if content is None:
            await self._app(scope, receive, send)
            return
        status, headers, body = answered(_if_none_match(scope), content)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class _Door:
    def __init__(self, path: str, endpoint: HotEndpoint[Any]) -> None:
        self._answer = endpoint.answer
        self._validate = endpoint.query.__pydantic_validator__.validate_python
        self._lists = {name for name, field in endpoint.query.model_fields.items() if _is_list(field.annotation)}
        self._route = SimpleNamespace(path=path)

    def content(self, scope: Scope) -> Content | None:
        """`None`: a case for the route."""
        given = self._parameters(scope["query_string"].decode("latin-1"))
        if given is None:
            return None
        try:
            content = self._answer(self._validate(given), scope["state"], scope)
        except (ValidationError, VoltWayError):
            return None
        scope["route"] = self._route  # for the log and the metrics
        return content

    def _parameters(self, written: str) -> dict[str, Any] | None:
        """As the framework reads them; `None` where one is repeated or empty, which is for the route to judge."""
        given: dict[str, Any] = {}
        for name, value in _pairs(written):
            if name in self._lists:
                given.setdefault(name, []).append(value)
            elif name in given or not value:
                return None
            else:
                given[name] = value
        return given


def _pairs(written: str) -> Iterable[Sequence[str]]:
    """As `parse_qsl` reads them, which takes four times as long where nothing is encoded."""
    if "%" in written or "+" in written:
        return parse_qsl(written, keep_blank_values=True)
    return [part.partition("=")[::2] for part in written.split("&") if part]


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) is list


def _if_none_match(scope: Scope) -> str | None:
    """Several lines are one list (RFC 9110, section 5.3)."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"]
    return ", ".join(lines) if lines else None
