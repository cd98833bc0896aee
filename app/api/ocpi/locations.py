"""The Receiver interface of OCPI's module Locations (2.2.1, §8.2.2). `Authorization: Token KEY`, in Base64 or not."""

import binascii
import logging
from base64 import b64decode
from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, HTTPException, Path, Request, Response

from app.api.deps import FollowerDep, KeyRingDep, LocationStoreDep
from app.api.ocpi.envelope import OcpiRoute, enveloped
from app.auth import Key, Scope, is_key
from app.ingest.ocpi_push import Address, NotUnderstoodError, Pushed
from app.replica import Follower

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/ocpi/2.2.1/locations", route_class=OcpiRoute, include_in_schema=False)

_LOCATION = "/{country_code}/{party_id}/{location_id}"
_EVSE = _LOCATION + "/{evse_uid}"
_CONNECTOR = _EVSE + "/{connector_id}"


async def _partner(keys: KeyRingDep, request: Request, authorization: Annotated[str | None, Header()] = None) -> Key:
    scheme, _, written = (authorization or "").partition(" ")
    if scheme.lower() != "token" or not written.strip():
        raise HTTPException(401, "This needs a token: send it as Authorization: Token ….")
    key = await keys.admit(_decoded(written.strip()), Scope.OCPI_WRITE)
    asked = "{country_code}*{party_id}".format_map(request.path_params).upper()
    if key.ocpi_party not in {None, asked}:
        raise HTTPException(403, f"This token is for the party {key.ocpi_party} only.")
    return key


def _decoded(written: str) -> str:
    """2.2 has tokens in Base64, 2.1.1 as they are; a key tells by itself which it is."""
    if is_key(written):
        return written
    try:
        return b64decode(written, validate=True).decode("ascii").strip()  # of the file's last line, too
    except (binascii.Error, UnicodeDecodeError):
        return written


PartnerDep = Annotated[Key, Depends(_partner)]


def _location(
    country_code: Annotated[str, Path(pattern=r"^[A-Za-z]{2}$")],
    party_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9]{3}$")],
    location_id: Annotated[str, Path(min_length=1, max_length=60)],
) -> Address:
    return Address(country_code, party_id, location_id)


def _evse(
    location: Annotated[Address, Depends(_location)],
    evse_uid: Annotated[str, Path(min_length=1, max_length=60)],
) -> Address:
    return location._replace(evse_uid=evse_uid)


def _connector(
    evse: Annotated[Address, Depends(_evse)],
    connector_id: Annotated[str, Path(min_length=1, max_length=60)],
) -> Address:
    return evse._replace(connector_id=connector_id)


def _add_routes(path: str, addressed: Callable[..., Address]) -> None:
    """The three that each kind of object has. They stand in the standard, so not in our own document of the API."""
    address_dep = Depends(addressed)

    async def get(partner: PartnerDep, store: LocationStoreDep, address: Address = address_dep) -> Response:
        return enveloped(await store.get(address))

    async def put(
        request: Request,
        partner: PartnerDep,
        store: LocationStoreDep,
        follower: FollowerDep,
        address: Address = address_dep,
    ) -> Response:
        pushed = await store.put(address, await _object(request))
        return await _done(pushed, partner, address, follower)

    async def patch(
        request: Request,
        partner: PartnerDep,
        store: LocationStoreDep,
        follower: FollowerDep,
        address: Address = address_dep,
    ) -> Response:
        pushed = await store.patch(address, await _object(request))
        return await _done(pushed, partner, address, follower)

    for method, function in (("GET", get), ("PUT", put), ("PATCH", patch)):
        router.add_api_route(path, function, methods=[method])


async def _object(request: Request) -> dict[str, Any]:
    try:
        told = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise NotUnderstoodError(f"The body is not JSON: {error}.") from None
    if not isinstance(told, dict):
        raise NotUnderstoodError("The body is no JSON object.")
    return told


async def _done(pushed: Pushed, partner: Key, address: Address, follower: Follower) -> Response:
    logger.info("ocpi_pushed", extra={"key_id": partner.id, "ocpi_object": "/".join(filter(None, address))})
    await follower.show_written()
    return enveloped(status=201 if pushed.is_new else 200)


_add_routes(_LOCATION, _location)
_add_routes(_EVSE, _evse)
_add_routes(_CONNECTOR, _connector)
