"""The closed lists of words that stations are described with.

Status, current and format are those of OCPI 2.2.1 (Locations module, §8.4: EvseStatus in 8.4.22 `Status`,
8.4.19 `PowerType`, 8.4.4 `ConnectorFormat`). Connector types are VoltWay's own short names; every source adapter
maps its own codes to them and an unknown code becomes `other`.
"""

from enum import StrEnum


class ConnectorType(StrEnum):
    """What fits into the car (or the cable). Append only: a member's position is its bit in stored masks."""

    CCS2 = "ccs2"
    """IEC 62196-3 configuration FF (Combo 2)."""
    CCS1 = "ccs1"
    """IEC 62196-3 configuration EE (Combo 1)."""
    CHADEMO = "chademo"
    TYPE2 = "type2"
    """IEC 62196-2 Type 2, also Tesla's European AC and DC form of it."""
    TYPE1 = "type1"
    """IEC 62196-2 Type 1, SAE J1772."""
    TYPE3 = "type3"
    """IEC 62196-2 Type 3 (Scame 3A, EV Plug Alliance 3C)."""
    NACS = "nacs"
    """SAE J3400, the Tesla connector of North America."""
    GBT_AC = "gbt_ac"
    """GB/T 20234.2."""
    GBT_DC = "gbt_dc"
    """GB/T 20234.3."""
    CHAOJI = "chaoji"
    """GB/T 20234.4, CHAdeMO 3."""
    MCS = "mcs"
    """Megawatt Charging System, SAE J3271."""
    SCHUKO = "schuko"
    """CEE 7/4 household socket, type F, and the type E that its plugs fit."""
    DOMESTIC = "domestic"
    """Any other household socket (types A to D, G to N, NEMA 5 and the like)."""
    CEE_BLUE = "cee_blue"
    """IEC 60309, single phase, 3 pins."""
    CEE_RED = "cee_red"
    """IEC 60309, three phases, 5 pins."""
    THREE_PHASE = "three_phase"
    """A three-phase industrial socket that is not IEC 60309 (AS/NZS 3123 and others)."""
    OTHER = "other"
    """Known to be something else, or a code that the adapter does not know."""

    @property
    def bit(self) -> int:
        """This type's bit in `stations.connector_mask`."""
        return 1 << CONNECTOR_TYPES.index(self)


CONNECTOR_TYPES = tuple(ConnectorType)


class PowerType(StrEnum):
    """Current and phases of a connector, OCPI 2.2.1 §8.4.19."""

    AC_1_PHASE = "AC_1_PHASE"
    AC_2_PHASE = "AC_2_PHASE"
    AC_2_PHASE_SPLIT = "AC_2_PHASE_SPLIT"
    AC_3_PHASE = "AC_3_PHASE"
    DC = "DC"


class ConnectorFormat(StrEnum):
    """Whether the driver brings the cable (SOCKET) or finds one (CABLE), OCPI 2.2.1 §8.4.4."""

    SOCKET = "SOCKET"
    CABLE = "CABLE"


class Access(StrEnum):
    """Who may charge."""

    PUBLIC = "public"
    """Anyone, perhaps after registering with the operator."""
    RESTRICTED = "restricted"
    """Some of the public: customers of a shop, guests of a hotel, residents, taxis."""
    PRIVATE = "private"
    """Named people only: staff, members, a fleet."""


class EvseStatus(StrEnum):
    """State of one EVSE, OCPI 2.2.1 §8.4.22."""

    AVAILABLE = "AVAILABLE"
    BLOCKED = "BLOCKED"
    CHARGING = "CHARGING"
    INOPERATIVE = "INOPERATIVE"
    """Not yet active, or temporarily not available for use, but not broken."""
    OUTOFORDER = "OUTOFORDER"
    PLANNED = "PLANNED"
    REMOVED = "REMOVED"
    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"


class StationStatus(StrEnum):
    """What a driver wants to know of a station, derived from its EVSEs by `app.stations.status`."""

    AVAILABLE = "available"
    OCCUPIED = "occupied"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"
