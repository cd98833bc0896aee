"""One station in full, kept in memory and in Redis for as long as nothing changes in it.

The version that stands in the key is made of all that the answer shows (`Replica.version_of`). So a kept answer is
found no longer as soon as this process has heard of a change, and need not be dropped: it leaves when it is old.
"""

from datetime import UTC, datetime

from app.api.v1 import render
from app.stations.catalogue import Catalogue
from app.utils.caching import memory_cache, redis_cache

MAX_ENTRIES = 10_000


async def read_detail(catalogue: Catalogue, station_id: int) -> bytes | None:
    """The station's JSON as of now; `None`: there is no such station. Raises DatabaseUnavailableError."""
    found = await catalogue.get_many([station_id], datetime.now(UTC))
    return render.detail(found[0]) if found else None


@memory_cache(max_entries=MAX_ENTRIES, ignore=["catalogue"])
@redis_cache(ignore=["catalogue"])
async def detail_of_version(catalogue: Catalogue, station_id: int, version: int) -> bytes | None:
    """`read_detail`, kept for those who ask for the same version."""
    return await read_detail(catalogue, station_id)
