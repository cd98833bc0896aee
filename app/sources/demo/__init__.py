"""The demo network: made-up stations in real cities, so that a new installation has something to show."""

from app.sources.demo.network import FACTS, DemoStation, network

__all__ = ["FACTS", "DemoStation", "network"]
