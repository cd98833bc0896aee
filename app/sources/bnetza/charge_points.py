"""The charge points of a row: each filled slot is an EVSE, and each of its plugs a connector."""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import count, islice

from app.sources.bnetza.codes import STATUS, plug_of
from app.sources.bnetza.columns import SLOTS
from app.sources.records import BadField
from app.sources.values import number, text
from app.stations.model import MAX_POWER_KW, Connector, Evse, StatedStatus
from app.stations.vocabulary import ConnectorType, PowerType

MAX_CHARGE_POINTS = 100
"""A single device that claims more is mistaken."""

_PLUG_SEPARATOR = re.compile(r"[;,\n]")
_POWER_SEPARATOR = re.compile(r";|,\s|\n")  # a comma without a blank is a decimal comma
_EVSE_ID = re.compile(
    r"(?=.*[\d*-])[A-Z]{2}(?:[*-]?[A-Z0-9]{3}[*-]?E|[*-][A-Z0-9]{3}[*-])[A-Z0-9*_-]{1,36}|\+?[0-9]{1,3}\*[0-9]{3,6}\*[0-9*]{1,32}",
    re.IGNORECASE,
)
"""eMI3 / ISO 15118-2 Annex H (`DE*AB7*E840*6487`, separators optional), and the numbers of the earlier DIN SPEC 91286
(`+49*810*000*438`). Operators also write hyphens, underscores, and leave out the letter E after a separator."""

Row = Mapping[str, str]


def evses_of(row: Row, notes: list[str]) -> list[Evse]:
    """Return the EVSEs in the order of their slots; `uid` is the number of the slot.

    A row may claim more charge points than it describes (until 2023 there were only four slots). Those are EVSEs
    without connectors: they are there, but nothing is known of them."""
    status = _status(row, notes)
    evses = []
    for uid, plug_column, power_column, id_column in SLOTS:
        plugs, powers, evse_id = row.get(plug_column), row.get(power_column), row.get(id_column)
        if plugs or powers or evse_id:
            connectors, remarks = _connectors(plugs or "", powers or "")
            notes.extend(remarks)
            evses.append(Evse(uid=uid, evse_id=_evse_id(evse_id, notes), status=status, connectors=connectors))
    return evses + _undescribed(row, evses, status, notes)


def _undescribed(row: Row, described: list[Evse], status: StatedStatus | None, notes: list[str]) -> list[Evse]:
    missing = _claimed(row, notes) - len(described)
    if missing <= 0:
        return []
    notes.append("charge points beyond those described, stored without plugs")
    taken = {evse.uid for evse in described}
    free = (uid for uid in map(str, count(1)) if uid not in taken)
    return [Evse(uid=uid, status=status) for uid in islice(free, missing)]


def _claimed(row: Row, notes: list[str]) -> int:
    try:
        claimed = int(number("Anzahl Ladepunkte", row.get("Anzahl Ladepunkte"), decimal_comma=True) or 0)
    except BadField:
        claimed = -1
    if not 0 <= claimed <= MAX_CHARGE_POINTS:
        notes.append("number of charge points implausible, ignored")
        return 0
    return claimed


def _status(row: Row, notes: list[str]) -> StatedStatus | None:
    word = row.get("Status", "")
    try:
        return STATUS[word.casefold()]
    except KeyError:
        notes.append(f"status {word[:40]!r} unknown, ignored")
        return None


def _evse_id(cell: str | None, notes: list[str]) -> str | None:
    written = text(cell, max_length=200)
    if written is None or _EVSE_ID.fullmatch(written):
        return written
    notes.append("EVSE-ID is not of the form of one, ignored")
    return None


@lru_cache(maxsize=8192)
def _connectors(plugs: str, powers: str) -> tuple[tuple[Connector, ...], tuple[str, ...]]:
    """Return the connectors of one charge point, and notes.

    The plugs and the powers of a slot are lists in the same order, in which a power may be left blank. One power
    alone is that of every plug, but not of an AC plug beside a DC one."""
    notes: list[str] = []
    names = [name.strip() for name in _PLUG_SEPARATOR.split(plugs) if name.strip()]
    written = _POWER_SEPARATOR.split(powers)
    if len(written) != len(names):
        written = [power for power in written if power.strip()]
    powers_kw = [_power_kw(power, notes) for power in written]
    if not names and powers_kw:
        notes.append("plug type missing, stored as other")
        names = [""] * len(powers_kw)
    if len(powers_kw) == 1:
        powers_kw = _shared(powers_kw[0], names)
    elif len(powers_kw) != len(names):
        if powers_kw:
            notes.append("powers do not match the plugs, stored as unknown")
        powers_kw = [None] * len(names)
    return tuple(_connector(name, kw, notes) for name, kw in zip(names, powers_kw, strict=True)), tuple(notes)


def _shared(power_kw: float | None, names: list[str]) -> list[float | None]:
    is_ac = [name.upper().startswith("AC") for name in names]
    return [None if ac and not all(is_ac) else power_kw for ac in is_ac]


def _connector(name: str, power_kw: float | None, notes: list[str]) -> Connector:
    plug = plug_of(name)
    if plug is None:
        if name:
            notes.append(f"plug {name[:60]!r} unknown, stored as other")
        return Connector(type=ConnectorType.OTHER, power_kw=power_kw)
    current = plug.current
    if current is None and plug.type is ConnectorType.TYPE2:
        current = _phases(power_kw) if name.upper().startswith("AC") else None
    return Connector(type=plug.type, power_kw=power_kw, format=plug.format, current=current)


def _phases(power_kw: float | None) -> PowerType | None:
    """Return what the power of an AC plug tells of its phases.

    In Germany no phase may carry more than 4.6 kVA beyond the others (VDE-AR-N 4100, symmetry), so from 11 kW there
    are three. Up to 4.6 kW it is one; in between it may be two, or one all the same."""
    if power_kw is None or 4.6 < power_kw < 11:
        return None
    return PowerType.AC_1_PHASE if power_kw <= 4.6 else PowerType.AC_3_PHASE


def _power_kw(written: str, notes: list[str]) -> float | None:
    try:
        power_kw = number("Nennleistung Stecker", written, decimal_comma=True)
    except BadField:
        notes.append("power unreadable, stored as unknown")
        return None
    if power_kw is not None and not 0 < power_kw <= MAX_POWER_KW:
        notes.append("power implausible, stored as unknown")
        return None
    return power_kw
