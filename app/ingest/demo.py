"""Putting the demo network into a database, and taking it out again."""

from datetime import UTC, datetime
from itertools import islice

from app.db import Database
from app.sources.demo import FACTS, DemoStation, network
from app.stations import live, repository, runs
from app.stations.live import Observation

_BATCH = 500


async def load_demo(database: Database) -> int:
    """Store the network with its states and return how many stations it has; doing it again changes nothing."""
    now = datetime.now(UTC)
    stations = network()
    stored = 0
    while batch := list(islice(stations, _BATCH)):
        async with database.open_session() as session:
            await runs.register_source(session, FACTS.as_row())
            written = await repository.store(session, FACTS.name, [demo.station for demo in batch], now)
            changed = [batch[index] for index in (*written.new, *written.updated)]
            ids = await repository.ids_of(session, FACTS.name, [demo.station.external_id for demo in changed])
            observations = [each for demo in changed for each in _observations(demo, ids, now)]
            await live.observe(session, FACTS.name, observations, now)
        stored += len(batch)
    return stored


async def remove_demo(database: Database) -> int:
    """Delete the network for good; return how many stations it had."""
    async with database.open_session() as session:
        return await repository.erase_source(session, FACTS.name)


def _observations(demo: DemoStation, ids: dict[str, int], now: datetime) -> list[Observation]:
    station_id = ids[demo.station.external_id]
    return [
        Observation(station_id, evse.uid, status, now)
        for evse, status in zip(demo.station.evses, demo.statuses, strict=True)
    ]
