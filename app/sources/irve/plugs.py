"""The connectors of a charge point, and which of them deliver its power.

`puissance_nominale` is, by the schema (version 2.3.0), the highest power in kW that a vehicle can receive at the
charge point, "sans prendre en compte ni les limitations du connecteur ni celles du véhicule". So a connector is given
it only where it must be the connector's own figure:

- not above what the connector can carry (`Plug.max_kw`);
- not for an AC connector on a point that has a DC connector, since the figure is then that of the DC side;
- not for CHAdeMO beside Combo above 62.5 kW, the end of CHAdeMO 1.0 (500 V, 125 A), which most such points have;
- not for `prise_type_autre` beside any other.

Elsewhere the power is unknown.
"""

from dataclasses import dataclass
from functools import lru_cache

from app.sources.irve.columns import Supply, boolean
from app.sources.records import BadField
from app.sources.values import number
from app.stations.model import MAX_POWER_KW, Connector
from app.stations.vocabulary import ConnectorFormat, ConnectorType, PowerType

CHADEMO_1_MAX_KW = 62.5


@dataclass(frozen=True, slots=True)
class Plug:
    """What a column `prise_type_...` stands for."""

    column: str
    type: ConnectorType
    max_kw: float
    is_dc: bool = False
    current: PowerType | None = None
    format: ConnectorFormat | None = None


PLUGS = (
    # CEE 7/5 and 7/3: 16 A at 230 V.
    Plug("prise_type_ef", ConnectorType.SCHUKO, 3.7, False, PowerType.AC_1_PHASE, ConnectorFormat.SOCKET),
    # IEC 62196-2: up to 63 A on three phases of 400 V; the number of phases and the cable depend on the point.
    Plug("prise_type_2", ConnectorType.TYPE2, 43.7),
    # Twice the 500 A at 1,000 V of the usual cooled cable. IEC 61851-1 knows DC (mode 4) with attached cable only.
    Plug("prise_type_combo_ccs", ConnectorType.CCS2, 1_000, True, PowerType.DC, ConnectorFormat.CABLE),
    # CHAdeMO 2.0: 400 A at 1,000 V.
    Plug("prise_type_chademo", ConnectorType.CHADEMO, 400, True, PowerType.DC, ConnectorFormat.CABLE),
    Plug("prise_type_autre", ConnectorType.OTHER, MAX_POWER_KW),
)


@lru_cache(maxsize=4096)  # 29,109 real points have 176 different supplies
def connectors_of(supply: Supply) -> tuple[tuple[Connector, ...], tuple[str, ...]]:
    """Return the connectors, at least one, and notes."""
    notes: list[str] = []
    power_kw = _power_kw(supply.puissance_nominale, notes)
    plugs = [plug for plug in PLUGS if boolean(plug.column, getattr(supply, plug.column), notes)]
    has_cable = boolean("cable_t2_attache", supply.cable_t2_attache, notes)
    if not plugs:
        notes.append("no connector stated, stored as other")
        plugs = [PLUGS[-1]]
    connectors = tuple(_connector(plug, plugs, power_kw, has_cable) for plug in plugs)
    if power_kw is not None and all(connector.power_kw is None for connector in connectors):
        notes.append("puissance_nominale belongs to none of the connectors, not stored")
    return connectors, tuple(notes)


def _connector(plug: Plug, plugs: list[Plug], power_kw: float | None, has_cable: bool | None) -> Connector:
    cable = plug.format
    if plug.type is ConnectorType.TYPE2 and has_cable is not None:
        cable = ConnectorFormat.CABLE if has_cable else ConnectorFormat.SOCKET
    own_kw = power_kw if power_kw is not None and power_kw <= _limit_kw(plug, plugs) else None
    return Connector(type=plug.type, power_kw=own_kw, format=cable, current=plug.current)


def _limit_kw(plug: Plug, plugs: list[Plug]) -> float:
    """Up to which figure the point's power is that of `plug`, one of its `plugs`; 0 for never."""
    types = {each.type for each in plugs}
    if plug.type is ConnectorType.OTHER:
        return plug.max_kw if len(plugs) == 1 else 0
    if plug.type is ConnectorType.CHADEMO and ConnectorType.CCS2 in types:
        return CHADEMO_1_MAX_KW
    if not plug.is_dc and any(each.is_dc for each in plugs):
        return 0
    return plug.max_kw


def _power_kw(cell: str, notes: list[str]) -> float | None:
    """To the watt, as some files give 2.299999952316284 for 2.3; a unit behind the figure may be kW or W."""
    figure = cell.casefold().removesuffix("w").removesuffix("k")
    is_watts = cell.casefold().endswith("w") and not cell.casefold().endswith("kw")
    try:
        power = number("puissance_nominale", figure, decimal_comma=True)
    except BadField:
        notes.append("puissance_nominale is no power, not stored")
        return None
    if power is None:
        return None
    power_kw = round(power / 1_000 if is_watts else power, 3)
    if not 0 < power_kw <= MAX_POWER_KW:
        notes.append("puissance_nominale not plausible, not stored")
        return None
    return power_kw
