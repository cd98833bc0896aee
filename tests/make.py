"""Stations made up for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.sources.records import SourceFacts
from app.stations.model import Connector, Evse, EvseState, StationCreate, StoredStation
from app.stations.vocabulary import ConnectorType, EvseStatus

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
FACTS = SourceFacts(
    name="test",
    title="A source for tests",
    homepage="",
    licence="CC0-1.0",
    licence_url="https://creativecommons.org/publicdomain/zero/1.0/",
    attribution="Nobody",
    cadence=timedelta(days=1),
    record_noun="lines",
)


def station(external_id: str = "1", **fields: Any) -> StationCreate:
    """A sound station of the source `test` with one 50 kW CCS2 connector."""
    evse = Evse(uid="1", connectors=(Connector(type=ConnectorType.CCS2, power_kw=50),))
    given = {"title": f"Station {external_id}", "longitude": 13.4, "latitude": 52.5, "evses": (evse,)}
    return StationCreate(source="test", external_id=external_id, **(given | fields))


def stored(
    station_id: int, longitude: float, latitude: float, evses: list[EvseState], **fields: Any
) -> StoredStation:
    """A station as the repository would read it."""
    given: dict[str, Any] = {
        "source": "test", "external_id": str(station_id), "title": f"Station {station_id}", "operator": None,
        "address": None, "city": None, "postal_code": None, "country": None, "access": None, "opening_hours": None,
        "price": None, "created_at": NOW, "last_updated": NOW, "licence": None, "licence_url": None,
        "attribution": None,
    }  # fmt: skip
    return StoredStation(id=station_id, longitude=longitude, latitude=latitude, evses=evses, **(given | fields))


def evse_state(uid: str, status: EvseStatus, *connectors: tuple[ConnectorType, float | None]) -> EvseState:
    """An EVSE with connectors given as (type, power in kW)."""
    return EvseState(
        uid=uid,
        evse_id=None,
        status=status,
        observed_at=None,
        expires_at=None,
        connectors=[
            {"type": kind.value} if power_kw is None else {"type": kind.value, "power_kw": power_kw}
            for kind, power_kw in connectors
        ],
    )
