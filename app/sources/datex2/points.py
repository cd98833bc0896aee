"""From `ElectricChargingPoint` ("facilitates electric charging of one vehicle at a time") to EVSEs.

Published states name a point by its `idG` alone, so this is both the EVSE's uid and its public id. In the AFIR
recharging profile it is the EVSE id of ISO 15118-2 indeed.
"""

from app.sources.datex2.codes import CHARGING_MODES, CONNECTOR_TYPES, CURRENTS, FORMATS
from app.sources.datex2.fields import Fields, elements, listed, of_class, word
from app.sources.records import BadField
from app.sources.values import number, text
from app.stations.model import MAX_POWER_KW, Connector, Evse
from app.stations.vocabulary import ConnectorType, PowerType

MAX_EVSES = 2_000
"""Of one site, as in StationCreate."""
MAX_CONNECTORS = 50
"""Of one point, as in Evse."""
MAX_VOLTAGE_V = MAX_AMPERAGE_A = 10_000


def refill_points(site: Fields) -> list[object]:
    """All that the site's stations have, of any fuel, still wrapped in their classes."""
    stations = listed(site.get("energyInfrastructureStation"))
    return [point for station in stations for point in elements(station.get("refillPoint"))]


def evses_of(points: list[object], notes: list[str]) -> tuple[Evse, ...]:
    """In the order given."""
    if len(points) > MAX_EVSES:
        raise BadField("refillPoint", len(points), "count_not_plausible", f"Over {MAX_EVSES} refill points.")
    evses: dict[str, Evse] = {}
    for wrapped in points:
        point = of_class(wrapped, "ElectricChargingPoint")
        uid = text(point.get("idG"), 200) if point else None
        if point is None:
            notes.append("refill point that is no electric charging point left out")
        elif uid is None:
            notes.append("refill point without idG left out")
        elif uid in evses:
            notes.append("refill point with the idG of an earlier one left out")
        else:
            evses[uid] = Evse(uid=uid, evse_id=uid, connectors=_connectors(point, notes))
    return tuple(evses.values())


def _connectors(point: Fields, notes: list[str]) -> tuple[Connector, ...]:
    connectors = listed(point.get("connector"))
    if len(connectors) > MAX_CONNECTORS:
        notes.append(f"connectors beyond {MAX_CONNECTORS} left out")
    alone = point if len(connectors) == 1 else {}
    return tuple(_connector(each, point, alone, notes) for each in connectors[:MAX_CONNECTORS])


def _connector(connector: Fields, point: Fields, alone: Fields, notes: list[str]) -> Connector:
    """`alone` is the point whose figures are those of its only connector; empty where it has several."""
    connector_type = _type(connector, notes)
    power_w = _figure(connector, "maxPowerAtSocket", MAX_POWER_KW * 1_000, notes)
    power_w = power_w or _highest(alone, "availableChargingPower", MAX_POWER_KW * 1_000, notes)
    voltage_v = _figure(connector, "voltage", MAX_VOLTAGE_V, notes)
    voltage_v = voltage_v or _highest(alone, "availableVoltage", MAX_VOLTAGE_V, notes)
    amperage_a = _figure(connector, "maximumCurrent", MAX_AMPERAGE_A, notes)
    return Connector(
        type=connector_type,
        power_kw=round(power_w / 1_000, 3) or None if power_w else None,
        format=FORMATS.read(word(connector.get("connectorFormat")), notes),
        current=_current(connector, connector_type, point),
        voltage_v=round(voltage_v) or None if voltage_v else None,
        amperage_a=round(amperage_a) or None if amperage_a else None,
    )


def _type(connector: Fields, notes: list[str]) -> ConnectorType:
    written = word(connector.get("connectorType"))
    if written is None:
        notes.append("connectorType missing, stored as other")
    return CONNECTOR_TYPES.read(written, notes) or ConnectorType.OTHER


def _current(connector: Fields, connector_type: ConnectorType, point: Fields) -> PowerType | None:
    """An alternating current of unknown phases is left open."""
    if connector_type in CURRENTS:
        return CURRENTS[connector_type]
    if word(point.get("currentType")) == "dc":
        return PowerType.DC
    modes = (word(holder.get("chargingMode")) for holder in (connector, point))
    return next((CHARGING_MODES[mode] for mode in modes if mode in CHARGING_MODES), None)


def _highest(point: Fields, name: str, limit: float, notes: list[str]) -> float | None:
    figures = elements(point.get(name))
    good = [figure for each in figures if (figure := _figure({name: each}, name, limit, notes))]
    return max(good, default=None)


def _figure(fields: Fields, name: str, limit: float, notes: list[str]) -> float | None:
    """Above 0, which stands for not known; one that cannot be is left out."""
    try:
        figure = number(name, fields.get(name)) or None
    except BadField:
        figure = -1
    if figure is None or 0 < figure <= limit:
        return figure
    notes.append(f"{name} implausible, left out")
    return None
