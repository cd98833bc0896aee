"""States of France's charge points ("IRVE dynamique"): one record is one charge point seen in one state.

Schema etalab/schema-irve-dynamique, version 2.3.1 (https://schema.data.gouv.fr/etalab/schema-irve-dynamique/).
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import BinaryIO

from app.sources.irve.adapter import FACTS as STATIONS
from app.sources.records import BadField, Observed, Outcome, Position, SourceFacts, outcomes_of
from app.sources.tabular import Row, read_table
from app.sources.times import instant
from app.stations.vocabulary import EvseStatus

FACTS = SourceFacts(
    name="irve-live",
    title="États des points de recharge (IRVE dynamique), fichier national",
    homepage="https://transport.data.gouv.fr/datasets/base-nationale-des-irve-infrastructures-de-recharge-pour-vehicules-electriques",
    licence=STATIONS.licence,
    licence_url=STATIONS.licence_url,
    attribution=STATIONS.attribution,
    cadence=timedelta(minutes=10),
    record_noun="states",
    status_ttl=timedelta(hours=24),
)
"""The time to live: some operators tell a state only when it changes, others stopped telling any years ago."""

_COLUMNS = frozenset({"id_pdc_itinerance", "etat_pdc", "occupation_pdc", "horodatage"})
_OCCUPATION = {
    "libre": EvseStatus.AVAILABLE,
    "occupe": EvseStatus.CHARGING,
    "reserve": EvseStatus.RESERVED,
    "inconnu": EvseStatus.UNKNOWN,
}
"""Of a charge point in service."""


def parse(file: BinaryIO) -> Iterator[Outcome]:
    """Read a whole file: the national one, an operator's, or one of changes."""
    return outcomes_of(read_table(file, delimiters=",;", is_header=_is_header), _observed, lambda _: None)


def _observed(row: Row, position: Position, notes: list[str]) -> Observed:
    """The schema asks for a time with a zone; a third of the national file has none."""
    observed_at = instant("horodatage", row["horodatage"], notes)
    if observed_at is None:
        raise BadField("horodatage", "", "missing", "The row does not tell when the charge point was seen so.")
    return Observed(_evse_id(row), _status(row), observed_at, position, notes=tuple(notes))


def _is_header(cells: Sequence[str]) -> bool:
    return set(cells) >= _COLUMNS


def _evse_id(row: Row) -> str:
    evse_id = row["id_pdc_itinerance"]
    if not 0 < len(evse_id) <= 200:
        raise BadField("id_pdc_itinerance", evse_id, "missing", "The row does not tell which charge point it is of.")
    return evse_id


def _status(row: Row) -> EvseStatus:
    """A charge point that is out of service is so however occupied; one of unknown service is no promise, even where
    it is said to be free."""
    service, occupation = _word(row["etat_pdc"]), _word(row["occupation_pdc"])
    if service not in {"en_service", "hors_service", "inconnu"}:
        raise BadField("etat_pdc", row["etat_pdc"], "value_not_allowed", "This is no word of the schema.", _WORDS)
    if occupation not in _OCCUPATION:
        raise BadField(
            "occupation_pdc", row["occupation_pdc"], "value_not_allowed", "This is no word of the schema.", _WORDS
        )
    if service == "hors_service":
        return EvseStatus.OUTOFORDER
    status = _OCCUPATION[occupation]
    return EvseStatus.UNKNOWN if service == "inconnu" and status is EvseStatus.AVAILABLE else status


_WORDS = "Write en_service, hors_service or inconnu; and libre, occupe, reserve or inconnu."


def _word(cell: str) -> str:
    return cell.casefold().replace("é", "e").replace(" ", "_")
