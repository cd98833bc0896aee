"""Which stations somebody watches."""

from dataclasses import dataclass

from app.replica import Place
from app.replica.traits import TYPE_CODE
from app.stations.query import Box
from app.stations.vocabulary import ConnectorType


@dataclass(frozen=True, slots=True)
class Watch:
    """What holds for a station that is watched; all of it must. Nothing given: every station."""

    ids: frozenset[int] | None = None
    box: Box | None = None
    connectors: tuple[ConnectorType, ...] = ()
    """It has one of these."""

    @property
    def types(self) -> int:
        """As the replica keeps them: see `Place`. 0: whatever it has."""
        return sum({1 << TYPE_CODE[kind] for kind in self.connectors})

    @property
    def boxes(self) -> list[Box]:
        """That none of them crosses the antimeridian; together they hold the watched places."""
        return (self.box or Box(-180.0, -90.0, 180.0, 90.0)).parts()

    def sees(self, station_id: int, place: Place | None) -> bool:
        """Whether it watches the station that is there; `None`: there is none any more."""
        return (
            place is not None
            and (self.ids is None or station_id in self.ids)
            and (not self.types or place.types & self.types != 0)
            and any(
                box.west <= place.longitude <= box.east and box.south <= place.latitude <= box.north
                for box in self.boxes
            )
        )
