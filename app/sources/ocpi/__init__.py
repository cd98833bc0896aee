"""OCPI: the locations of a charge point operator or roaming hub, with the live status of their EVSEs."""

from app.sources.ocpi.adapter import FACTS, parse

__all__ = ["FACTS", "parse"]
