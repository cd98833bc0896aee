"""The read replica: the catalogue in the memory of each serving process, searched without the database."""

from app.replica.answer import Answer
from app.replica.follower import CatalogueReader, Follower
from app.replica.replica import Replica

__all__ = ["Answer", "CatalogueReader", "Follower", "Replica"]
