"""The register's words, as its editions of 2019 to 2026 have them, and what they mean here.

There is no published list. Today's words are those of its REST interface (`connector_type`, `operational`,
`access_restriction`), as the documentation of the OCPDB project gives them; the older ones stand in the editions."""

import re
from functools import cache
from typing import NamedTuple

from app.stations.model import StatedStatus
from app.stations.vocabulary import Access, ConnectorFormat, ConnectorType, EvseStatus, PowerType


class Plug(NamedTuple):
    type: ConnectorType
    format: ConnectorFormat | None
    current: PowerType | None
    """`None` where it is an alternating current of one or three phases, which its power must tell."""


_CABLE, _SOCKET = ConnectorFormat.CABLE, ConnectorFormat.SOCKET
_DC, _ONE_PHASE, _THREE_PHASE = PowerType.DC, PowerType.AC_1_PHASE, PowerType.AC_3_PHASE
_TESLA_CABLE = Plug(ConnectorType.TYPE2, _CABLE, None)

_PLUGS = {
    "AC Typ 2 Steckdose": Plug(ConnectorType.TYPE2, _SOCKET, None),
    "AC Steckdose Typ 2": Plug(ConnectorType.TYPE2, _SOCKET, None),
    "AC Typ 2 Fahrzeugkupplung": Plug(ConnectorType.TYPE2, _CABLE, None),
    "AC Kupplung Typ 2": Plug(ConnectorType.TYPE2, _CABLE, None),
    "Typ 2": Plug(ConnectorType.TYPE2, None, None),
    "AC Typ 1 Steckdose": Plug(ConnectorType.TYPE1, _SOCKET, _ONE_PHASE),
    "AC Steckdose Typ 1": Plug(ConnectorType.TYPE1, _SOCKET, _ONE_PHASE),
    "Steckdose Typ 1": Plug(ConnectorType.TYPE1, _SOCKET, _ONE_PHASE),
    "AC Typ 1 Fahrzeugkupplung": Plug(ConnectorType.TYPE1, _CABLE, _ONE_PHASE),
    "AC Kupplung Typ 1": Plug(ConnectorType.TYPE1, _CABLE, _ONE_PHASE),
    "Adapter Typ1 Auto auf Typ2 Fahrzeugkupplung": Plug(ConnectorType.TYPE1, _CABLE, _ONE_PHASE),
    "Typ 3": Plug(ConnectorType.TYPE3, None, None),
    "AC Schuko": Plug(ConnectorType.SCHUKO, _SOCKET, _ONE_PHASE),
    "AC CEE 3-polig": Plug(ConnectorType.CEE_BLUE, _SOCKET, _ONE_PHASE),
    "AC CEE 5-polig": Plug(ConnectorType.CEE_RED, _SOCKET, _THREE_PHASE),
    "DC Fahrzeugkupplung Typ Combo 2 (CCS)": Plug(ConnectorType.CCS2, _CABLE, _DC),
    "DC Kupplung Combo": Plug(ConnectorType.CCS2, _CABLE, _DC),
    "DC Kupplung Combo (CCS)": Plug(ConnectorType.CCS2, _CABLE, _DC),
    "DC Fahrzeugkupplung Typ Combo 1 (CCS)": Plug(ConnectorType.CCS1, _CABLE, _DC),
    "DC CHAdeMO": Plug(ConnectorType.CHADEMO, _CABLE, _DC),
    "DC Megawatt Charging System (MCS)": Plug(ConnectorType.MCS, _CABLE, _DC),
    "DC Tesla Fahrzeugkupplung (Typ 2)": Plug(ConnectorType.TYPE2, _CABLE, _DC),
    "DC Kupplung Tesla Typ 2": Plug(ConnectorType.TYPE2, _CABLE, _DC),
    "Tesla": _TESLA_CABLE,
    "Typ 2 / Tesla": _TESLA_CABLE,
    "Kabellos/Induktiv": Plug(ConnectorType.OTHER, None, None),
}
"""`Kupplung` and `Fahrzeugkupplung` hang on a cable, a `Steckdose` is a socket. Left out, and so stored as other:
`AC / CEE` and `CEE-Stecker` (2019), which do not tell whether they have 3 or 5 pins."""


def _bare(words: str) -> str:
    return re.sub("[^a-z0-9]", "", words.lower())


_PLUGS_BY_BARE_NAME = {_bare(name): plug for name, plug in _PLUGS.items()}


@cache
def _known_plug(bare_name: str) -> Plug | None:
    return _PLUGS_BY_BARE_NAME.get(bare_name)


def plug_of(name: str) -> Plug | None:
    """Return what a plug's name means, whatever its case, blanks and hyphens; `None` for an unknown one."""
    return _known_plug(_bare(name))


STATUS: dict[str, StatedStatus | None] = {
    "": None,
    "in betrieb": None,
    "in wartung": EvseStatus.INOPERATIVE,
    "vorübergehend ausser betrieb": EvseStatus.INOPERATIVE,
    "ausser betrieb": EvseStatus.OUTOFORDER,
    "geplant": EvseStatus.PLANNED,
    "in planung": EvseStatus.PLANNED,
    "endgültig ausser betrieb": EvseStatus.REMOVED,
}
"""`In Betrieb` and `In Wartung` are all that the edition of September 2026 has. Operators must also notify when a
charge point goes out of service (Ladesäulenverordnung § 5), so that the other words may come. Keys are casefolded."""

ACCESS = {
    "": Access.PUBLIC,
    "keine angabe": Access.PUBLIC,
    "keine beschränkung": Access.PUBLIC,
    "nur für kunden/besucher": Access.RESTRICTED,
}
"""By `Informationen zum Parkraum`. The register lists only devices open to the public (Ladesäulenverordnung of
2025, § 2 No. 2), which the rules of the parking space may narrow down."""
