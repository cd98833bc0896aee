"""What the routes ask of the application."""

from typing import Annotated, TypedDict, cast

from fastapi import Depends, Request

from app.db import Database
from app.replica import Follower


class Resources(TypedDict):
    """What the lifespan opened; the same for every request."""

    database: Database
    follower: Follower


def _resources(request: Request) -> Resources:
    return cast("Resources", request.state._state)


def _database(request: Request) -> Database:
    return _resources(request)["database"]


def _follower(request: Request) -> Follower:
    return _resources(request)["follower"]


DatabaseDep = Annotated[Database, Depends(_database)]
FollowerDep = Annotated[Follower, Depends(_follower)]
