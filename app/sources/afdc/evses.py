"""The EVSEs of an AFDC station: how many of which level, and which connectors each has.

The CSV form tells the connectors of the station only, the JSON form those of each charging unit as well:

- Where `ev_charging_units` add up to a level's count, each port (AFDC's word for EVSE) has the connectors and the
  power of its unit. A unit's connectors are dealt out one to a port if they are as many as its ports; otherwise its
  first port has all of them, the second those of which there are two, and so on.
- Otherwise every EVSE of a level is given every connector type of the station that occurs at that level (`CONNECTORS`
  in codes.py), with unknown power. NACS, which occurs at two levels, counts as DC where the station has DC EVSEs, but
  as level 2 at a Tesla Destination site with level 2 EVSEs.
- A level without any fitting type gets `other`; a code that is not in the table is `other` at each level.

An EVSE's uid is its level and its number within it, `l2-1`; the ports of charging units are numbered in order of
their connectors, so that the order in which units are delivered does not matter.
"""

from collections import defaultdict
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from app.sources.afdc.codes import CONNECTORS, DESTINATION_NETWORK, LEVELS, STATUSES, Level
from app.sources.records import BadField
from app.sources.values import number, text
from app.stations.model import MAX_POWER_KW, Connector, Evse
from app.stations.vocabulary import ConnectorType

MAX_EVSES_PER_LEVEL = 500
"""The largest charging site of North America has fewer; above it a count is a mistake."""

Record = dict[str, Any]
Connectors = tuple[Connector, ...]
Units = dict[str, list[Connectors]]
"""The connectors of each port of the charging units, by level."""


class Equipment(NamedTuple):
    """What a record tells of all its EVSEs together."""

    status_code: str | None
    counts: tuple[int, ...]
    """EVSEs of each of LEVELS."""
    connector_codes: tuple[str, ...]
    is_destination: bool


def evses_of(record: Record, notes: list[str]) -> tuple[Evse, ...]:
    """Return the EVSEs by level; none if the record counts none."""
    equipment = Equipment(
        text(record.get("status_code"), 20),
        tuple(_count(level.count_field, record.get(level.count_field), notes) for level in LEVELS),
        _connector_codes(record.get("ev_connector_types")),
        record.get("ev_network") == DESTINATION_NETWORK,
    )
    if units := record.get("ev_charging_units"):
        evses, remarks = _evses(equipment, _ports_of_units(units, notes))
    else:
        evses, remarks = _evses_without_units(equipment)
    notes += remarks
    return evses


@lru_cache(maxsize=8192)  # 7,699 real stations have 194 different equipments
def _evses_without_units(equipment: Equipment) -> tuple[tuple[Evse, ...], tuple[str, ...]]:
    return _evses(equipment, {})


def _evses(equipment: Equipment, units: Units) -> tuple[tuple[Evse, ...], tuple[str, ...]]:
    """Return the EVSEs, and notes."""
    notes: list[str] = []
    code = equipment.status_code
    if code and code not in STATUSES:
        notes.append(f"status code {code} unknown")
    status = STATUSES.get(code or "E")
    evses = tuple(
        Evse(uid=f"{level.uid_prefix}-{ordinal}", status=status, connectors=connectors)
        for level, ports in _ports_by_level(equipment, units, notes)
        for ordinal, connectors in enumerate(ports, start=1)
    )
    if not evses:
        notes.append("no EVSE counted")
    return evses, tuple(notes)


def _ports_by_level(equipment: Equipment, units: Units, notes: list[str]) -> list[tuple[Level, list[Connectors]]]:
    counts = {level.code: count for level, count in zip(LEVELS, equipment.counts, strict=True)}
    is_destination = counts["2"] > 0 and equipment.is_destination
    nacs_level = "dc_fast" if counts["dc_fast"] and not is_destination else "2"
    result = []
    for level in LEVELS:
        ports = units.get(level.code, [])
        count = counts[level.code] or len(ports)
        if ports and len(ports) != count:
            notes.append("charging units do not add up to the EVSE count, their power is not stored")
            ports = []
        ports = ports or [()] * count
        if not all(ports):  # some do not tell their connectors
            connectors, remarks = _station_connectors(equipment.connector_codes, level, nacs_level)
            notes += remarks
            ports = [port or connectors for port in ports]
        result.append((level, ports))
    return result


def _count(field: str, value: object, notes: list[str]) -> int:
    count = number(field, value) or 0.0
    if count > MAX_EVSES_PER_LEVEL or not count.is_integer():
        raise BadField(field, value, "count_not_plausible", f"This is no number from 0 to {MAX_EVSES_PER_LEVEL}.")
    if count < 0:
        notes.append("negative count read as none")
    return max(int(count), 0)


def _connector_codes(listed: object) -> tuple[str, ...]:
    """A list in the JSON form, words of one text in the CSV form; sorted, as their order means nothing."""
    words = listed if isinstance(listed, list) else (text(listed) or "").split()
    return tuple(sorted({str(word).strip().upper() for word in words}))


@lru_cache(maxsize=1024)
def _station_connectors(codes: tuple[str, ...], level: Level, nacs_level: str) -> tuple[Connectors, tuple[str, ...]]:
    """Return the connectors of an EVSE of this level, going by what the whole station has, and notes."""
    types = []
    for code in codes:
        connector_type, levels = CONNECTORS.get(code, (ConnectorType.OTHER, {level.code}))
        if level.code in levels and (connector_type is not ConnectorType.NACS or level.code == nacs_level):
            types.append(connector_type)
    notes = [_unknown(code) for code in codes if code not in CONNECTORS]
    if not types:
        notes.append(f"no connector of level {level.code} listed, stored as other")
    distinct = dict.fromkeys(types or [ConnectorType.OTHER])
    return tuple(Connector(type=each, current=level.current) for each in distinct), tuple(notes)


def _unknown(code: str) -> str:
    return f"connector code {code[:20]} unknown, stored as other"


def _ports_of_units(units: object, notes: list[str]) -> Units:
    """Return the connectors of each port by level; units of the level `legacy` are in no count and passed over."""
    ports: dict[str, list[Connectors]] = defaultdict(list)
    for unit in units if isinstance(units, list) else []:
        for level in LEVELS:
            if isinstance(unit, dict) and str(unit.get("charging_level")) == level.code:
                ports[level.code] += _unit_ports(unit, level, notes)
                _count("ev_charging_units", len(ports[level.code]), notes)  # bounds their sum
    for connectors in ports.values():
        connectors.sort(key=lambda port: [(connector.type, connector.power_kw or 0) for connector in port])
    return ports


def _unit_ports(unit: Record, level: Level, notes: list[str]) -> list[Connectors]:
    """Return one item for each port of a charging unit; empty where the unit does not tell its connectors."""
    connectors = unit.get("connectors")
    plugs = []
    for code, plug in sorted(connectors.items()) if isinstance(connectors, dict) else []:
        count = _count("ev_charging_units", plug.get("port_count"), notes) if isinstance(plug, dict) else 0
        if count:
            plugs.append((_unit_connector(code, plug.get("power_kw"), level, notes), count))
    port_count = _count("ev_charging_units", unit.get("port_count"), notes) or 1
    if sum(count for _, count in plugs) == port_count:
        return [(connector,) for connector, count in plugs for _ in range(count)]
    return [tuple(connector for connector, count in plugs if count > port) for port in range(port_count)]


def _unit_connector(code: str, power: object, level: Level, notes: list[str]) -> Connector:
    if code not in CONNECTORS:
        notes.append(_unknown(code))
    connector_type, _ = CONNECTORS.get(code, (ConnectorType.OTHER, None))
    return Connector(type=connector_type, power_kw=_power_kw(power, notes), current=level.current)


def _power_kw(value: object, notes: list[str]) -> float | None:
    with suppress(BadField):
        power_kw = number("ev_charging_units", value)
        if power_kw is None or 0 < power_kw <= MAX_POWER_KW:
            return power_kw
    notes.append("power not plausible, not stored")
    return None
