"""A station as entries of the columns."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import blake2b

import numpy as np
import orjson
from numpy.typing import NDArray

from app.replica.slots import Fragment
from app.replica.states import EVSE_CODE, NEVER_US, NO_TIME_US, NOT_SEEN, microseconds, mixed
from app.replica.traits import NO_CONNECTOR, TYPE_CODE
from app.stations.model import EvseState, StoredStation, connector_groups
from app.stations.vocabulary import EvseStatus

_NO_POWER = -1


def content_version(station: StoredStation, fragment: Fragment) -> int:
    """A number of 64 bits for all that is known of a station but what is observed, the same in every process."""
    evses = [(evse.uid, evse.evse_id, evse.stated_status, evse.connectors) for evse in station.evses]
    beside = [evses, station.created_at, station.licence, station.licence_url, station.attribution]
    return int.from_bytes(blake2b(b"".join(fragment) + orjson.dumps(beside), digest_size=8).digest())


def evse_keys(station_ids: Sequence[int] | NDArray[np.int64], uids: Sequence[str]) -> NDArray[np.uint64]:
    """For each EVSE a number of 64 bits that no other one has: among ten million, two have the same once in 370,000
    catalogues."""
    written = np.array([uid.encode("utf-8", "surrogatepass") for uid in uids])
    width = -(-max(written.dtype.itemsize, 1) // 8) * 8
    keys = mixed(np.asarray(station_ids, np.int64).astype(np.uint64))
    for part in written.astype(f"S{width}").view(np.uint64).reshape(len(uids), -1).T:
        keys = np.where(part == 0, keys, mixed(keys ^ part))  # the same, whatever others there are
    return keys


def evse_entries(station: StoredStation) -> Iterator[tuple[str, int, int, int, int]]:
    """Uid, then as in _EVSES: stated, seen, observed_us, expires_us."""
    for evse in station.evses:
        holds = evse.observed_at is not None and evse.stale_since is None
        stated = status_code(evse.stated_status or EvseStatus.UNKNOWN if holds else evse.status)
        yield evse.uid, stated, *_seen(evse)
    if not station.evses:
        yield "", EVSE_CODE[EvseStatus.UNKNOWN], NOT_SEEN, NO_TIME_US, NEVER_US


def _seen(evse: EvseState) -> tuple[int, int, int]:
    """Of one that is too old, what it was is forgotten."""
    if evse.observed_at is None:
        return NOT_SEEN, NO_TIME_US, NEVER_US
    status = EvseStatus.UNKNOWN if evse.stale_since else evse.status
    return status_code(status), microseconds(evse.observed_at), _expiry_us(evse.stale_since or evse.expires_at)


def status_code(status: str) -> int:
    """Of a word that is none, which only a hand can have written: that nothing is known."""
    return EVSE_CODE.get(status, EVSE_CODE[EvseStatus.UNKNOWN])


def _expiry_us(moment: datetime | None) -> int:
    """`None`: it never expires."""
    return NEVER_US if moment is None else microseconds(moment)


def connector_entries(station: StoredStation) -> Iterator[tuple[int, int, int, bool]]:
    """As in _CONNECTORS, group by group; last those that stand for EVSEs without connectors."""
    for group in connector_groups(station):
        power = _NO_POWER if group.power_kw is None else power_w(group.power_kw)
        code = TYPE_CODE.get(group.type, TYPE_CODE["other"])
        for n, evse in enumerate(group.evses):
            yield code, power, evse, n == 0
    bare = [n for n, evse in enumerate(station.evses) if not evse.connectors] if station.evses else [0]
    for n in bare:
        yield NO_CONNECTOR, _NO_POWER, n, True


def power_w(power_kw: float) -> int:
    """Whole watts, as powers are compared."""
    return round(power_kw * 1000)


def folded(word: str | None) -> str | None:
    """As words are compared."""
    return None if word is None else word.casefold()


def folded_text(text: str) -> bytes:
    """Likewise, as it is looked for in `searchable`."""
    return text.casefold().encode("utf-8", "surrogatepass")


def searchable(station: StoredStation) -> bytes:
    """What `q` is looked for in."""
    parts = (station.title, station.operator, station.address, station.postal_code, station.city)
    return folded_text("\n".join(part for part in parts if part))
