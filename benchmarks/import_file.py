"""One import, as `voltway import` does it, without its progress bar.

Run as a program (`DATABASE_URL SOURCE FILE`) it prints how many stations were stored and how much memory it took.
"""

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path

from app.db import Database
from app.ingest.report import Report
from app.ingest.run import ImportOptions, run_import
from app.sources.registry import find_source


def import_file(database_url: str, source: str, path: Path) -> Report:
    return asyncio.run(_import_file(database_url, source, path))


async def _import_file(database_url: str, source: str, path: Path) -> Report:
    database = Database(database_url)
    with tempfile.TemporaryDirectory(prefix="voltway-benchmark-") as data_dir:
        try:
            return await run_import(database, find_source(source), str(path), ImportOptions(Path(data_dir)))
        finally:
            await database.close()


def peak_mib() -> float:
    """Largest resident memory of this program (Linux, proc(5)). The figure of getrusage(2) would do on any Unix, but
    it includes what the process was before it began to run this program: a copy of the one that started it."""
    high_water = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert high_water
    return int(high_water[1]) / 1024


if __name__ == "__main__":
    report = import_file(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    print(json.dumps({"stations": report.stations.new, "peak_mib": peak_mib()}))
