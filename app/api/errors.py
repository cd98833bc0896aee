"""Every error as a problem document (RFC 9457), and the one table from VoltWay's errors to HTTP status."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.errors import (
    DatabaseUnavailableError,
    KeyRefusedError,
    MissingScopeError,
    NotReadyError,
    OverloadedError,
    TooDearError,
    TooManyReadersError,
    TooManyWebhooksError,
    VoltWayError,
)
from app.middleware.logging import HEADER
from app.utils.openapi_docs import PROBLEM_MEDIA_TYPE, ProblemType

logger = logging.getLogger(__name__)

_TYPE = "urn:voltway:problem:"
_SHOWN_CHARACTERS = 100
_RETRY_AFTER_S = 5


class FieldProblem(BaseModel):
    """One thing that is wrong with one part of a request."""

    location: str = Field(description="`query`, `path`, `header` or `body`.", examples=["query"])
    index: int | None = Field(None, description="Which item of a list it is in, from 0.")
    name: str = Field(description="The parameter or field.", examples=["latitude"])
    message: str = Field(
        description="What is wrong, with the allowed values.",
        examples=["Input should be less than or equal to 90"],
    )
    value: str | None = Field(None, description="What was given, cut to 100 characters.", examples=["95"])


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="Stable name of this kind of problem.", examples=[_TYPE + "invalid-request"])
    title: str = Field(examples=["The request is not valid"])
    status: int = Field(examples=[422])
    detail: str = Field(description="What happened, for a human.")
    request_id: str | None = Field(None, description="Also in the header X-Request-ID; name it when asking for help.")
    errors: list[FieldProblem] | None = Field(None, description="Only for invalid requests.")


def _kind(name: str, status: int, title: str, detail: str, *errors: FieldProblem) -> ProblemType:
    example = Problem(
        type=_TYPE + name, title=title, status=status, detail=detail, request_id="4bf92f3577b34da6a3ce929d0e0e4736",
        errors=list(errors) or None,
    )  # fmt: skip
    return ProblemType(example.type, status, title, example.model_dump(exclude_none=True))


_LATITUDE = FieldProblem(
    location="query", name="latitude", message="Input should be less than or equal to 90", value="95"
)
KINDS = (
    _kind("bad-request", 400, "Bad Request", "The request has two different keys: send one."),
    replace(
        _kind("malformed-json", 400, "The body is not JSON", "unexpected character: line 1 column 17 (char 16)"),
        needs_body=True,
    ),
    _kind("unauthorized", 401, "Unauthorized", "This key is not valid."),
    _kind("forbidden", 403, "Forbidden", str(MissingScopeError("stations:write"))),
    _kind("not-found", 404, "Not Found", "There is no station 4711."),
    _kind("method-not-allowed", 405, "Method Not Allowed", "Method Not Allowed"),
    _kind("request-timeout", 408, "Request Timeout", "The body did not arrive within 60 s."),
    _kind("conflict", 409, "Conflict", "There is no file: the export is running."),
    _kind("gone", 410, "Gone", "The file is no more: its time is over."),
    _kind("content-too-large", 413, "Content Too Large", "The body is larger than 20 MB: send it in parts."),
    _kind("uri-too-long", 414, "URI Too Long", "The request's target is longer than 64 KiB."),
    _kind("unsupported-media-type", 415, "Unsupported Media Type", "Send application/json or application/x-ndjson."),
    _kind("range-not-satisfiable", 416, "Range Not Satisfiable", "The file has 4711 bytes, and none of that range."),
    _kind(
        "invalid-request", 422, "The request is not valid",
        "latitude: Input should be less than or equal to 90", _LATITUDE,
    ),
    _kind("too-many-requests", 429, "Too Many Requests", "3 exports are in work; try again later."),
    _kind(
        "request-header-fields-too-large", 431, "Request Header Fields Too Large",
        "The head of the request is larger than 256 KiB, or has over 256 headers.",
    ),
    _kind("client-closed-request", 499, "Client Closed Request", "The client went away before it had sent all."),
    _kind("internal-server-error", 500, "Internal Server Error", "Something went wrong on our side."),
    _kind("service-unavailable", 503, "Service Unavailable", "The catalogue is still being loaded."),
    _kind("insufficient-storage", 507, "Insufficient Storage", "The server's disk has less than 1000 MB left."),
)  # fmt: skip
"""All that have a name: `type` is `urn:voltway:problem:` and the first word, which also labels metrics."""
_OF_STATUS = {kind.status: kind for kind in reversed(KINDS)}  # the first of those that share one
_MALFORMED_JSON = next(kind for kind in KINDS if kind.type == _TYPE + "malformed-json")

_STATUS: dict[type[VoltWayError], HTTPStatus] = {
    NotReadyError: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    OverloadedError: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyReadersError: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyWebhooksError: HTTPStatus.CONFLICT,
    KeyRefusedError: HTTPStatus.UNAUTHORIZED,
    MissingScopeError: HTTPStatus.FORBIDDEN,
    TooDearError: HTTPStatus.UNPROCESSABLE_ENTITY,
}


class MalformedJsonError(Exception):
    """The body is no JSON; the message says where it stops being so."""


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these errors."""
    return {status: {"model": Problem, "description": _OF_STATUS[status].title} for status in statuses}


def install(app: FastAPI) -> None:
    """Let every error leave the application as a problem document."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(MalformedJsonError, _malformed)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(VoltWayError, _voltway)
    app.add_exception_handler(Exception, _unexpected)


def _problem(
    request: Request,
    kind: ProblemType,
    detail: str,
    *,
    errors: list[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    request.state.problem = _name(kind)  # for the metrics
    problem = Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=getattr(request.state, "request_id", None),
        errors=errors,
    )
    return Response(problem.model_dump_json(exclude_none=True), kind.status, headers, PROBLEM_MEDIA_TYPE)


def _name(kind: ProblemType) -> str:
    return kind.type.rpartition(":")[2]


def problem_of(status: HTTPStatus, detail: str) -> tuple[str, bytes]:
    """Name and document of a problem that has a kind, for what is no request yet."""
    kind = _OF_STATUS[status]
    problem = Problem(type=kind.type, title=kind.title, status=status, detail=detail, request_id=None, errors=None)
    return _name(kind), problem.model_dump_json(exclude_none=True).encode()


async def answer_overload(scope: Scope, receive: Receive, send: Send) -> None:
    """An application: tells that this process has enough to do."""
    answer = await _voltway(
        Request(scope), OverloadedError("As many requests are being answered as may be at a time.")
    )
    await answer(scope, receive, send)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what the handler is registered for
    for each in error.errors():
        if each.get("type") == "json_invalid":  # as FastAPI calls it where it reads the body
            return _problem(request, _MALFORMED_JSON, f"{each['ctx']['error']}: char {each['loc'][-1]}")
    errors = [field_problem(each) for each in error.errors()]
    detail = "; ".join(map(_in_words, errors[:5])) + ("; …" if len(errors) > 5 else "")
    return _problem(request, _OF_STATUS[422], detail, errors=errors)


def field_problem(error: Mapping[str, Any]) -> FieldProblem:
    """Of an error as pydantic gives it.

    A fault of a whole model names its parameter in the context; any other, in its path."""
    location, *path = error["loc"]
    index = path.pop(0) if location == "body" and path and isinstance(path[0], int) else None
    where = path[:1] if location == "query" else path  # which of a repeated parameter is no help
    name = error.get("ctx", {}).get("parameter") or ".".join(map(str, where)) or location
    value = error.get("input")
    shown = None if value is None or isinstance(value, Mapping | list) else str(value)[:_SHOWN_CHARACTERS]
    name = name[:_SHOWN_CHARACTERS]
    return FieldProblem(location=location, index=index, name=name, message=error["msg"], value=shown)


def _in_words(problem: FieldProblem) -> str:
    return f"{'' if problem.index is None else f'[{problem.index}] '}{problem.name}: {problem.message}"


async def _malformed(request: Request, error: Exception) -> Response:
    return _problem(request, _MALFORMED_JSON, str(error))


async def _client_gone(request: Request, _: Exception) -> Response:
    """Nobody reads it, but the log and the metrics tell it from our own failures."""
    return _problem(request, _OF_STATUS[499], "The client went away before it had sent all.")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    kind = _OF_STATUS.get(error.status_code) or _unnamed(error.status_code)
    return _problem(request, kind, error.detail, headers=error.headers)


def _unnamed(status: int) -> ProblemType:
    """RFC 9457, section 4.2.1: no more is to be said than the status does."""
    return ProblemType("about:blank", status, HTTPStatus(status).phrase, {})


async def _voltway(request: Request, error: Exception) -> Response:
    assert isinstance(error, VoltWayError)  # noqa: S101
    status = _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    errors = None
    if isinstance(error, TooDearError):
        errors = [FieldProblem(location="query", name=error.parameter, message=error.why)]
    return _problem(request, _OF_STATUS[status], str(error), errors=errors, headers=_headers(error, status))


def _headers(error: VoltWayError, status: HTTPStatus) -> dict[str, str]:
    """For keys: RFC 6750, section 3.1."""
    if isinstance(error, MissingScopeError):
        return {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{error.scope}"'}
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return {"Retry-After": str(_RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


async def _unexpected(request: Request, error: Exception) -> Response:
    """Sent outside of all middleware, so the id's header is set here."""
    request_id = getattr(request.state, "request_id", None)
    told = {"request_id": request_id, "method": request.method, "path": request.url.path}
    logger.error("request_failed", extra=told, exc_info=error)
    return _problem(
        request,
        _OF_STATUS[500],
        "Something went wrong on our side. The log has the details under this request id.",
        headers={HEADER: request_id} if request_id else None,
    )
