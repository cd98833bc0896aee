"""Draw what the dashboards' queries answer, to docs/images/dashboards.svg.

Starts the service with load and a Prometheus that reads it, so `prometheus` must be installed:
python -m tools.dashboard_queries [--seconds N]
"""

import argparse
import io
import math
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.acceptance.prometheus import Prometheus
from tests.acceptance.watched import PanelQuery, panel_queries, watched_service
from tests.conftest import ROOT

PICTURE = ROOT / "docs" / "images" / "dashboards.svg"
_WIDTH = 150
_POINTS = 24
_BARS = "▁▂▃▄▅▆▇█"
_UNITS = {"none": "", "short": "", "percentunit": "", "reqps": "/s", "ops": "/s"}


def draw(server: Prometheus, seconds: float) -> str:
    """A table for each dashboard, as SVG: panel, query, number of series, last value, and the course of `seconds`."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO())
    for board, queries in groupby(panel_queries(), key=attrgetter("board")):
        console.print(_table(board, queries, server, seconds))
    return console.export_svg(title="What a real Prometheus answers to the dashboards")


def _table(board: str, queries: Iterable[PanelQuery], server: Prometheus, seconds: float) -> Table:
    table = Table(title=board, expand=True)
    table.add_column("panel", no_wrap=True)
    table.add_column("query", no_wrap=True, ratio=1, style="dim")
    table.add_column("series", justify="right")
    table.add_column("last value", justify="right", no_wrap=True)
    table.add_column("course", no_wrap=True, min_width=_POINTS)
    for query in queries:
        courses = _courses(server, query.expression, seconds)
        course = courses[0] if courses else []
        last = f"{course[-1]:,.4g} {_UNITS.get(query.unit, query.unit)}".rstrip() if course else "none"
        table.add_row(query.panel, query.expression, str(len(courses)), last, sparkline(course))
    return table


def _courses(server: Prometheus, expression: str, seconds: float) -> list[list[float]]:
    """The numbers of each series that has any, oldest first; the one with the greatest last number first."""
    now = time.time()
    result: list[dict[str, Any]] = server.get(
        "/api/v1/query_range",
        query=expression,
        start=str(now - seconds),
        end=str(now),
        step=str(seconds / (_POINTS - 1)),
    )["result"]
    courses = [[number for _, text in series["values"] if math.isfinite(number := float(text))] for series in result]
    return sorted(filter(None, courses), key=lambda course: course[-1], reverse=True)


def sparkline(course: Sequence[float]) -> str:
    """A bar for each number, from the least to the greatest of them."""
    if not course:
        return ""
    least, span = min(course), max(course) - min(course)
    return "".join(_BARS[round((number - least) / span * (len(_BARS) - 1)) if span else 0] for number in course)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="how long to watch (default: 40)")
    seconds = parser.parse_args().seconds
    with TemporaryDirectory() as folder, watched_service(Path(folder)) as server:
        time.sleep(seconds)
        PICTURE.write_text(draw(server, seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
