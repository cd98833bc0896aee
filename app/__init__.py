"""VoltWay: charging stations near you, sorted by distance, free right now."""

__version__ = "0.1.0"
