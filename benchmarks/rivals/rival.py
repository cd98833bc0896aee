"""What is compared with the search engine."""

from collections.abc import Callable
from dataclasses import dataclass

from app.stations.query import StationQuery

Ask = Callable[[StationQuery], list[int]]
"""Ids of the stations, nearest first."""


def _always(_: StationQuery) -> bool:
    return True


@dataclass(frozen=True)
class Rival:
    """Another engine with the same stations."""

    name: str
    ask: Ask
    tolerance_m: float
    """How far a distance of its answer may be from ours by its rounding."""
    can: Callable[[StationQuery], bool] = _always
    """Whether it can answer the query at all."""
