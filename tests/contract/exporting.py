"""What the tests of exports share: a small catalogue, and an application with the routes of exports alone."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api import errors
from app.api.v1 import exports as routes
from app.db import Database
from app.middleware.head import HeadMiddleware
from app.stations import repository, runs
from app.stations.model import Connector, Evse, StationCreate
from app.stations.vocabulary import ConnectorType
from app.utils.background_tasks import JobQueue
from tests.make import FACTS, NOW, station

STRANGE = '=HYPERLINK("http://x"), "quoted"\r\nÆ'
TESLA = (Evse(uid="1", evse_id="US*1", connectors=(Connector(type=ConnectorType.NACS, power_kw=250),)),)
STATIONS = [
    station("1", title=STRANGE, country="DE", latitude=-0.5, longitude=-179.75),
    station("2", title="Plain", country="DE", operator="-1+1", price="0,49 €"),
    station("3", title="West", country="US", evses=TESLA),
]


async def fill(database: Database, *stations: StationCreate, source: str = "test") -> None:
    async with database.open_session() as session:
        if source == "test":
            await runs.register_source(session, FACTS.as_row())
        await repository.store(session, source, stations, NOW)


@contextmanager
def application(url: str, queue: JobQueue, *stations: StationCreate) -> Iterator[TestClient]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        database = Database(url)
        await fill(database, *stations)
        await database.close()
        await queue.start()
        yield {"jobs": queue}
        await queue.stop(0.1)

    app = FastAPI(lifespan=lifespan)
    errors.install(app)
    app.include_router(routes.router)
    app.add_middleware(HeadMiddleware)
    with TestClient(app) as client:
        yield client


def finished(client: TestClient, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 15
    while (status := client.get(f"/api/v1/export/status/{job_id}").json())["status"] in {"pending", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    found: dict[str, Any] = status
    return found


def exported(client: TestClient, **query: str) -> dict[str, Any]:
    """The status of an export that was asked for and has ended."""
    return finished(client, client.post("/api/v1/export/data", params=query).json()["job_id"])
