"""The read replica: the catalogue in the memory of each serving process, searched without the database."""

from app.replica.answer import Answer
from app.replica.columns import Place, place_of
from app.replica.follower import CatalogueReader, Follower, Listener
from app.replica.replica import Replica

__all__ = ["Answer", "CatalogueReader", "Follower", "Listener", "Place", "Replica", "place_of"]
