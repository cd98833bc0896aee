"""Searching stations and reading one."""

import re
from typing import Annotated
from urllib.parse import quote, unquote_plus

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from starlette.types import Scope

from app.api.conditional import ETAG, NOT_MODIFIED, Content, unless_known
from app.api.deps import DatabaseDep, FollowerDep, Resources, ResourcesDep
from app.api.errors import documented
from app.api.hot import HotEndpoint
from app.api.parameters import given_once
from app.api.v1.details import detail_of_version, read_detail
from app.api.v1.schemas import StationDetail, StationNearby
from app.stations.catalogue import Catalogue
from app.stations.query import StationQuery

router = APIRouter(prefix="/api/v1/stations", tags=["stations"])


@router.get(
    "",
    summary="List charging stations",
    dependencies=[given_once()],
    response_model=None,
    responses={
        200: {
            "model": list[StationNearby],
            "headers": {
                "X-Total-Count": {
                    "description": "How many stations match; absent for nearest anywhere (no radius), and where more "
                    "than 10,000 are within the radius.",
                    "schema": {"type": "integer"},
                },
                "Link": {"description": 'The next page, if any: `rel="next"`.', "schema": {"type": "string"}},
                **ETAG,
            },
        },
        **NOT_MODIFIED,
        **documented(422, 503),
    },
)
async def list_stations(
    query: Annotated[StationQuery, Query()], request: Request, resources: ResourcesDep
) -> Response:
    """Stations near a position, the nearest first (ties by id), with their distance and their state now.

    Without a position: all stations that match, by id. Filters combine; connector, power and status must hold
    together on one EVSE.
    """
    return unless_known(request, _search(query, resources, request.scope))


def _search(query: StationQuery, resources: Resources, scope: Scope) -> Content:
    body, total, more, version = resources["follower"].replica.search(query)
    headers = [] if total is None else [(b"x-total-count", b"%d" % total)]
    if more:
        headers.append((b"link", _next_page(scope, query)))
    return Content(body, f"{version:016x}", headers)


def _next_page(scope: Scope, query: StationQuery) -> bytes:
    """RFC 8288; relative, so that it holds behind any proxy."""
    written = scope["query_string"].decode("latin-1")
    page = f"skip={query.skip + query.limit}&limit={query.limit}"
    if _PLAIN.fullmatch(written):
        kept = [each for each in written.split("&") if each and not each.startswith(("skip=", "limit="))]
    else:
        kept = [quote(each, safe=_FIT_FOR_A_QUERY, encoding="latin-1") for each in written.split("&") if _stays(each)]
    return f'<{scope["path"]}?{"&".join([*kept, page])}>; rel="next"'.encode("latin-1")


def _stays(parameter: str) -> bool:
    return unquote_plus(parameter.partition("=")[0]) not in {"", "skip", "limit"}


_PLAIN = re.compile(r"[A-Za-z0-9_=&.,-]*")
"""Nothing is encoded, or has to be."""
_FIT_FOR_A_QUERY = "%!$&'()*+,/:;=?@"
"""RFC 3986, section 3.4, and what is encoded already."""

HOT = {router.prefix: HotEndpoint(StationQuery, _search)}
"""Answered before the router where nothing is unusual."""


@router.get(
    "/{station_id}",
    summary="One charging station",
    response_model=None,
    responses={200: {"model": StationDetail, "headers": ETAG}, **NOT_MODIFIED, **documented(404, 422, 503)},
)
async def get_station(
    station_id: Annotated[int, Path(ge=1, le=2**63 - 1, description="VoltWay's own id.", examples=[1])],
    request: Request,
    database: DatabaseDep,
    follower: FollowerDep,
) -> Response:
    """All that is known of a station: EVSEs, connectors, states with the time they were seen, source and licence."""
    catalogue, version = Catalogue(database), follower.replica.version_of(station_id)
    if version is None:  # perhaps this process has not heard of it yet
        found = await read_detail(catalogue, station_id)
    else:
        found = await detail_of_version(catalogue, station_id, version)
    if found is None:
        raise HTTPException(404, f"There is no station {station_id}.")
    return unless_known(request, Content.of(found))
