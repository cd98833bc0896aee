"""Live status as it changes, by server-sent events."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.deps import ResourcesDep
from app.api.errors import documented
from app.api.parameters import given_once
from app.api.v1 import render
from app.errors import VoltWayError
from app.live import Hub, Reader, TooFarBackError, Watch, ids_seen, missed, present
from app.replica import Follower
from app.stations.catalogue import Catalogue
from app.stations.changes import FeedPosition
from app.stations.query import MAX_IDS, BoxText, IdsText, Parameters, parse_box, parse_ids
from app.stations.vocabulary import ConnectorType
from app.utils import metrics

router = APIRouter(prefix="/api/v1/stations/stream", tags=["stations"])
logger = logging.getLogger(__name__)

MAX_SNAPSHOT = 10_000
HEARTBEAT_S = 15.0
_LONGEST_SEND_S = 60.0
"""After that a reader who takes nothing is given up."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # for nginx, which would else collect events before it passes them on
]
_RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a client whose stream has ended comes back."""


class StreamQuery(Parameters):
    """Filters combine with AND."""

    ids: IdsText | None = Field(
        None, description=f"Only these stations: up to {MAX_IDS:,} ids, with commas between them.", examples=["1,2,3"]
    )
    bbox: BoxText | None = Field(
        None,
        description="Only stations inside `west,south,east,north`, in degrees; as in searches.",
        examples=["13.3,52.4,13.5,52.6"],
    )
    connector: Annotated[list[ConnectorType], Field(max_length=len(ConnectorType))] = Field(
        [], description="Only stations with one of these connectors; may be repeated.", examples=[["ccs2"]]
    )
    snapshot: bool = Field(
        False, description=f"Begin with the state of every watched station, of which there may be {MAX_SNAPSHOT:,}."
    )

    @property
    def watch(self) -> Watch:
        return Watch(
            ids=None if self.ids is None else frozenset(parse_ids(self.ids)),
            box=None if self.bbox is None else parse_box(self.bbox),
            connectors=tuple(self.connector),
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client goes on: its `Last-Event-ID`."""

    position: FeedPosition
    """It knows the changes up to there."""
    listed: int | None = None
    """It was in the middle of a snapshot, and has the stations up to this id."""

    @classmethod
    def read(cls, written: str) -> "Place":
        """Raises ValueError."""
        position, slash, listed = written.partition("/")
        if slash and not (listed.isascii() and listed.isdigit() and len(listed) < 20):
            raise ValueError("is no place in a snapshot")
        return cls(FeedPosition.read(position), int(listed) if slash else None)

    def __str__(self) -> str:
        return f"{self.position}" if self.listed is None else f"{self.position}/{self.listed}"


_EXAMPLE = (
    "id: 0-4711\nevent: status\n"
    'data: {"station_id":1,"status":"available","evse_count":1,"available_count":1,'
    '"updated_at":"2026-05-01T12:03:10Z","evses":[{"uid":"1","evse_id":"DE*AB7*E1","status":"AVAILABLE",'
    '"observed_at":"2026-05-01T12:03:10Z","stale_since":null,"connectors":["ccs2"]}]}\n\n'
)
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `status` (data: a StationStatusEvent), `gone` (a StationGone), `ready` and `reset`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}


@router.get(
    "",
    summary="Watch live status",
    dependencies=[given_once()],
    response_class=Response,
    responses={**_DOCUMENTED, **documented(422, 503)},
)
async def watch_stations(
    query: Annotated[StreamQuery, Query()],
    resources: ResourcesDep,
    last_event_id: Annotated[
        str | None,
        Header(description="The last event's `id`: go on from there. Browsers send it by themselves."),
    ] = None,
) -> Response:
    """Server-sent events: each tells the states of all EVSEs of one station, when one of them has changed.

    `ready` comes once all that was there, or was missed, has been told; with `snapshot` that is the state of every
    watched station. `reset` means that events were lost, because the client was too slow or too long away: it must
    forget what it knows, and with `snapshot` it is then told everything anew. `gone` names a station that is not
    among the watched any more.
    """
    follower, hub, watch = resources["follower"], resources["hub"], query.watch
    if query.snapshot and (count := len(ids_seen(follower.replica, watch))) > MAX_SNAPSHOT:
        raise _invalid("query", "snapshot", f"{count:,} stations are watched: no more than {MAX_SNAPSHOT:,} may be")
    place = None if last_event_id is None else _place(last_event_id)
    return EventStream(_Stream(hub, follower, Catalogue(resources["database"]), watch, query.snapshot), place)


def _place(written: str) -> Place:
    try:
        return Place.read(written)
    except ValueError:
        raise _invalid("header", "last-event-id", "is not the id of an event") from None


def _invalid(location: str, name: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": (location, name), "msg": message, "input": None}])


@dataclass(frozen=True, slots=True)
class _Stream:
    """What is told to one client."""

    hub: Hub
    follower: Follower
    catalogue: Catalogue
    watch: Watch
    wants_snapshot: bool

    async def events(self, reader: Reader, place: Place | None) -> AsyncGenerator[bytes]:
        """Until the reader's end. Raises DatabaseUnavailableError."""
        async for event in self._beginning(reader.since, place):
            yield event
        while not reader.ended:
            told = await reader.take(HEARTBEAT_S)
            if told.lost:
                async for event in self._anew():
                    yield event
            elif told.frames:
                metrics.stream_events.inc(len(told.frames))
                yield b"".join(told.frames)
            else:
                yield b": still here\nid: %b\n\n" % str(told.position).encode()

    async def _beginning(self, since: FeedPosition, place: Place | None) -> AsyncGenerator[bytes]:
        """All that the reader, who is told of what comes after `since`, is not told."""
        if place is None:
            async for event in self._present(Place(since, 0 if self.wants_snapshot else None), since):
                yield event
            return
        try:
            async for at, station_id, station in missed(
                self.catalogue, self.follower.replica, self.watch, place.position, datetime.now(UTC)
            ):
                yield render.event(str(Place(at) if place.listed is None else place), station_id, station)
        except TooFarBackError:
            async for event in self._anew():
                yield event
        else:
            async for event in self._present(place, max(since, place.position)):
                yield event

    async def _anew(self) -> AsyncGenerator[bytes]:
        metrics.stream_resets.inc()
        place = Place(self.hub.position, 0 if self.wants_snapshot else None)
        yield _event(place, b"reset")
        async for event in self._present(place, place.position):
            yield event

    async def _present(self, place: Place, complete_to: FeedPosition) -> AsyncGenerator[bytes]:
        """The rest of the snapshot, if there is to be one; the client then knows all changes up to `complete_to`."""
        if place.listed is not None:
            now = datetime.now(UTC)  # what grows too old meanwhile is told like any other change
            async for station in present(self.catalogue, self.follower.replica, self.watch, now, place.listed):
                yield render.event(str(Place(place.position, station.id)), station.id, station)
        yield _event(Place(complete_to), b"ready")


def _event(place: Place, name: bytes) -> bytes:
    return b"id: %b\nevent: %b\ndata: {}\n\n" % (str(place).encode(), name)


class EventStream(Response):
    """A stream as long as the client, the reader or the process stays."""

    def __init__(self, stream: _Stream, place: Place | None) -> None:
        super().__init__()
        self._stream = stream
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._stream.hub.reading(self._stream.watch) as reader:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            gone = asyncio.create_task(_disconnected(receive))
            gone.add_done_callback(lambda _: reader.end())
            try:
                if scope["method"] != "HEAD":
                    await self._tell(reader, send)
            except TimeoutError:
                logger.info("stream_given_up", extra={"reason": "the client takes nothing"})
                return  # without the end of the answer, so that the server closes the connection
            except VoltWayError as error:
                logger.info("stream_given_up", extra={"reason": str(error)})
            finally:
                gone.cancel()
            await send({"type": "http.response.body", "body": b""})

    async def _tell(self, reader: Reader, send: Send) -> None:
        await _send(send, _RETRY)
        async with aclosing(self._stream.events(reader, self._place)) as events:
            async for event in events:
                if reader.ended:
                    return
                await _send(send, event)


async def _send(send: Send, body: bytes) -> None:
    async with asyncio.timeout(_LONGEST_SEND_S):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
