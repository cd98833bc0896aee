"""What is told to one receiver at a time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from app.live import Watch
from app.stations.changes import FeedPosition
from app.webhooks.places import Reached
from app.webhooks.stretch import Stretch, Told

MAX_STATIONS = 500
MAX_BYTES = 1 << 20
"""After which no station is added."""
RESET = b'{"type":"reset"}'
PING = b'{"type":"ping"}'


@dataclass(slots=True)
class Batch:
    """Events, each of another station, and how far the receiver is told who has them."""

    reached: Reached
    events: list[bytes] = field(default_factory=list)
    inside: list[int] = field(default_factory=list)
    """Stations that are in the filter."""
    gone: list[int] = field(default_factory=list)
    """Stations that are not, or no more."""
    is_whole: bool = True
    """Whether the stretch had no more."""


def outside(stretch: Stretch, watch: Watch, told: Mapping[int, Told]) -> list[int]:
    """Stations that may have been in the filter, and are not."""
    return [
        station_id
        for station_id in stretch.rewritten
        if not _is_seen(watch, station_id, told) and (watch.ids is None or station_id in watch.ids)
    ]


def batch_of(stretch: Stretch, watch: Watch, told: Mapping[int, Told], left: Collection[int]) -> Batch:
    """What a receiver is to be told of the stretch, up to the bounds. `left`: stations that have left its filter."""
    batch = Batch(stretch.end)
    size = 0
    for station_id, reached in stretch.stations.items():
        seen = _is_seen(watch, station_id, told)
        if not seen and station_id not in left:
            continue
        if len(batch.events) == MAX_STATIONS or size >= MAX_BYTES:
            batch.is_whole = False
            return batch
        event = told[station_id].event if seen else gone(station_id)
        size += len(event)
        batch.events.append(event)
        (batch.inside if seen else batch.gone).append(station_id)
        batch.reached = reached
    batch.reached = stretch.end
    return batch


def gone(station_id: int) -> bytes:
    return orjson.dumps({"type": "gone", "station_id": station_id})


def _is_seen(watch: Watch, station_id: int, told: Mapping[int, Told]) -> bool:
    found = told.get(station_id)
    return found is not None and watch.sees(station_id, found.place)


def body_of(
    webhook_id: str, delivery_id: str, events: Sequence[bytes], position: FeedPosition, now: datetime
) -> bytes:
    """As it is sent."""
    return orjson.dumps(
        {
            "webhook_id": webhook_id,
            "delivery_id": delivery_id,
            "created_at": now,
            "events": [orjson.Fragment(event) for event in events],
            "position": str(position),
        },
        option=orjson.OPT_UTC_Z,
    )
