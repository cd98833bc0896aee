"""Open Charge Map: sites from its API, version 3, or from exports in the same form."""

from app.sources.ocm.adapter import FACTS, parse

__all__ = ["FACTS", "parse"]
