"""The connectors of an EVSE (`Connector`, OCPI 2.2.1 §8.3.3; with voltage and amperage alone, OCPI 2.1.1)."""

from typing import Any

from app.sources.ocpi.codes import DC_ONLY, FORMATS, POWER_TYPES, STANDARDS
from app.sources.records import BadField
from app.sources.values import number
from app.stations.model import MAX_POWER_KW, Connector
from app.stations.vocabulary import ConnectorType, PowerType

MAX_CONNECTORS = 50
"""Of an EVSE, as in Evse."""
MAX_VOLTAGE_V = MAX_AMPERAGE_A = 10_000
LEAST_POWER_W = 1_000
"""A figure below is in kW, whatever the standard says: no charging point gives less than 1 kW, hardly one more than
1,000 kW."""
LEAST_LINE_TO_LINE_V = 360
"""With three phases the voltage is that of line to neutral (§8.3.3), at most 347 V in use. Above, somebody has given
the voltage between lines."""

Fields = dict[str, Any]


def connectors_of(listed: object, notes: list[str]) -> tuple[Connector, ...]:
    """In the order given."""
    if listed is None:
        return ()
    if not isinstance(listed, list):
        notes.append("connectors are no list, left out")
        return ()
    good = [each for each in listed if isinstance(each, dict)]
    if len(good) < len(listed):
        notes.append("connector that is no object left out")
    if len(good) > MAX_CONNECTORS:
        notes.append(f"connectors beyond {MAX_CONNECTORS} left out")
    return tuple(_connector(each, notes) for each in good[:MAX_CONNECTORS])


def _connector(fields: Fields, notes: list[str]) -> Connector:
    connector_type = _type(fields, notes)
    current = _current(fields, connector_type, notes)
    voltage_v = _figure(fields, ("max_voltage", "voltage"), MAX_VOLTAGE_V, notes)
    amperage_a = _figure(fields, ("max_amperage", "amperage"), MAX_AMPERAGE_A, notes)
    return Connector(
        type=connector_type,
        power_kw=_stated_kw(fields, notes) or _computed_kw(current, voltage_v, amperage_a, notes),
        format=FORMATS.read(fields.get("format"), notes),
        current=current,
        voltage_v=round(voltage_v) or None if voltage_v else None,
        amperage_a=round(amperage_a) or None if amperage_a else None,
    )


def _type(fields: Fields, notes: list[str]) -> ConnectorType:
    known = STANDARDS.read(fields.get("standard"), notes)
    if known is None and not fields.get("standard"):
        notes.append("standard missing, stored as other")
    return known or ConnectorType.OTHER


def _current(fields: Fields, connector_type: ConnectorType, notes: list[str]) -> PowerType | None:
    stated = POWER_TYPES.read(fields.get("power_type"), notes)
    if connector_type not in DC_ONLY:
        return stated
    if stated not in {None, PowerType.DC}:
        notes.append("power_type AC of a DC connector, stored as DC")
    return PowerType.DC


def _stated_kw(fields: Fields, notes: list[str]) -> float | None:
    """`max_electric_power`, which OCPI has in W; 0 stands for not known."""
    power_w = _figure(fields, ("max_electric_power",), MAX_POWER_KW * 1_000, notes)
    if power_w is None or power_w >= LEAST_POWER_W:
        return power_w and round(power_w / 1_000, 3)
    notes.append("max_electric_power below 1,000, taken for kW")
    return round(power_w, 3) or None


def _computed_kw(
    current: PowerType | None, voltage_v: float | None, amperage_a: float | None, notes: list[str]
) -> float | None:
    """What OCPI 2.1.1 has instead of a power, and later versions where it says the same."""
    if current is None or voltage_v is None or amperage_a is None:
        return None
    power_kw = round(_phases(current, voltage_v) * voltage_v * amperage_a / 1_000, 3)
    if not 0 < power_kw <= MAX_POWER_KW:
        notes.append("voltage and amperage give an implausible power, left out")
        return None
    notes.append("power computed from voltage and amperage")
    return power_kw


def _phases(current: PowerType, voltage_v: float) -> float:
    """By what the product of voltage and amperage is to be multiplied."""
    between_lines = voltage_v >= LEAST_LINE_TO_LINE_V
    if current is PowerType.AC_3_PHASE:
        return 3**0.5 if between_lines else 3
    return 2 if current is PowerType.AC_2_PHASE and not between_lines else 1


def _figure(fields: Fields, names: tuple[str, ...], highest: float, notes: list[str]) -> float | None:
    """The first of the members that is given, above 0, which stands for not known; one that cannot be is left out."""
    name = next((each for each in names if fields.get(each) is not None), names[0])
    try:
        figure = number(name, fields.get(name))
    except BadField:
        figure = -1
    if figure is None or 0 < figure <= highest:
        return figure
    notes.append(f"{name} of 0, left out" if figure == 0 else f"{name} implausible, left out")
    return None
