"""The codes of the AFDC station data.

From the documentation of the Alternative Fuel Stations API, version 1, "All Stations", response fields
(https://developer.nrel.gov/docs/transportation/alt-fuel-stations-v1/all/).
"""

from dataclasses import dataclass

from app.stations.model import StatedStatus
from app.stations.vocabulary import ConnectorType, EvseStatus, PowerType

ELECTRIC = "ELEC"

STATUSES: dict[str, StatedStatus | None] = {
    "E": None,  # available: open, which is no lasting state of an EVSE
    "P": EvseStatus.PLANNED,
    "T": EvseStatus.INOPERATIVE,  # temporarily unavailable
}
"""`status_code`."""

LIMITED_ACCESS = {"FLEET", "GOVERNMENT", "RESIDENTIAL"}
"""Values of `access_detail_code` that keep some drivers out. The others (CALL, CREDIT_CARD_AFTER_HOURS,
CREDIT_CARD_ALWAYS, KEY_AFTER_HOURS, KEY_ALWAYS, LIMITED_HOURS) ask something of a driver who may be anyone."""

COUNTRIES = {"US", "CA"}


@dataclass(frozen=True, slots=True)
class Level:
    """A charging level of SAE J1772; each EVSE has one."""

    code: str
    """Value of `ev_charging_units[].charging_level`."""
    count_field: str
    uid_prefix: str
    current: PowerType
    """SAE J1772 defines both AC levels as single-phase."""


LEVELS = (
    Level("1", "ev_level1_evse_num", "l1", PowerType.AC_1_PHASE),
    Level("2", "ev_level2_evse_num", "l2", PowerType.AC_1_PHASE),
    Level("dc_fast", "ev_dc_fast_num", "dc", PowerType.DC),
)

CONNECTORS: dict[str, tuple[ConnectorType, set[str]]] = {
    "NEMA515": (ConnectorType.DOMESTIC, {"1"}),  # 120 V, 15 A
    "NEMA520": (ConnectorType.DOMESTIC, {"1"}),  # 120 V, 20 A
    "NEMA1450": (ConnectorType.DOMESTIC, {"1", "2"}),  # 240 V by ANSI/NEMA WD 6, yet registered as level 1 as well
    "J1772": (ConnectorType.TYPE1, {"1", "2"}),
    "J1772COMBO": (ConnectorType.CCS1, {"dc_fast"}),
    "CHADEMO": (ConnectorType.CHADEMO, {"dc_fast"}),
    "TESLA": (ConnectorType.NACS, {"2", "dc_fast"}),  # the documentation calls it J3400
    "J3400": (ConnectorType.NACS, {"2", "dc_fast"}),
    "J3271": (ConnectorType.MCS, {"dc_fast"}),
}
"""`ev_connector_types`: our word, and the levels at which such a connector occurs."""

DESTINATION_NETWORK = "Tesla Destination"
"""Value of `ev_network` for Tesla's level 2 sites; `Tesla` is the Superchargers."""
