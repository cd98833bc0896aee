"""DATEX II's words, and what they mean here.

Those of DATEX II 3.7, package EnergyInfrastructure (CEN/TS 16157-10), and of the AFIR recharging profile 01-00-00,
which adds the status and `mcs` (github.com/MobilithekDE/AFIR-DATEX-II-Recharging-Profil).
"""

from app.sources.words import Words
from app.stations.vocabulary import ConnectorFormat, ConnectorType, EvseStatus, PowerType

STATUSES = Words(
    "status",
    {
        "available": EvseStatus.AVAILABLE,
        "blocked": EvseStatus.BLOCKED,
        "charging": EvseStatus.CHARGING,
        "faulted": EvseStatus.OUTOFORDER,
        "inoperative": EvseStatus.INOPERATIVE,
        "occupied": EvseStatus.CHARGING,
        "outOfOrder": EvseStatus.OUTOFORDER,
        "outOfStock": EvseStatus.INOPERATIVE,
        "planned": EvseStatus.PLANNED,
        "removed": EvseStatus.REMOVED,
        "reserved": EvseStatus.RESERVED,
        "unavailable": EvseStatus.INOPERATIVE,
        "unknown": EvseStatus.UNKNOWN,
    },
)
"""`RefillPointStatusEnum`. Nine of the words are OCPI's; `occupied` is what operators without knowledge of the
session say for a connected car."""

_DOMESTIC = {f"domestic{letter}": ConnectorType.DOMESTIC for letter in "ABCDGHIJKLMNO"}

CONNECTOR_TYPES = Words(
    "connectorType",
    {
        "cee3": ConnectorType.CEE_BLUE,
        "cee5": ConnectorType.CEE_RED,
        "chademo": ConnectorType.CHADEMO,
        "domestic": ConnectorType.DOMESTIC,
        **_DOMESTIC,
        "domesticE": ConnectorType.SCHUKO,
        "domesticF": ConnectorType.SCHUKO,
        "iec60309x2single16": ConnectorType.CEE_BLUE,
        "iec60309x2three16": ConnectorType.CEE_RED,
        "iec60309x2three32": ConnectorType.CEE_RED,
        "iec60309x2three64": ConnectorType.CEE_RED,
        "iec62196T1": ConnectorType.TYPE1,
        "iec62196T1COMBO": ConnectorType.CCS1,
        "iec62196T2": ConnectorType.TYPE2,
        "iec62196T2COMBO": ConnectorType.CCS2,
        "iec62196T3A": ConnectorType.TYPE3,
        "iec62196T3C": ConnectorType.TYPE3,
        "mcs": ConnectorType.MCS,
        "other": ConnectorType.OTHER,
        "pantographBottomUp": ConnectorType.OTHER,
        "pantographTopDown": ConnectorType.OTHER,
        "teslaConnectorAmerica": ConnectorType.NACS,
        "teslaConnectorEurope": ConnectorType.TYPE2,
        "teslaR": ConnectorType.OTHER,
        "teslaS": ConnectorType.NACS,
        "yazaki": ConnectorType.OTHER,
    },
)
"""`ConnectorTypeEnum`."""

FORMATS = Words(
    "connectorFormat",
    {
        "cableMode2": ConnectorFormat.CABLE,
        "cableMode3": ConnectorFormat.CABLE,
        "otherCable": ConnectorFormat.CABLE,
        "socket": ConnectorFormat.SOCKET,
    },
)
"""`ConnectorFormatTypeEnum`."""

CHARGING_MODES: dict[str | None, PowerType] = {
    "mode1AC1p": PowerType.AC_1_PHASE,
    "mode1AC3p": PowerType.AC_3_PHASE,
    "mode2AC1p": PowerType.AC_1_PHASE,
    "mode2AC3p": PowerType.AC_3_PHASE,
    "mode3AC3p": PowerType.AC_3_PHASE,
    "mode4DC": PowerType.DC,
}
"""`ChargingModeEnum`, where it tells the current."""

CURRENTS: dict[ConnectorType, PowerType] = {
    ConnectorType.CCS1: PowerType.DC,
    ConnectorType.CCS2: PowerType.DC,
    ConnectorType.CHADEMO: PowerType.DC,
    ConnectorType.MCS: PowerType.DC,
    ConnectorType.SCHUKO: PowerType.AC_1_PHASE,
    ConnectorType.DOMESTIC: PowerType.AC_1_PHASE,
    ConnectorType.CEE_BLUE: PowerType.AC_1_PHASE,
    ConnectorType.CEE_RED: PowerType.AC_3_PHASE,
}
"""Of connectors that have but one."""

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""`DayEnum`."""
