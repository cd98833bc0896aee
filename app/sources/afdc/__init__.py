"""Alternative fuel stations of the United States and Canada, as the Alternative Fuels Data Center publishes them."""

from app.sources.afdc.adapter import FACTS, parse

__all__ = ["FACTS", "parse"]
