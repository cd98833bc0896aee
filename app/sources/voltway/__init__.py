"""Another VoltWay's catalogue: the files of `voltway export ndjson` and `geojson`."""

from app.sources.voltway.adapter import FACTS, parse

__all__ = ["FACTS", "parse"]
