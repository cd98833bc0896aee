"""What Open Charge Map's numbers mean.

Taken from `/v3/referencedata` (Open Charge Map API 3.0, schema `CoreReferenceData`) as it stood in 2026: data of the
Open Charge Map Contributors, licensed CC BY 4.0. `operators.csv` and `countries.csv` beside this file are its lists
`Operators` and `Countries`, cut down to the columns used. The numbers last, operators are added and renamed: a newer
answer may replace the files.
"""

import csv
from importlib.resources import files
from typing import NamedTuple

from app.stations.model import StatedStatus
from app.stations.vocabulary import Access, ConnectorFormat, ConnectorType, EvseStatus, PowerType


class ConnectionType(NamedTuple):
    type: ConnectorType
    format: ConnectorFormat | None = None
    """`None` where the title does not say it."""


class Country(NamedTuple):
    iso_code: str
    """ISO 3166-1 alpha-2."""
    continent: str
    """AF, AN, AS, EU, NA, OC or SA; empty for three islands of the Caribbean."""


CONNECTION_TYPES: dict[int, ConnectionType] = {
    1: ConnectionType(ConnectorType.TYPE1),  # Type 1 (J1772)
    2: ConnectionType(ConnectorType.CHADEMO),
    3: ConnectionType(ConnectorType.DOMESTIC),  # BS1363 3 Pin 13 Amp
    4: ConnectionType(ConnectorType.CEE_BLUE),  # Blue Commando (2P+E)
    5: ConnectionType(ConnectorType.OTHER),  # LP Inductive
    6: ConnectionType(ConnectorType.OTHER),  # SP Inductive
    7: ConnectionType(ConnectorType.OTHER),  # Avcon Connector (SAE J1772-2001)
    8: ConnectionType(ConnectorType.OTHER),  # Tesla (Roadster)
    9: ConnectionType(ConnectorType.DOMESTIC),  # NEMA 5-20R
    10: ConnectionType(ConnectorType.DOMESTIC),  # NEMA 14-30
    11: ConnectionType(ConnectorType.DOMESTIC),  # NEMA 14-50
    13: ConnectionType(ConnectorType.DOMESTIC),  # Europlug 2-Pin (CEE 7/16)
    14: ConnectionType(ConnectorType.DOMESTIC),  # NEMA 6-20
    15: ConnectionType(ConnectorType.DOMESTIC),  # NEMA 6-15
    16: ConnectionType(ConnectorType.CEE_BLUE),  # CEE 3 Pin
    17: ConnectionType(ConnectorType.CEE_RED),  # CEE 5 Pin
    18: ConnectionType(ConnectorType.OTHER),  # CEE+ 7 Pin
    21: ConnectionType(ConnectorType.OTHER),  # XLR Plug (4 pin)
    22: ConnectionType(ConnectorType.DOMESTIC),  # NEMA 5-15R
    23: ConnectionType(ConnectorType.SCHUKO),  # CEE 7/5, the French form of it
    24: ConnectionType(ConnectorType.OTHER),  # Wireless Charging
    25: ConnectionType(ConnectorType.TYPE2, ConnectorFormat.SOCKET),  # Type 2 (Socket Only)
    26: ConnectionType(ConnectorType.TYPE3),  # SCAME Type 3C (Schneider-Legrand)
    28: ConnectionType(ConnectorType.SCHUKO),  # CEE 7/4 - Schuko - Type F
    29: ConnectionType(ConnectorType.DOMESTIC),  # Type I (AS 3112)
    31: ConnectionType(ConnectorType.OTHER),  # Tesla Battery Swap
    32: ConnectionType(ConnectorType.CCS1),  # IEC 62196-3 Configuration EE
    33: ConnectionType(ConnectorType.CCS2),  # IEC 62196-3 Configuration FF
    34: ConnectionType(ConnectorType.CEE_BLUE),  # IEC 60309 3-pin
    35: ConnectionType(ConnectorType.CEE_RED),  # IEC 60309 5-pin
    36: ConnectionType(ConnectorType.TYPE3),  # SCAME Type 3A (Low Power)
    1036: ConnectionType(ConnectorType.TYPE2, ConnectorFormat.CABLE),  # Type 2 (Tethered Connector)
    1037: ConnectionType(ConnectorType.DOMESTIC),  # T13 - SEC1011, Type J
    1038: ConnectionType(ConnectorType.GBT_AC, ConnectorFormat.SOCKET),
    1039: ConnectionType(ConnectorType.GBT_AC, ConnectorFormat.CABLE),
    1040: ConnectionType(ConnectorType.GBT_DC),
    1041: ConnectionType(ConnectorType.THREE_PHASE),  # Three Phase 5-Pin (AS/NZ 3123)
    1042: ConnectionType(ConnectorType.DOMESTIC),  # NEMA TT-30R
    1043: ConnectionType(ConnectorType.DOMESTIC),  # Type M
}

TESLA_CONNECTION_TYPES = frozenset({27, 30})
"""`NACS / Tesla Supercharger` and `Tesla (Model S/X)`: the maker's connector, whose shape depends on where it is."""

TESLA_CONNECTOR_BY_CONTINENT: dict[str, ConnectorType] = {
    "NA": ConnectorType.NACS,
    "EU": ConnectorType.TYPE2,
    "OC": ConnectorType.TYPE2,
}
"""Elsewhere both shapes occur, and in China a third."""

POWER_TYPES: dict[int, PowerType] = {
    10: PowerType.AC_1_PHASE,
    20: PowerType.AC_3_PHASE,
    30: PowerType.DC,
}
"""`CurrentTypes`."""

USAGE_TYPES: dict[int, Access | None] = {
    0: None,  # (Unknown)
    1: Access.PUBLIC,
    2: Access.PRIVATE,  # Private - Restricted Access
    3: Access.RESTRICTED,  # Privately Owned - Notice Required: open to whoever asks the owner first
    4: Access.PUBLIC,  # Public - Membership Required
    5: Access.PUBLIC,  # Public - Pay At Location
    6: Access.RESTRICTED,  # Private - For Staff, Visitors or Customers: some of the public among them
    7: Access.PUBLIC,  # Public - Notice Required
}

STATUS_TYPES: dict[int, StatedStatus | None] = {
    0: None,  # Unknown
    10: None,  # Currently Available (Automated Status): of unknown age, so not live
    20: None,  # Currently In Use (Automated Status): likewise
    30: EvseStatus.INOPERATIVE,  # Temporarily Unavailable
    50: None,  # Operational
    75: None,  # Partly Operational (Mixed)
    100: EvseStatus.OUTOFORDER,  # Not Operational
    150: EvseStatus.PLANNED,  # Planned For Future Date
    200: EvseStatus.REMOVED,  # Removed (Decommissioned)
    210: EvseStatus.REMOVED,  # Removed (Duplicate Listing)
}

PUBLISHED_SUBMISSIONS = frozenset({100, 200})
"""`SubmissionStatusTypes` with `IsLive`: Imported and Published, Submission Published."""

UNPUBLISHED_SUBMISSIONS: dict[int, str] = {
    1: "under review",
    50: "import under review",
    250: "submission rejected",
    1000: "delisted",
    1001: "delisted as duplicate",
    1002: "delisted as no longer active",
    1005: "delisted as superseded",
    1010: "delisted as not public",
    1020: "delisted by its data provider",
}
"""The others, in short; those from `FIRST_DELISTED` on have been published before and are withdrawn."""

FIRST_DELISTED = 1000

NO_OPERATOR = frozenset({1, 44, 45})
"""(Unknown Operator), (Private Residence/Individual), (Business Owner at Location): nobody's name."""


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((files(__package__) / name).read_text(encoding="utf-8").splitlines()))


OPERATORS: dict[int, str] = {int(row["ID"]): row["Title"] for row in _rows("operators.csv")}
COUNTRIES: dict[int, Country] = {
    int(row["ID"]): Country(row["ISOCode"], row["ContinentCode"]) for row in _rows("countries.csv")
}
