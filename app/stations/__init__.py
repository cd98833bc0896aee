"""Stations: what they are, and everything that is written or read about them."""

from app.stations.model import StationCreate
from app.stations.tables import Station

__all__ = ["Station", "StationCreate"]
