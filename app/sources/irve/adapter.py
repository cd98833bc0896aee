"""France's charge points ("IRVE statique", version 2): one record is one charge point, one row of the file.

The rows of a station may be anywhere in the file, so they are grouped on disk first, then made into one station. A
row that cannot be used is rejected alone; where the others contradict each other on the station, the first is right.
EVSEs are ordered by uid, so that a file with the same rows in another order gives equal stations.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, BinaryIO

from pydantic import ValidationError

from app.sources.grouping import Grouping
from app.sources.irve.columns import REQUIRED_COLUMNS, PointId, Site, Supply, split_row, stated_id
from app.sources.irve.plugs import connectors_of
from app.sources.irve.site import external_id, fields
from app.sources.records import (
    BadField,
    Outcome,
    Parsed,
    Position,
    Rejection,
    Skip,
    SkipRecord,
    SourceFacts,
    rejection,
)
from app.sources.tabular import read_table
from app.sources.values import text
from app.stations.model import Evse, StationCreate

FACTS = SourceFacts(
    name="irve",
    title="Base nationale des IRVE (infrastructures de recharge pour véhicules électriques)",
    homepage="https://transport.data.gouv.fr/datasets/base-nationale-des-irve-infrastructures-de-recharge-pour-vehicules-electriques",
    licence="etalab-2.0",
    licence_url="https://www.etalab.gouv.fr/licence-ouverte-open-licence/",
    attribution="Base nationale des IRVE, transport.data.gouv.fr",
    cadence=timedelta(days=1),
    record_noun="charge points",
)

MAX_EVSES = 2_000
"""Of one station, as in StationCreate; later rows are rejected."""


def parse(file: BinaryIO) -> Iterator[Outcome]:
    """Read a whole file; the stations come after the last row has been read, in order of their first rows."""
    with Grouping() as stations:
        for item in read_table(file, delimiters=",;", is_header=_is_header):
            if isinstance(item, Rejection):
                yield item
                continue
            position, row = item
            site, point_id, supply = split_row(row)
            try:
                stations.add(
                    external_id(site), (position.record, position.line, tuple(site), tuple(point_id), tuple(supply))
                )
            except BadField as fault:
                yield rejection(position, fault, None)
        for station_id, rows in stations.groups():
            yield from _station(station_id, rows)


def _is_header(names: Sequence[str]) -> bool:
    return REQUIRED_COLUMNS.issubset(names)


def _station(station_id: str, rows: Iterable[Any]) -> Iterator[Outcome]:
    """Yield what became of the rows of one station: those not used one by one, and the station of the others."""
    station = _Station(station_id)
    for record, line, site, point_id, supply in rows:
        position = Position(record, line)
        try:
            station.add(position, Site._make(site), PointId._make(point_id), Supply._make(supply))
        except SkipRecord as skip:
            yield Skip(position, skip.reason)
        except (BadField, ValidationError) as fault:
            yield rejection(position, fault, station_id)
    if station.position:
        yield station.outcome(station.position)


@dataclass(slots=True)
class _Station:
    """A station while its rows are read."""

    id: str
    position: Position | None = None
    """Of the first row that could be used."""
    site: Site | None = None
    """The cells that `fields` was made of."""
    fields: dict[str, Any] = field(default_factory=dict)
    evses: dict[str, Evse] = field(default_factory=dict)
    """By uid."""
    notes: list[str] = field(default_factory=list)

    def add(self, position: Position, site: Site, point_id: PointId, supply: Supply) -> None:
        """Take in one row, or raise and leave everything as it was."""
        notes: list[str] = []
        site_fields = self.fields if site == self.site else fields(site, notes)
        evse = self._evse(point_id, supply, notes)
        if evse.uid in self.evses or len(self.evses) >= MAX_EVSES:
            raise self._no_place_for(evse)
        if self.position is None:
            self.position, self.site, self.fields = position, site, site_fields
        if site_fields is not self.fields:
            notes += self._contradictions(site_fields)
        self.evses[evse.uid] = evse
        self.notes += notes

    def _evse(self, point_id: PointId, supply: Supply, notes: list[str]) -> Evse:
        """Its uid is the itinerance id, else the local id, else its number among the station's rows in the file."""
        evse_id = stated_id(text(point_id.id_pdc_itinerance, 200))
        uid = evse_id or text(point_id.id_pdc_local, 200) or f"pdc-{len(self.evses) + 1}"
        connectors, remarks = connectors_of(supply)
        notes += remarks
        return Evse(uid=uid, evse_id=evse_id, connectors=connectors)

    def _contradictions(self, later: dict[str, Any]) -> list[str]:
        names = (name for name, value in self.fields.items() if later[name] != value)
        return [f"rows disagree on {name}, the first holds" for name in names]

    def _no_place_for(self, evse: Evse) -> BadField | SkipRecord:
        if self.evses.get(evse.uid) == evse:
            return SkipRecord("charge point repeated without a difference")
        column = "id_pdc_itinerance" if evse.evse_id else "id_pdc_local"
        if evse.uid in self.evses:
            why = "An earlier row describes the same charge point of the station otherwise."
            return BadField(column, evse.uid, "charge_point_repeated", why, "Keep one row for each charge point.")
        why = f"The station has over {MAX_EVSES} charge points: its id seems to be that of several stations."
        return BadField("id_station_itinerance", self.id, "too_many_charge_points", why)

    def outcome(self, position: Position) -> Outcome:
        """Return the station that all rows taken in make, or why they make none."""
        try:
            station = StationCreate(
                source=FACTS.name,
                external_id=self.id,
                country="FR",
                evses=tuple(evse for _, evse in sorted(self.evses.items())),
                **self.fields,
            )
        except ValidationError as fault:
            return replace(rejection(position, fault, self.id), records=len(self.evses))
        return Parsed(station, position, records=len(self.evses), notes=tuple(self.notes))
