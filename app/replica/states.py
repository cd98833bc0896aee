"""What follows from the states of a station's EVSEs, for many stations at once.

The rules are those of `app.stations.status`, asked once for each combination that there is.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from app.replica.sphere import Rows
from app.replica.table import Table, spans
from app.stations.changes import EPOCH
from app.stations.status import in_station_words, station_status
from app.stations.vocabulary import EvseStatus, StationStatus

NEVER_US = np.iinfo(np.int64).max
"""As a time: none to come."""
NO_TIME_US = np.iinfo(np.int64).min
"""As a time: none that has been."""
NOT_SEEN = 255
"""As a state: none has been observed."""
EVSE_CODE = {status.value: code for code, status in enumerate(EvseStatus)}
STATUS_CODE = {status: code for code, status in enumerate(StationStatus)}

_MICROSECOND = timedelta(microseconds=1)
_KINDS = (EvseStatus.AVAILABLE, EvseStatus.CHARGING, EvseStatus.OUTOFORDER, EvseStatus.PLANNED)
"""One for each kind of state that a station's status tells apart; UNKNOWN counts for nothing."""


def _kind(status: EvseStatus) -> int:
    if status is EvseStatus.UNKNOWN:
        return 0
    words = [in_station_words(each) for each in _KINDS]
    return 1 << words.index(in_station_words(status))


_KIND = np.array([_kind(status) for status in EvseStatus], np.uint8)
_WORD = np.array([STATUS_CODE[in_station_words(status)] for status in EvseStatus], np.uint8)
_STATUS_OF_KINDS = np.array(
    [
        STATUS_CODE[station_status(compress(_KINDS, (kinds >> n & 1 for n in range(len(_KINDS)))))]
        for kinds in range(1 << len(_KINDS))
    ],
    np.uint8,
)


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def instant(microseconds: int) -> datetime | None:
    """Since 1970; `None` for NO_TIME_US."""
    return None if microseconds == NO_TIME_US else EPOCH + microseconds * _MICROSECOND


def sum_up(stations: Table, evses: Table, rows: Rows, now_us: int) -> None:
    """Set what is derived in these rows and in their EVSEs, as of now."""
    counts = stations["evse_count"][rows]
    entries, starts = spans(stations["first_evse"][rows], counts)
    seen, observed_us, expires_us = (evses[name][entries] for name in ("seen", "observed_us", "expires_us"))
    was_seen = seen != NOT_SEEN
    is_fresh = was_seen & (now_us < expires_us)
    shown = np.where(is_fresh, seen, evses["stated"][entries])
    evses["is_fresh"][entries] = is_fresh
    evses["word"][entries] = _WORD[shown]
    stale_us = np.where(was_seen & ~is_fresh, expires_us, NO_TIME_US)
    stations["status"][rows] = _STATUS_OF_KINDS[np.bitwise_or.reduceat(_KIND[shown], starts)]
    stations["free_count"][rows] = np.add.reduceat(shown == EVSE_CODE["AVAILABLE"], starts, dtype=np.int64)
    stations["updated_us"][rows] = np.maximum.reduceat(np.where(is_fresh, observed_us, NO_TIME_US), starts)
    stations["expires_us"][rows] = np.minimum.reduceat(np.where(is_fresh, expires_us, NEVER_US), starts)
    stations["stale_us"][rows] = np.maximum.reduceat(stale_us, starts)
    observed = np.where(was_seen, observed_us, NO_TIME_US)
    of_evses = mixed(evses["key"][entries] ^ mixed(mixed(_as_bits(observed)) ^ _as_bits(stale_us)) ^ shown)
    stations["version"][rows] = stations["content_version"][rows] + np.add.reduceat(of_evses, starts)


def _as_bits(numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    return numbers.view(np.uint64)


def mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers in which every bit depends on every bit (the finaliser of SplitMix64)."""
    bits = (bits ^ bits >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ bits >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return bits ^ bits >> np.uint64(31)


def mixed_in_turn(numbers: Iterable[int]) -> int:
    """One number of 64 bits for several, which depends on their order too."""
    bits = 0
    for number in numbers:
        bits ^= number
        bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _ALL_BITS
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _ALL_BITS
        bits ^= bits >> 31
    return bits


_ALL_BITS = (1 << 64) - 1
