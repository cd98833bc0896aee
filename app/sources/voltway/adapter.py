"""VoltWay's own exports as stations again, each still of the source that it came from.

Read are NDJSON (an object a line) and GeoJSON (a FeatureCollection), as `app.exports` writes them; members that are
not known here are left alone, so that a newer VoltWay's file can be read. Live status is not read: it has aged on the
way. CSV is for spreadsheets, where text is not quite what it was.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, BinaryIO

import orjson

from app.sources.json_stream import MAX_VALUE_CHARACTERS, read_json_records
from app.sources.records import BadField, Outcome, Parsed, Position, Rejection, SourceFacts, convert_records
from app.sources.values import text
from app.stations.model import CONTENT, Connector, StationCreate
from app.stations.vocabulary import EvseStatus

FACTS = SourceFacts(
    name="voltway",
    title="Another VoltWay's export",
    homepage="",
    licence="",
    licence_url="",
    attribution="",
    cadence=timedelta(days=1),
    record_noun="stations",
)
"""Nothing is stored under this name, so it has no terms: each station brings those of its own source."""

_MADE_BY_US = "Export again; if the file was edited, mend this station there."
_LASTING = frozenset({EvseStatus.INOPERATIVE, EvseStatus.OUTOFORDER, EvseStatus.PLANNED, EvseStatus.REMOVED})
_PLAIN = tuple(name for name in CONTENT if name != "evses")

Record = dict[str, Any]


def parse(file: BinaryIO) -> Iterator[Outcome]:
    """Yield one outcome per station. Raises SourceFormatError where the file is neither NDJSON nor GeoJSON."""
    rows = _lines(file) if _is_lines(file) else read_json_records(file, list_keys={"features"})
    for row in rows:
        for outcome in convert_records([row], _station, _external_id):
            yield (
                outcome if isinstance(outcome, Rejection) or isinstance(row, Rejection) else _with_terms(outcome, row)
            )


def _is_lines(file: BinaryIO) -> bool:
    """Whether the first line is a whole station; GeoJSON begins with one that is none."""
    line = file.readline(MAX_VALUE_CHARACTERS)
    file.seek(0)
    try:
        first = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(first, dict) and "features" not in first


def _lines(file: BinaryIO) -> Iterator[tuple[Position, Record] | Rejection]:
    """A line that cannot be read costs no other station."""
    record = 0
    for number, line in enumerate(iter(lambda: file.readline(MAX_VALUE_CHARACTERS), b""), start=1):
        if not line.strip():
            continue
        record += 1
        position = Position(record, number)
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield _unreadable(position, line, "not_json", f"This line is not JSON: {error}.")
            continue
        if isinstance(value, dict):
            yield position, value
        else:
            yield _unreadable(position, line, "not_an_object", "Each line must be a JSON object.")


def _unreadable(position: Position, line: bytes, reason: str, why: str) -> Rejection:
    shown = line.decode(errors="replace").strip()[:200]
    return Rejection(position, "record", shown, reason, why, "Export again: the file seems to be damaged.")


def _members(record: Record) -> Record:
    """Those of a station, of which GeoJSON has the position elsewhere."""
    if record.get("type") != "Feature":
        return record
    properties = record.get("properties")
    return (properties if isinstance(properties, dict) else {}) | _position(record.get("geometry"))


def _position(geometry: object) -> Record:
    """RFC 7946, section 3.1.1: longitude, latitude, and perhaps an altitude."""
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        raise BadField("geometry", geometry, "missing", "The geometry is no point.", _MADE_BY_US)
    return {"longitude": coordinates[0], "latitude": coordinates[1]}


def _external_id(record: Record) -> str | None:
    of = record.get("properties") if record.get("type") == "Feature" else record
    external_id = of.get("external_id") if isinstance(of, dict) else None
    return external_id if isinstance(external_id, str) else None


def _station(record: Record, _: list[str]) -> StationCreate:
    members = _members(record)
    known = {name: members.get(name) for name in _PLAIN}
    for name in ("source", "external_id"):
        if members.get(name) is None:
            raise BadField(name, "", "missing", f"Without {name} the station cannot be known again.", _MADE_BY_US)
        known[name] = members[name]
    return StationCreate.model_validate(known | {"evses": _evses(members.get("evses"))})


def _evses(written: object) -> list[Record]:
    if written is None:
        return []
    if not isinstance(written, list) or not all(isinstance(each, dict) for each in written):
        raise BadField("evses", written, "not_a_list", "This must be a list of objects.", _MADE_BY_US)
    return [
        {
            "uid": evse.get("uid"),
            "evse_id": evse.get("evse_id"),
            "status": _stated(evse),
            "connectors": _connectors(evse.get("connectors")),
        }
        for evse in written
    ]


def _stated(evse: Record) -> object:
    """The lasting state of the record; `status` may be an observation, which has `observed_at`."""
    if "stated_status" in evse:
        return evse["stated_status"]
    status = evse.get("status")
    return status if status in _LASTING and evse.get("observed_at") is None else None


def _connectors(written: object) -> list[Record]:
    if written is None:
        return []
    if not isinstance(written, list) or not all(isinstance(each, dict) for each in written):
        raise BadField("evses.connectors", written, "not_a_list", "This must be a list of objects.", _MADE_BY_US)
    return [{name: connector.get(name) for name in Connector.model_fields} for connector in written]


def _with_terms(outcome: Outcome, row: tuple[Position, Record]) -> Outcome:
    """Join what the file says of the licence of the station's source."""
    if not isinstance(outcome, Parsed):
        return outcome
    members = _members(row[1])
    licence, url, attribution = (text(members.get(name), 2_000) for name in ("licence", "licence_url", "attribution"))
    if not (licence or url or attribution):
        return outcome
    name = outcome.station.source
    terms = replace(
        FACTS,
        name=name,
        title=name,
        licence=licence or "",
        licence_url=url or "",
        attribution=attribution or "",
    )
    return replace(outcome, facts=terms)
