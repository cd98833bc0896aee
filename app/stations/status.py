"""From EVSE states to what is shown: the only place where status is aged and summed up."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from app.stations.vocabulary import EvseStatus, StationStatus

_STATION_STATUS = {
    EvseStatus.AVAILABLE: StationStatus.AVAILABLE,
    EvseStatus.CHARGING: StationStatus.OCCUPIED,
    EvseStatus.BLOCKED: StationStatus.OCCUPIED,
    EvseStatus.RESERVED: StationStatus.OCCUPIED,
    EvseStatus.INOPERATIVE: StationStatus.MAINTENANCE,
    EvseStatus.OUTOFORDER: StationStatus.MAINTENANCE,
    EvseStatus.PLANNED: StationStatus.UNKNOWN,
    EvseStatus.REMOVED: StationStatus.UNKNOWN,
    EvseStatus.UNKNOWN: StationStatus.UNKNOWN,
}


def in_station_words(status: EvseStatus) -> StationStatus:
    """One EVSE's state in the four public words."""
    return _STATION_STATUS[status]


def station_status(evse_statuses: Iterable[EvseStatus]) -> StationStatus:
    """Sum up a station: `available` if any EVSE is free, else `occupied` if any is in use, else `maintenance`
    if all EVSEs of known state are inoperative or out of order, else `unknown` (also without any EVSE)."""
    known = {status for status in evse_statuses if status is not EvseStatus.UNKNOWN}
    words = {in_station_words(status) for status in known}
    for word in (StationStatus.AVAILABLE, StationStatus.OCCUPIED):
        if word in words:
            return word
    return StationStatus.MAINTENANCE if words == {StationStatus.MAINTENANCE} else StationStatus.UNKNOWN


def expires_at(observed_at: datetime, time_to_live: timedelta | None) -> datetime | None:
    """When an observation stops being true enough to show; `None`: never."""
    return None if time_to_live is None else observed_at + time_to_live
