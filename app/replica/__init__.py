"""The read replica: the catalogue in the memory of each serving process, searched without the database."""

from app.replica.answer import Answer
from app.replica.follower import CatalogueReader, Follower, Listener
from app.replica.replica import Replica
from app.replica.snapshot import Snapshots
from app.replica.traits import Place, place_of

__all__ = ["Answer", "CatalogueReader", "Follower", "Listener", "Place", "Replica", "Snapshots", "place_of"]
