"""The composition root: every part of the web application is made and joined here."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from app import __version__
from app.api import errors, health
from app.api.deps import Resources
from app.api.v1 import render, stations
from app.db import Database
from app.errors import DatabaseUnavailableError
from app.middleware.head import HeadMiddleware
from app.middleware.request_id import RequestIdMiddleware
from app.replica import Follower
from app.settings import Settings
from app.stations.catalogue import Catalogue

logger = logging.getLogger(__name__)

_DESCRIPTION = "Charging stations near you, sorted by distance, free right now."
_TAGS = [
    {"name": "stations", "description": "Search, and all that is known of one station."},
    {"name": "health", "description": "For operators and load balancers."},
]


def create_app(settings: Settings) -> FastAPI:
    """An application that opens its database when it starts and closes it when it stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Resources]:
        database = Database(settings.database)
        follower = Follower(Catalogue(database), render.summary)
        try:
            await follower.catch_up()
        except DatabaseUnavailableError as error:
            logger.warning("started without a catalogue; trying again: %s", error)
        following = asyncio.create_task(follower.run(settings.replica_poll_seconds))
        try:
            yield Resources(database=database, follower=follower)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await database.close()

    app = FastAPIOffline(  # the documentation page loads nothing from elsewhere
        redoc_url=None,
        title="VoltWay",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        license_info={"name": "MIT", "identifier": "MIT"},
        lifespan=lifespan,
    )
    errors.install(app)
    app.include_router(stations.router)
    app.include_router(health.router)
    app.add_api_route("/", _to_documentation, include_in_schema=False)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(RequestIdMiddleware)
    return app


async def _to_documentation() -> RedirectResponse:
    return RedirectResponse("/docs")


app = create_app(Settings.load())
