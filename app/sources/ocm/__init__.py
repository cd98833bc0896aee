"""Open Charge Map: sites from its API, version 3, or from exports in the same form."""

from app.sources.ocm.adapter import FACTS, parse
from app.sources.ocm.client import download_pages as download

__all__ = ["FACTS", "download", "parse"]
