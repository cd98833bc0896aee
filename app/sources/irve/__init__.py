"""Charge points of France, as the national schema "IRVE statique" describes them."""

from app.sources.irve.adapter import FACTS, parse

__all__ = ["FACTS", "parse"]
