"""Changes of a filled catalogue, as many a second as asked for. Run as a program: `DATABASE_URL KIND RATE STATIONS`.

KIND `states`: an EVSE is in another state; `stations`: the record of a station is another. Every second it prints how
many it has made in all; it ends when its standard input does.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.sources.demo import FACTS
from app.stations import Station, live
from app.stations.live import Observation
from app.stations.vocabulary import EvseStatus

_TICK_S = 0.1
_STATES = (EvseStatus.AVAILABLE, EvseStatus.CHARGING, EvseStatus.BLOCKED, EvseStatus.OUTOFORDER)

Write = Callable[[AsyncSession, list[int]], Awaitable[None]]


async def write_states(session: AsyncSession, stations: list[int]) -> None:
    """Of the first EVSE of each."""
    now = datetime.now(UTC)
    seen = [Observation(each, "1", random.choice(_STATES), now) for each in stations]  # noqa: S311 - not for secrets
    await live.observe(session, FACTS.name, seen, now)


async def write_stations(session: AsyncSession, stations: list[int]) -> None:
    """Each with another price."""
    price = f"{random.random():.2f} EUR/kWh"  # noqa: S311 - not for secrets
    await session.execute(update(Station).where(Station.id.in_(stations)).values(price=price))


WRITE: dict[str, Write] = {"states": write_states, "stations": write_stations}


async def run(database_url: str, write: Write, rate: float, stations: int) -> None:
    database = Database(database_url)
    began, made = time.monotonic(), 0
    stop = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not stop.done():
        due = round((time.monotonic() - began) * rate) - made
        some = random.sample(range(1, stations + 1), min(due, stations, 2_000))
        if some:
            async with database.open_session() as session:
                await write(session, some)
        before, made = made, made + len(some)
        if made // rate != before // rate:
            print(made, flush=True)
        if len(some) == due:
            await asyncio.sleep(_TICK_S)
    print(made, time.monotonic() - began, flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], WRITE[sys.argv[2]], float(sys.argv[3]), int(sys.argv[4])))
