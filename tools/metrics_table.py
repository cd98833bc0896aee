"""Print the table of docs/operations/metrics.md from the declarations.

python -m tools.metrics_table
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Gauge
from prometheus_client.metrics import MetricWrapperBase

from app.utils import metrics

_JOINS = {
    "livesum": "sum",
    "livemax": "highest",
    "livemin": "lowest",
    "livemostrecent": "newest",
    "mostrecent": "newest",
}
_UNITS = {"timestamp_seconds": "Unix time, s", "seconds": "s", "bytes": "bytes"}
"""By the end of a name; a longer end comes first."""


@dataclass(frozen=True)
class Row:
    """One metric as Prometheus sees it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    unit: str
    join: str
    meaning: str

    def __str__(self) -> str:
        labels = ", ".join(f"`{label}`" for label in self.labels)
        return f"| `{self.name}` | {self.kind} | {labels} | {self.unit} | {self.join} | {self.meaning} |"


def rows() -> list[Row]:
    """Every metric, in the order of its declaration."""
    return [_row(metric) for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]


def table() -> str:
    """All rows as Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "| name | type | labels | unit | of several processes | meaning |"
    yield "|---|---|---|---|---|---|"
    yield from map(str, rows())


def _row(metric: MetricWrapperBase) -> Row:
    (described,) = metric.describe()
    name = described.name + ("_total" if described.type == "counter" else "")
    unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), "number")
    join = _JOINS[metric._multiprocess_mode] if isinstance(metric, Gauge) else "sum"
    return Row(name, described.type, metric._labelnames, unit, join, described.documentation)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
