"""Another VoltWay's exports as an input: file in, outcomes out."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SourceFormatError
from app.sources.records import Outcome, Parsed, Rejection
from app.sources.voltway import parse
from app.stations.vocabulary import EvseStatus
from tests.unit.sources.repeated import repeated

STATION: dict[str, Any] = {
    "source": "acme",
    "external_id": "7",
    "title": "Harbour",
    "longitude": 9.5,
    "latitude": 53,
    "licence": "CC0-1.0",
    "licence_url": "https://example.org/cc0",
    "attribution": "Acme",
    "evses": [
        {"uid": "1", "status": "CHARGING", "observed_at": "2026-05-01T12:00:00Z", "connectors": [{"type": "ccs2"}]}
    ],
}


def lines(*values: object) -> list[Outcome]:
    return list(parse(io.BytesIO(b"".join(json.dumps(each).encode() + b"\n" for each in values))))


def features(*values: object) -> list[Outcome]:
    return list(parse(io.BytesIO(json.dumps({"type": "FeatureCollection", "features": values}).encode())))


def feature(**properties: Any) -> dict[str, Any]:
    kept = {name: value for name, value in (STATION | properties).items() if name not in {"longitude", "latitude"}}
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": [9.5, 53, 12]}, "properties": kept}


def parsed(**members: Any) -> Parsed:
    (outcome,) = lines(STATION | members)
    assert isinstance(outcome, Parsed), outcome
    return outcome


def refused(outcomes: list[Outcome]) -> Rejection:
    (outcome,) = outcomes
    assert isinstance(outcome, Rejection), outcome
    return outcome


def test_a_station_keeps_its_source_id_and_terms() -> None:
    found = parsed()
    assert (found.station.source, found.station.external_id, found.station.latitude) == ("acme", "7", 53.0)
    assert found.facts is not None
    assert (found.facts.name, found.facts.licence, found.facts.licence_url, found.facts.attribution) == (
        "acme", "CC0-1.0", "https://example.org/cc0", "Acme",
    )  # fmt: skip


def test_both_forms_give_the_same() -> None:
    (line,), (of_collection,) = lines(STATION), features(feature())
    assert isinstance(line, Parsed)
    assert isinstance(of_collection, Parsed)
    assert (line.station, line.facts) == (of_collection.station, of_collection.facts)
    assert line.position.line == 1


def test_a_source_without_terms_has_none() -> None:
    assert parsed(licence=None, licence_url=None, attribution=None).facts is None


@pytest.mark.parametrize(
    ("evse", "expected"),
    [
        ({"status": "PLANNED", "stated_status": "PLANNED"}, EvseStatus.PLANNED),
        (
            {"status": "AVAILABLE", "observed_at": "2026-05-01T12:00:00Z", "stated_status": "PLANNED"},
            EvseStatus.PLANNED,
        ),
        ({"status": "OUTOFORDER", "observed_at": "2026-05-01T12:00:00Z", "stated_status": None}, None),
        ({"status": "OUTOFORDER", "observed_at": "2026-05-01T12:00:00Z"}, None),
        ({"status": "OUTOFORDER", "observed_at": None}, EvseStatus.OUTOFORDER),
        ({"status": "UNKNOWN"}, None),
    ],
    ids=["stated", "stated and seen otherwise", "only seen", "seen, older file", "stated, older file", "unknown"],
)
def test_the_lasting_state_is_read_and_the_passing_one_is_not(evse: dict[str, Any], expected: object) -> None:
    assert parsed(evses=[{"uid": "1", **evse}]).station.evses[0].status == expected


def test_what_a_newer_version_adds_is_left_alone() -> None:
    newer = parsed(invented=1, evses=[{"uid": "1", "colour": "red", "connectors": [{"type": "ccs2", "shine": 1}]}])
    assert newer.station.evses[0].connectors[0].type == "ccs2"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"source": None}, "source"),
        ({"external_id": None}, "external_id"),
        ({"external_id": 7}, "external_id"),
        ({"title": None}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"latitude": 95}, "latitude"),
        ({"longitude": "9.5"}, "longitude"),
        ({"country": "Germany"}, "country"),
        ({"evses": "none"}, "evses"),
        ({"evses": [None]}, "evses"),
        ({"evses": [{"uid": "1", "connectors": "ccs2"}]}, "evses.connectors"),
        ({"evses": [{"uid": "1", "connectors": [{"type": "type9"}]}]}, "evses.0.connectors.0.type"),
        ({"evses": [{}]}, "evses.0.uid"),
        ({"evses": [{"uid": "1", "stated_status": "AVAILABLE"}]}, "evses.0.status"),
    ],
)
def test_a_wrong_station_is_refused_by_field_line_and_what_to_do(members: dict[str, Any], field: str) -> None:
    good, wrong, after = lines(STATION, STATION | {"external_id": "8"} | members, STATION | {"external_id": "9"})
    assert isinstance(good, Parsed)
    assert isinstance(after, Parsed)
    assert isinstance(wrong, Rejection)
    assert (wrong.field, wrong.position.line, wrong.position.record) == (field, 2, 2)
    assert wrong.fix
    assert wrong.external_id == (None if "external_id" in members else "8")


@pytest.mark.parametrize("geometry", [None, {}, {"type": "Point", "coordinates": [1]}, {"coordinates": "1,2"}])
def test_a_feature_without_point_is_refused(geometry: object) -> None:
    wrong = refused(features(feature() | {"geometry": geometry}))
    assert (wrong.field, wrong.reason, wrong.external_id) == ("geometry", "missing", "7")


def test_a_feature_without_properties_is_refused() -> None:
    assert refused(features(feature() | {"properties": None})).field == "source"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"source": "acm', "not_json"),
        (b"[1]", "not_an_object"),
        (b'{"title":"\xff"}', "not_json"),
        (b"null", "not_an_object"),
    ],
)
def test_a_damaged_line_costs_no_other_station(line: bytes, reason: str) -> None:
    good = json.dumps(STATION).encode()
    first, wrong, after = parse(io.BytesIO(good + b"\n\n" + line + b"\n" + good))
    assert isinstance(first, Parsed)
    assert isinstance(after, Parsed)
    assert isinstance(wrong, Rejection)
    assert (wrong.reason, wrong.position.record, wrong.position.line) == (reason, 2, 3)


@pytest.mark.parametrize("content", [b"id,source,external_id,title\r\n1,acme,7,Harbour\r\n", b"PAR1\x15\x04", b""])
def test_the_other_formats_are_refused_as_a_whole(content: bytes) -> None:
    with pytest.raises(SourceFormatError, match="not JSON"):
        list(parse(io.BytesIO(content)))


def test_memory_does_not_grow_with_a_line_that_never_ends() -> None:
    with pytest.raises(SourceFormatError, match="does not end within"):
        list(parse(repeated(b"a", 1 << 26, start=b'{"title":"')))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_whatever_stands_in_a_member_no_error_escapes(value: object) -> None:
    for name in STATION:
        for outcomes in (lines(STATION, STATION | {name: value})[1:], features(feature(**{name: value}))):
            assert all(isinstance(outcome, Parsed | Rejection) for outcome in outcomes)
