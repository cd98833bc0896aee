"""Every error as a problem document (RFC 9457), and the one table from VoltWay's errors to HTTP status."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from app.errors import DatabaseUnavailableError, NotReadyError, VoltWayError
from app.middleware.request_id import HEADER

MEDIA_TYPE = "application/problem+json"
logger = logging.getLogger(__name__)

_TYPE = "urn:voltway:problem:"
_SHOWN_CHARACTERS = 100
_RETRY_AFTER_S = 5

_STATUS: dict[type[VoltWayError], HTTPStatus] = {
    NotReadyError: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class FieldProblem(BaseModel):
    """One thing that is wrong with one part of a request."""

    location: str = Field(description="`query`, `path`, `header` or `body`.", examples=["query"])
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


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these errors."""
    return {status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses}


def install(app: FastAPI) -> None:
    """Let every error leave the application as a problem document."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(VoltWayError, _voltway)
    app.add_exception_handler(Exception, _unexpected)
    plain_openapi = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain_openapi()
        for operation in (o for path in document["paths"].values() for o in path.values()):
            for answer in operation["responses"].values():
                _name_media_type(answer.get("content", {}))
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _name_media_type(content: dict[str, Any]) -> None:
    """FastAPI documents every model under the route's media type."""
    if content.get("application/json", {}).get("schema") == {"$ref": "#/components/schemas/Problem"}:
        content[MEDIA_TYPE] = content.pop("application/json")


def _problem(
    request: Request,
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    errors: list[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    request_id = getattr(request.state, "request_id", None)
    problem = Problem(
        type=_TYPE + kind, title=title, status=status, detail=detail, request_id=request_id, errors=errors
    )
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, status, headers, MEDIA_TYPE)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what the handler is registered for
    errors = [_field_problem(each) for each in error.errors()]
    detail = "; ".join(f"{each.name}: {each.message}" for each in errors[:5])
    return _problem(request, 422, "invalid-request", "The request is not valid", detail, errors=errors)


def _field_problem(error: Mapping[str, Any]) -> FieldProblem:
    """A fault of a whole model names its parameter in the context; any other, in its path."""
    location, *path = (str(part) for part in error["loc"])
    where = path[0] if location == "query" and path else ".".join(path)  # which of a repeated parameter is no help
    name = error.get("ctx", {}).get("parameter") or where or location
    value = error.get("input")
    shown = None if value is None or isinstance(value, Mapping | list) else str(value)[:_SHOWN_CHARACTERS]
    return FieldProblem(location=location, name=name, message=error["msg"], value=shown)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    phrase = HTTPStatus(error.status_code).phrase
    kind = phrase.lower().replace(" ", "-")
    return _problem(request, error.status_code, kind, phrase, error.detail, headers=error.headers)


async def _voltway(request: Request, error: Exception) -> Response:
    assert isinstance(error, VoltWayError)  # noqa: S101
    status = _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    kind = status.phrase.lower().replace(" ", "-")
    return _problem(request, status, kind, status.phrase, str(error), headers=headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    """Sent outside of all middleware, so the id's header is set here."""
    request_id = getattr(request.state, "request_id", None)
    logger.error("request_failed: %s %s %s", request_id, request.method, request.url.path, exc_info=error)
    return _problem(
        request,
        500,
        "internal-server-error",
        "Internal Server Error",
        "Something went wrong on our side. The log has the details under this request id.",
        headers={HEADER: request_id} if request_id else None,
    )
