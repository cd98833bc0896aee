"""DATEX II: recharging infrastructure and its status as the national access points of Europe publish them."""

from app.sources.datex2.adapter import FACTS, parse

__all__ = ["FACTS", "parse"]
