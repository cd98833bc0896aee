"""Ladesäulenregister of the Bundesnetzagentur: every notified public charging device in Germany, as CSV."""

from app.sources.bnetza.adapter import FACTS, parse

__all__ = ["FACTS", "parse"]
