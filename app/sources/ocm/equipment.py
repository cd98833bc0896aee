"""From a site's `Connections` to EVSEs.

A connection (Open Charge Map API 3.0, schema `ConnectionInfo`) is a kind of equipment with a `Quantity`: each piece
becomes an EVSE with that one connector, named `<connection ID>-<ordinal>`.

`NumberOfPoints`, "the number of bays or discreet stations available overall at this site", stands in for a missing
`Quantity` only where the site has a single connection. With several it does not tell which connectors share a bay;
and as it counts stations as well as bays, it may be lower than the number of cars that charge at a time.
"""

import math
from collections.abc import Iterator

from app.sources.ocm.fields import Fields, folded, integer, reference_id
from app.sources.ocm.reference import (
    CONNECTION_TYPES,
    POWER_TYPES,
    STATUS_TYPES,
    TESLA_CONNECTION_TYPES,
    TESLA_CONNECTOR_BY_CONTINENT,
    ConnectionType,
)
from app.sources.records import BadField
from app.sources.values import number
from app.stations.model import MAX_POWER_KW, Connector, Evse
from app.stations.vocabulary import ConnectorType, EvseStatus, PowerType

MAX_QUANTITY = 200
"""Above the stalls of the largest sites there are; more is a slip of the keyboard."""
MAX_EVSES = 2_000
"""Of one site, as in StationCreate."""
MAX_VOLTAGE_V = MAX_AMPERAGE_A = 10_000


def evses_of(poi: Fields, site_status_id: int, continent: str, notes: list[str]) -> tuple[Evse, ...]:
    """The site's EVSEs in the order given; what a connection does not say of its status, the site's says."""
    connections = list(_connections(poi, notes))
    points = integer(poi.get("numberofpoints")) if len(connections) == 1 else None
    evses: list[Evse] = []
    for name, connection in connections:
        status = STATUS_TYPES[status_id_of(connection, notes) or site_status_id]
        if status is EvseStatus.REMOVED:
            notes.append("removed connection left out")
            continue
        connectors = (_connector(connection, continent, notes),)
        ordinals = range(1, _quantity(connection, points, notes) + 1)
        if len(evses) + len(ordinals) > MAX_EVSES:
            raise BadField(
                "Connections", len(connections), "count_not_plausible", f"Over {MAX_EVSES} charging points."
            )
        evses += [Evse(uid=f"{name}-{ordinal}", status=status, connectors=connectors) for ordinal in ordinals]
    return tuple(evses)


def status_id_of(fields: Fields, notes: list[str]) -> int:
    """The `StatusTypeID` of a site or connection; 0 (unknown) when missing or not in the table."""
    code = reference_id(fields, "statustypeid", "statustype") or 0
    if code in STATUS_TYPES:
        return code
    notes.append(f"status type {code} unknown")
    return 0


def _connections(poi: Fields, notes: list[str]) -> Iterator[tuple[str, Fields]]:
    """Yield each connection with a name that is unique in the site: its ID or, where it has none, its position."""
    listed = poi.get("connections") or []
    if not isinstance(listed, list):
        notes.append("Connections is no list, left out")
        return
    seen: set[int] = set()
    for position, item in enumerate(listed, start=1):
        connection = folded(item)
        connection_id = integer(connection.get("id"))
        if not connection:
            notes.append("empty connection left out")
        elif not connection_id:
            yield f"nth{position}", connection
        elif connection_id in seen:
            notes.append("repeated connection left out")
        else:
            seen.add(connection_id)
            yield str(connection_id), connection


def _quantity(connection: Fields, points: int | None, notes: list[str]) -> int:
    """At least 1, for the connection would not be listed otherwise."""
    quantity = max(integer(connection.get("quantity")) or points or 1, 1)
    if quantity > MAX_QUANTITY:
        notes.append(f"quantity above {MAX_QUANTITY} cut")
    return min(quantity, MAX_QUANTITY)


def _connector(connection: Fields, continent: str, notes: list[str]) -> Connector:
    kind = _connection_type(connection, continent, notes)
    return Connector(
        type=kind.type,
        format=kind.format,
        power_kw=_positive("PowerKW", connection, MAX_POWER_KW, notes),
        current=_current(connection, notes),
        voltage_v=_whole("Voltage", connection, MAX_VOLTAGE_V, notes),
        amperage_a=_whole("Amps", connection, MAX_AMPERAGE_A, notes),
    )


def _connection_type(connection: Fields, continent: str, notes: list[str]) -> ConnectionType:
    code = reference_id(connection, "connectiontypeid", "connectiontype") or 0
    if code in CONNECTION_TYPES:
        return CONNECTION_TYPES[code]
    if code in TESLA_CONNECTION_TYPES and continent in TESLA_CONNECTOR_BY_CONTINENT:
        return ConnectionType(TESLA_CONNECTOR_BY_CONTINENT[continent])
    notes.append(
        f"connection type {code} of unknown shape here, stored as other"
        if code in TESLA_CONNECTION_TYPES
        else f"connection type {code} unknown, stored as other"
    )
    return ConnectionType(ConnectorType.OTHER)


def _current(connection: Fields, notes: list[str]) -> PowerType | None:
    code = reference_id(connection, "currenttypeid", "currenttype") or 0
    if code and code not in POWER_TYPES:
        notes.append(f"current type {code} unknown")
    return POWER_TYPES.get(code)


def _positive(name: str, connection: Fields, highest: float, notes: list[str]) -> float | None:
    """A figure above 0, which stands for not known; one that cannot be is left out rather than the whole site."""
    try:
        figure = number(name, connection.get(name.lower())) or None
    except BadField:
        figure = math.nan
    if figure is None or 0 < figure <= highest:
        return figure
    notes.append(f"{name} implausible, left out")
    return None


def _whole(name: str, connection: Fields, highest: int, notes: list[str]) -> int | None:
    figure = _positive(name, connection, highest, notes)
    return None if figure is None else round(figure) or None
