"""The key of a request: where it stands, and whether it opens what was asked for."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer, SecurityScopes
from fastapi.security.utils import get_authorization_scheme_param

from app.api.deps import KeyRingDep
from app.auth import Key, Scope

_HEADER = "X-API-Key"
_api_key = APIKeyHeader(
    name=_HEADER,
    scheme_name="ApiKey",
    description="A key made with `voltway keys create`, with the scope that the operation names.",
    auto_error=False,
)
_bearer = HTTPBearer(scheme_name="Bearer", description="The same key as `Authorization: Bearer`.", auto_error=False)


async def _admitted(
    required: SecurityScopes,
    request: Request,
    keys: KeyRingDep,
    _documented_header: Annotated[object, Security(_api_key)],
    _documented_bearer: Annotated[object, Security(_bearer)],
) -> Key:
    """The key of the request, which holds and has the scope that the route asks for.

    Reads the headers itself: FastAPI's readers, here for the documentation, overlook a second header of a name.
    """
    given = set(_keys_given(request))
    if not given:
        missing = f"This needs a key: send it as {_HEADER}, or as Authorization: Bearer."
        raise HTTPException(401, missing, {"WWW-Authenticate": "Bearer"})
    if len(given) > 1:
        raise HTTPException(400, "The request has two different keys: send one.")
    (scope,) = required.scopes
    return await keys.admit(given.pop(), scope)


def _keys_given(request: Request) -> Iterator[str]:
    for value in request.headers.getlist(_HEADER):
        if value:
            yield value
    for value in request.headers.getlist("Authorization"):
        scheme, token = get_authorization_scheme_param(value)
        if scheme.lower() == "bearer" and token:
            yield token.strip()


StationsWriteKey = Annotated[Key, Security(_admitted, scopes=[Scope.STATIONS_WRITE])]
StatusWriteKey = Annotated[Key, Security(_admitted, scopes=[Scope.STATUS_WRITE])]
WebhooksKey = Annotated[Key, Security(_admitted, scopes=[Scope.WEBHOOKS])]
JobsReadKey = Annotated[Key, Security(_admitted, scopes=[Scope.JOBS_READ])]
