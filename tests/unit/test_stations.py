"""Status, validation and the derived columns."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.stations import Station, StationCreate
from app.stations.model import CONTENT, Connector, Evse, derive, evse_documents
from app.stations.query import StationQuery
from app.stations.status import station_status
from app.stations.vocabulary import CONNECTOR_TYPES, ConnectorType, EvseStatus, StationStatus
from tests.make import station

MINIMAL: dict[str, Any] = {"title": "x", "longitude": 1.0, "latitude": 2.0}


@given(st.lists(st.sampled_from(list(EvseStatus))))
def test_station_status_is_that_of_the_definition(statuses: list[EvseStatus]) -> None:
    known = [status for status in statuses if status != "UNKNOWN"]
    if "AVAILABLE" in known:
        expected = "available"
    elif any(status in known for status in ("CHARGING", "BLOCKED", "RESERVED")):
        expected = "occupied"
    elif known and all(status in ("INOPERATIVE", "OUTOFORDER") for status in known):
        expected = "maintenance"
    else:
        expected = "unknown"
    assert station_status(statuses) == StationStatus(expected)


def test_a_station_needs_only_title_and_position() -> None:
    one, two = StationCreate(**MINIMAL), StationCreate(**MINIMAL)
    assert one.source == "local"
    assert one.external_id != two.external_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", "   "),
        ("title", "a\x00b"),
        ("title", "x" * 501),
        ("longitude", 180.1),
        ("longitude", float("nan")),
        ("latitude", -90.1),
        ("latitude", float("inf")),
        ("country", "de"),
        ("country", "DEU"),
        ("access", "open"),
        ("unheard_of", 1),
        ("evses", [{"uid": "1"}, {"uid": "1"}]),
        ("evses", [{"uid": "1", "connectors": [{"type": "plug"}]}]),
        ("evses", [{"uid": "1", "connectors": [{"type": "ccs2", "power_kw": 0}]}]),
        ("evses", [{"uid": "1", "connectors": [{"type": "ccs2", "power_kw": 22_000}]}]),
        ("evses", [{"uid": "1", "status": "AVAILABLE"}]),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        StationCreate(**(MINIMAL | {field: value}))
    assert {error["loc"][0] for error in refused.value.errors()} == {field}


def test_a_station_is_made_from_what_was_checked_without_checking_its_evses_again() -> None:
    created = station(evses=({"uid": "1", "status": "PLANNED", "connectors": [{"type": "ccs2", "power_kw": 150}]},))
    fields = created.dict()
    assert fields == dict(created)
    assert fields["evses"] is created.evses
    assert Station(**fields).evses == Station(**created.model_dump()).evses
    assert created.dict(exclude_none=True) == created.model_dump(exclude_none=True)


def test_what_is_taken_apart_is_not_the_station_itself() -> None:
    created = station()
    created.dict()["title"] = "another"
    assert created.title != "another"


@pytest.mark.parametrize(
    "evse",
    [
        {},
        {"uid": ""},
        {"uid": "1", "status": "AVAILABLE"},
        {"uid": "1", "connectors": [{"type": "plug"}]},
        {"uid": "1", "connectors": (Connector(type=ConnectorType.CCS2), {"type": "ccs2", "power_kw": -1})},
        Connector(type=ConnectorType.CCS2),
        None,
    ],
)
def test_a_station_made_by_hand_refuses_bad_evses_among_checked_ones(evse: object) -> None:
    fields = station().dict()
    with pytest.raises(ValidationError):
        Station(**fields | {"evses": (*fields["evses"], evse)})


def _hash(made: StationCreate) -> bytes:
    return derive(dict(made) | {"evses": evse_documents(made.evses)})["content_hash"]


def test_the_content_hash_moves_with_every_field_of_the_content() -> None:
    original = station()
    changes: dict[str, Any] = {
        "title": "y", "operator": "y", "address": "y", "city": "y", "postal_code": "y", "country": "FR",
        "longitude": 3.0, "latitude": 3.0, "evses": (), "access": "public", "opening_hours": "y", "price": "y",
    }  # fmt: skip
    assert set(changes) == set(CONTENT) == set(StationCreate.model_fields) - {"source", "external_id"}
    hashes = {_hash(station(**{name: value})) for name, value in changes.items()}
    assert len(hashes | {_hash(original)}) == len(changes) + 1
    assert _hash(station()) == _hash(original)


def test_derived_columns_sum_up_the_connectors() -> None:
    evses = evse_documents(
        [
            Evse(uid="1", connectors=(Connector(type=ConnectorType.CCS2, power_kw=150),)),
            Evse(uid="2", connectors=(Connector(type=ConnectorType.TYPE2), Connector(type=ConnectorType.CCS2))),
            Evse(uid="3"),
        ]
    )
    derived = derive(dict(station()) | {"evses": evses})
    assert (derived["evse_count"], derived["max_power_kw"]) == (3, 150.0)
    assert derived["connector_mask"] == ConnectorType.CCS2.bit | ConnectorType.TYPE2.bit


def test_stored_connector_bits_never_move() -> None:
    words = "ccs2 ccs1 chademo type2 type1 type3 nacs gbt_ac gbt_dc chaoji mcs schuko domestic cee_blue cee_red"
    assert [kind.value for kind in CONNECTOR_TYPES] == [*words.split(), "three_phase", "other"]
    assert [kind.bit for kind in CONNECTOR_TYPES] == [1 << n for n in range(len(CONNECTOR_TYPES))]


def test_a_query_of_nothing_is_everything() -> None:
    query = StationQuery()
    assert (query.skip, query.limit, query.box) == (0, 100, None)
    assert StationQuery.model_validate({"country": "de"}).country == "DE"
