"""OCPI's words, and what they mean here.

Those of the Locations module of OCPI 2.2.1, §8.4. The lists of 2.1.1 are part of these, those of 2.3.0 add what is
marked so.
"""

from app.sources.words import Words
from app.stations.vocabulary import ConnectorFormat, ConnectorType, EvseStatus, PowerType

_DOMESTIC = {f"DOMESTIC_{letter}": ConnectorType.DOMESTIC for letter in "ABCDGHIJKLMNO"}
_NEMA_SIZES = ("5_20", "6_30", "6_50", "10_30", "10_50", "14_30", "14_50")
_NEMA = {f"NEMA_{size}": ConnectorType.DOMESTIC for size in _NEMA_SIZES}

_CONNECTOR_TYPES: dict[str, ConnectorType] = {
    "CHADEMO": ConnectorType.CHADEMO,
    "CHAOJI": ConnectorType.CHAOJI,
    **_DOMESTIC,
    "DOMESTIC_E": ConnectorType.SCHUKO,  # CEE 7/5
    "DOMESTIC_F": ConnectorType.SCHUKO,  # CEE 7/4
    "GBT_AC": ConnectorType.GBT_AC,
    "GBT_DC": ConnectorType.GBT_DC,
    "IEC_60309_2_single_16": ConnectorType.CEE_BLUE,
    "IEC_60309_2_three_16": ConnectorType.CEE_RED,
    "IEC_60309_2_three_32": ConnectorType.CEE_RED,
    "IEC_60309_2_three_64": ConnectorType.CEE_RED,
    "IEC_62196_T1": ConnectorType.TYPE1,
    "IEC_62196_T1_COMBO": ConnectorType.CCS1,
    "IEC_62196_T2": ConnectorType.TYPE2,
    "IEC_62196_T2_COMBO": ConnectorType.CCS2,
    "IEC_62196_T3A": ConnectorType.TYPE3,
    "IEC_62196_T3C": ConnectorType.TYPE3,
    "MCS": ConnectorType.MCS,  # 2.3.0
    **_NEMA,
    "PANTOGRAPH_BOTTOM_UP": ConnectorType.OTHER,
    "PANTOGRAPH_TOP_DOWN": ConnectorType.OTHER,
    "SAE_J3400": ConnectorType.NACS,  # 2.3.0
    "TESLA_R": ConnectorType.OTHER,  # Roadster: round, 4 pins
    "TESLA_S": ConnectorType.NACS,  # Model S: oval, 5 pins, the shape of SAE J3400
}
"""`ConnectorType`, §8.4.5."""

_FREE_TEXT_STANDARDS: dict[str, str] = {
    "CCS": "IEC_62196_T2_COMBO",
    "CCS 1": "IEC_62196_T1_COMBO",
    "CCS 2": "IEC_62196_T2_COMBO",
    "Combo 1": "IEC_62196_T1_COMBO",
    "Combo 2": "IEC_62196_T2_COMBO",
    "GB/T AC": "GBT_AC",
    "GB/T DC": "GBT_DC",
    "J1772": "IEC_62196_T1",
    "Mennekes": "IEC_62196_T2",
    "NACS": "SAE_J3400",
    "Schuko": "DOMESTIC_F",
    "Type 1": "IEC_62196_T1",
    "Type 2": "IEC_62196_T2",
}
"""What feeds write instead. `CCS` alone is what the Combo 2 is called where there is no other."""

STANDARDS = Words("standard", _CONNECTOR_TYPES, _FREE_TEXT_STANDARDS)

DC_ONLY = frozenset(
    {
        ConnectorType.CCS1,
        ConnectorType.CCS2,
        ConnectorType.CHADEMO,
        ConnectorType.CHAOJI,
        ConnectorType.GBT_DC,
        ConnectorType.MCS,
    }
)
"""Whose current is known without being told."""

POWER_TYPES = Words("power_type", {power_type.value: power_type for power_type in PowerType})
"""`PowerType`, §8.4.19; 2.1.1 has no two phases."""

FORMATS = Words("format", {connector_format.value: connector_format for connector_format in ConnectorFormat})
"""`ConnectorFormat`, §8.4.4."""

STATUSES = Words("status", {status.value: status for status in EvseStatus})
"""`Status`, §8.4.22."""
