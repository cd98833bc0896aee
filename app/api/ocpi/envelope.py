"""How OCPI answers: an envelope around everything (OCPI 2.2.1, §4.1.7), also around errors."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.errors import DatabaseUnavailableError, KeyRefusedError, MissingScopeError
from app.ingest.ocpi_push import NotUnderstoodError, UnknownObjectError

SUCCESS = 1000
"""Status codes of OCPI 2.2.1, §5."""
CLIENT_ERROR, INVALID, UNKNOWN_LOCATION, SERVER_ERROR = 2000, 2001, 2003, 3000


def enveloped(data: object = None, *, status: int = 200, code: int = SUCCESS, message: str = "Success") -> Response:
    """`data` None: nothing but that it went well."""
    told: dict[str, Any] = {"status_code": code, "status_message": message, "timestamp": datetime.now(UTC)}
    if data is not None:
        told["data"] = data
    return Response(orjson.dumps(told, option=orjson.OPT_UTC_Z), status, media_type="application/json")


class OcpiRoute(APIRoute):
    """Answers errors as OCPI does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_in_envelope(request: Request) -> Response:
            try:
                return await handle(request)
            except (KeyRefusedError, MissingScopeError) as error:
                status = 401 if isinstance(error, KeyRefusedError) else 403
                return enveloped(status=status, code=CLIENT_ERROR, message=str(error))
            except (NotUnderstoodError, RequestValidationError) as error:
                return enveloped(status=400, code=INVALID, message=_told(error))
            except UnknownObjectError as error:
                return enveloped(status=404, code=UNKNOWN_LOCATION, message=str(error))
            except DatabaseUnavailableError as error:
                answer = enveloped(status=503, code=SERVER_ERROR, message=str(error))
                answer.headers["Retry-After"] = "5"
                return answer
            except HTTPException as error:
                return enveloped(status=error.status_code, code=CLIENT_ERROR, message=error.detail)

        return handle_in_envelope


def _told(error: Exception) -> str:
    if isinstance(error, RequestValidationError):
        return "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors())
    return str(error)
