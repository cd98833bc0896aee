"""The locations of OCPI 2.1.1, 2.2.1 and 2.3.0 (module Locations, §8) as stations.

Read are an answer's envelope (§4.1, response format), a bare list, JSON Lines, and a single location. Feeds are read
leniently: what is written otherwise than the standard says but can be understood is stored with a note, and costs no
other EVSE.

Live states are told with the EVSE's `last_updated`. By the standard that is when it last changed, so that an EVSE may
rightly be free since yesterday; most feeds renew it at each heartbeat.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, BinaryIO

from app.errors import SourceFormatError
from app.sources.json_stream import not_an_object, read_json_records
from app.sources.ocpi.countries import country_code
from app.sources.ocpi.evses import evses_of
from app.sources.ocpi.hours import opening_hours
from app.sources.records import (
    Outcome,
    Parsed,
    Position,
    Rejection,
    Seen,
    SkipRecord,
    SourceFacts,
    convert_records,
)
from app.sources.values import degrees, required, text
from app.stations.model import StationCreate

FACTS = SourceFacts(
    name="ocpi",
    title="OCPI locations",
    homepage="https://evroaming.org/ocpi/",
    licence="The terms of the feed's publisher",
    licence_url="https://evroaming.org/ocpi/",
    attribution="As the feed's publisher asks",
    cadence=timedelta(minutes=5),
    record_noun="locations",
    status_ttl=timedelta(hours=24),
)
"""Anybody may publish such a feed; VoltWay does not know on what terms."""

FIRST_ERROR_CODE = 2_000
"""OCPI 2.2.1 §5: 1xxx is success, 2xxx the client's error, 3xxx the server's, 4xxx the hub's."""
MAX_POSTAL_CODE_CHARACTERS = 20

Location = dict[str, Any]


def parse(file: BinaryIO) -> Iterator[Outcome]:
    """Yield one outcome per location.

    Raises SourceFormatError where the text is no JSON, or the answer of an OCPI server is an error."""
    for row in _locations(file):
        yield _outcome(row)


def _locations(file: BinaryIO) -> Iterator[tuple[Position, Location] | Rejection]:
    envelope: dict[str, Any] = {}
    for row in read_json_records(file, list_keys={"data"}, on_member=envelope.__setitem__):
        _refuse_error(envelope)
        yield from _unwrapped(row)
    _refuse_error(envelope)  # it may stand behind the list


def _unwrapped(row: tuple[Position, Location] | Rejection) -> Iterator[tuple[Position, Location] | Rejection]:
    """The location in an envelope that has no list of them: one, or none."""
    if isinstance(row, Rejection) or "id" in row[1] or not row[1].keys() & {"data", "status_code"}:
        yield row
        return
    position, envelope = row
    data = envelope.get("data")
    if isinstance(data, dict):
        yield position, data
    elif data is not None:
        yield not_an_object(position, data)


def _refuse_error(envelope: dict[str, Any]) -> None:
    code = str(envelope.get("status_code"))
    if code.isdecimal() and int(code[:9]) >= FIRST_ERROR_CODE:
        message = text(envelope.get("status_message"), 200)
        raise SourceFormatError(f"The OCPI server answers with status_code {code[:9]}: {message or 'no message'}.")


def _outcome(row: tuple[Position, Location] | Rejection) -> Outcome:
    seen: list[Seen] = []
    (outcome,) = convert_records([row], lambda location, notes: _station(location, seen, notes), _external_id)
    return replace(outcome, seen=tuple(seen)) if isinstance(outcome, Parsed) else outcome


def _external_id(location: Location) -> str | None:
    """Ids are unique for a party (§8.3.1), so the party, where it is named, is part of it: `NL*ALL*LOC1`."""
    location_id = text(location.get("id"))
    party = [text(location.get(name)) for name in ("country_code", "party_id")]
    return "*".join([*filter(None, party), location_id]) if location_id and all(party) else location_id


def _station(location: Location, seen: list[Seen], notes: list[str]) -> StationCreate:
    external_id = required("id", _external_id(location))
    if str(location.get("publish")).lower() == "false":
        raise SkipRecord("not to be published", gone=True)
    evses = evses_of(location, seen, notes)
    if not evses and "removed EVSE left out" in notes:
        raise SkipRecord("every EVSE removed", gone=True)
    return StationCreate(
        source=FACTS.name,
        external_id=external_id,
        title=_title(location, notes),
        operator=_operator(location),
        address=text(location.get("address")),
        city=text(location.get("city")),
        postal_code=_postal_code(location, notes),
        country=country_code(text(location.get("country")), notes),
        longitude=_degrees(location, "longitude", 180),
        latitude=_degrees(location, "latitude", 90),
        evses=evses,
        opening_hours=opening_hours(location.get("opening_times"), notes),
    )


def _title(location: Location, notes: list[str]) -> str:
    if name := text(location.get("name")):
        return name
    notes.append("name missing, made from address or id")
    return text(location.get("address")) or f"Location {text(location.get('id'), 200)}"


def _operator(location: Location) -> str | None:
    operator = location.get("operator")
    return text(operator.get("name")) if isinstance(operator, dict) else None


def _postal_code(location: Location, notes: list[str]) -> str | None:
    code = text(location.get("postal_code"))
    if code and len(code) > MAX_POSTAL_CODE_CHARACTERS:
        notes.append("postal_code too long, left out")
        return None
    return code


def _degrees(location: Location, name: str, limit: int) -> float:
    """OCPI writes them as text; a number is as good."""
    coordinates = location.get("coordinates")
    angle = coordinates.get(name) if isinstance(coordinates, dict) else None
    return degrees(f"coordinates.{name}", angle, limit)
