"""The read replica: the catalogue in the memory of each serving process, searched without the database."""

from app.replica.follower import CatalogueReader, Follower
from app.replica.replica import Answer, Replica

__all__ = ["Answer", "CatalogueReader", "Follower", "Replica"]
