"""What the routes ask of the application."""

from typing import Annotated, TypedDict, cast

from fastapi import Depends, Request

from app.auth import KeyRing
from app.db import Database
from app.ingest.bulk import StationWriter
from app.ingest.feeds import Feed
from app.ingest.ocpi_push import LocationStore
from app.ingest.status import StatusWriter
from app.live import Hub
from app.replica import Follower
from app.utils.background_tasks import JobQueue
from app.webhooks.sender import Sender


class Resources(TypedDict):
    """What the lifespan opened; the same for every request."""

    database: Database
    follower: Follower
    keys: KeyRing
    writer: StationWriter
    status_writer: StatusWriter
    hub: Hub
    locations: LocationStore
    sender: Sender
    jobs: JobQueue
    feeds: tuple[Feed, ...]


def _resources(request: Request) -> Resources:
    return cast("Resources", request.state._state)


def _database(request: Request) -> Database:
    return _resources(request)["database"]


def _follower(request: Request) -> Follower:
    return _resources(request)["follower"]


def _keys(request: Request) -> KeyRing:
    return _resources(request)["keys"]


def _writer(request: Request) -> StationWriter:
    return _resources(request)["writer"]


def _status_writer(request: Request) -> StatusWriter:
    return _resources(request)["status_writer"]


def _locations(request: Request) -> LocationStore:
    return _resources(request)["locations"]


def _hub(request: Request) -> Hub:
    return _resources(request)["hub"]


def _jobs(request: Request) -> JobQueue:
    return _resources(request)["jobs"]


def _feeds(request: Request) -> tuple[Feed, ...]:
    return _resources(request)["feeds"]


ResourcesDep = Annotated[Resources, Depends(_resources)]
DatabaseDep = Annotated[Database, Depends(_database)]
FollowerDep = Annotated[Follower, Depends(_follower)]
KeyRingDep = Annotated[KeyRing, Depends(_keys)]
StationWriterDep = Annotated[StationWriter, Depends(_writer)]
StatusWriterDep = Annotated[StatusWriter, Depends(_status_writer)]
LocationStoreDep = Annotated[LocationStore, Depends(_locations)]
HubDep = Annotated[Hub, Depends(_hub)]
JobsDep = Annotated[JobQueue, Depends(_jobs)]
FeedsDep = Annotated[tuple[Feed, ...], Depends(_feeds)]
