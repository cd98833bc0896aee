"""Who watches stations, and what each of them is to be told."""

from app.live.hub import Hub, Reader, Told
from app.live.past import TooFarBackError, ids_seen, missed, present
from app.live.watch import Watch

__all__ = ["Hub", "Reader", "Told", "TooFarBackError", "Watch", "ids_seen", "missed", "present"]
