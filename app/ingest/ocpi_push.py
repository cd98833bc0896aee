"""Locations that partners push (OCPI 2.2.1, module Locations, Receiver interface, §8.2.2).

Each is kept as the partner has told it. A change of a part is made there; then the whole is read like any other OCPI
location, and written as a station with its live status.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from typing import NamedTuple

import orjson
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.db.dialect import take_turns
from app.errors import DatabaseUnavailableError, VoltWayError
from app.ingest.sightings import Sighting, record
from app.sources import ocpi
from app.sources.records import BadField, Parsed, Rejection
from app.sources.times import instant
from app.stations import repository, runs
from app.stations.ocpi_documents import Document, read_document, write_document

FACTS = replace(ocpi.FACTS, name="ocpi-push", title="Locations pushed by partners over OCPI")
"""A state holds for a day, as partners tell only changes."""


class NotUnderstoodError(VoltWayError):
    """What was pushed is no location, EVSE or connector; the message says why."""


class UnknownObjectError(VoltWayError):
    """There is no such location, EVSE or connector."""


class Address(NamedTuple):
    """Which object is meant; ids as the partner has them."""

    country_code: str
    party_id: str
    location_id: str
    evse_uid: str | None = None
    connector_id: str | None = None

    @property
    def external_id(self) -> str:
        """As the adapter makes it, without regard to the case of country and party (OCPI: CiString)."""
        return f"{self.country_code.upper()}*{self.party_id.upper()}*{self.location_id}"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push."""

    is_new: bool


class LocationStore:
    """Takes what partners push."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, address: Address) -> Document:
        """The object as it was told. Raises UnknownObjectError and DatabaseUnavailableError."""
        try:
            async with self._database.open_session(read_only=True) as session:
                location = await read_document(session, address.external_id)
        except (SQLAlchemyError, OSError) as error:
            raise _away(error) from error
        return _part(location, address)

    async def put(self, address: Address, told: Document) -> Pushed:
        """Create or replace the object. An EVSE needs its location, a connector its EVSE.

        Raises NotUnderstoodError, UnknownObjectError and DatabaseUnavailableError."""
        whole = _with_ids(address, told)
        return await self._change(address, lambda there: whole)

    async def patch(self, address: Address, told: Document) -> Pushed:
        """Change those members of the object that are given, unless what is known is newer. Raises as `put`."""
        if "last_updated" not in told:
            raise NotUnderstoodError("last_updated: a PATCH must tell when the object was last updated.")
        part = _with_ids(address, told)

        def merged(there: Document | None) -> Document:
            if there is None:
                raise _unknown(address)
            is_older = _updated_at(part) < _updated_at(there)
            return there if is_older else there | part

        return await self._change(address, merged)

    async def _change(self, address: Address, change: Callable[[Document | None], Document]) -> Pushed:
        try:
            async with self._database.open_session() as session:
                await take_turns(session, FACTS.name)
                location = await read_document(session, address.external_id)
                changed, is_new = _changed(location, address, change)
                await _store(session, address, changed)
        except (SQLAlchemyError, OSError) as error:
            raise _away(error) from error
        return Pushed(is_new)


def _changed(
    location: Document | None, address: Address, change: Callable[[Document | None], Document]
) -> tuple[Document, bool]:
    """The location with the object changed, and whether the object is new."""
    if address.evse_uid is None:
        return change(location), location is None
    if location is None:
        raise _unknown(address._replace(evse_uid=None, connector_id=None))
    evses = _listed(location, "evses")
    evse = _find(evses, "uid", address.evse_uid)
    if address.connector_id is None:
        return _with(location, "evses", evses, evse, change(evse)), evse is None
    if evse is None:
        raise _unknown(address._replace(connector_id=None))
    connectors = _listed(evse, "connectors")
    connector = _find(connectors, "id", address.connector_id)
    changed = _with(evse, "connectors", connectors, connector, change(connector))
    return _with(location, "evses", evses, evse, changed), connector is None


def _with(parent: Document, name: str, there: list[Document], old: Document | None, new: Document) -> Document:
    """The parent with one of its parts replaced, or added; as new as its newest part (§8.2.2.3)."""
    parts = [new if each is old else each for each in there] if old is not None else [*there, new]
    return parent | {name: parts, "last_updated": max(parent, new, key=_updated_at)["last_updated"]}


async def _store(session: AsyncSession, address: Address, location: Document) -> None:
    now = datetime.now(UTC)
    parsed = _read(address, location)
    await runs.register_source(session, FACTS.as_row())
    await write_document(session, address.external_id, location)
    if parsed is None:
        await repository.remove(session, FACTS.name, [address.external_id], now)
        return
    station = parsed.station.model_copy(update={"source": FACTS.name, "external_id": address.external_id})
    await repository.store(session, FACTS.name, [station], now)
    ids = await repository.ids_of(session, FACTS.name, [address.external_id])
    seen = [Sighting((ids[address.external_id], s.evse_uid), s.status, s.observed_at) for s in parsed.seen]
    await session.run_sync(record, FACTS.name, seen, now, FACTS.status_ttl)


def _read(address: Address, location: Document) -> Parsed | None:
    """`None`: it is not to be shown (not published, or all of its EVSEs removed)."""
    (outcome,) = ocpi.parse(BytesIO(orjson.dumps(location)))
    if isinstance(outcome, Rejection):
        raise NotUnderstoodError(f"{outcome.field}: {outcome.why}")
    return outcome if isinstance(outcome, Parsed) else None


def _with_ids(address: Address, told: Document) -> Document:
    """With the ids of the path where the body has none. It must not contradict them."""
    own = {
        "id": address.connector_id if address.connector_id is not None else None,
        "uid": address.evse_uid if address.connector_id is None else None,
    }
    if address.evse_uid is None:
        own = {"id": address.location_id, "country_code": address.country_code, "party_id": address.party_id}
    for name, expected in own.items():
        given = told.get(name)
        if expected is not None and given is not None and str(given).casefold() != expected.casefold():
            raise NotUnderstoodError(f"{name}: the address says {expected!r}, the body {str(given)[:100]!r}.")
    return told | {name: expected for name, expected in own.items() if expected and told.get(name) is None}


def _part(location: Document | None, address: Address) -> Document:
    found = location
    if found is not None and address.evse_uid is not None:
        found = _find(_listed(found, "evses"), "uid", address.evse_uid)
    if found is not None and address.connector_id is not None:
        found = _find(_listed(found, "connectors"), "id", address.connector_id)
    if found is None:
        raise _unknown(address)
    return found


def _listed(parent: Document, name: str) -> list[Document]:
    parts = parent.get(name)
    return [each for each in parts if isinstance(each, dict)] if isinstance(parts, list) else []


def _find(parts: list[Document], name: str, wanted: str) -> Document | None:
    """Ids differ in more than case (CiString, §16.1)."""
    return next((each for each in parts if str(each.get(name)).casefold() == wanted.casefold()), None)


def _updated_at(document: Document) -> datetime:
    """The beginning of time where it is not told."""
    try:
        return instant("last_updated", document.get("last_updated"), []) or _LONG_AGO
    except BadField as fault:
        raise NotUnderstoodError(f"last_updated: {fault.why}") from None


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _unknown(address: Address) -> UnknownObjectError:
    named = "/".join(part for part in address if part is not None)
    return UnknownObjectError(f"There is no {named}.")


def _away(error: Exception) -> DatabaseUnavailableError:
    return DatabaseUnavailableError(f"The database failed: {type(error).__name__}.")
