"""The columns of "IRVE statique" that are used, and the words in their cells.

Schema etalab/schema-irve-statique, version 2.3.0 (https://schema.data.gouv.fr/etalab/schema-irve-statique/2.3.0/).
Every row is a charge point and repeats what concerns its station.
"""

from collections.abc import Mapping
from itertools import repeat
from typing import NamedTuple


class Site(NamedTuple):
    """Cells about the station; the empty string where the file has no such column."""

    nom_amenageur: str
    nom_operateur: str
    nom_enseigne: str
    id_station_itinerance: str
    id_station_local: str
    nom_station: str
    implantation_station: str
    adresse_station: str
    coordonneesXY: str  # noqa: N815 - the schema's spelling
    tarification: str
    gratuit: str
    condition_acces: str
    horaires: str
    # Not in the schema; added by the publisher of the national file of data.gouv.fr.
    consolidated_longitude: str
    consolidated_latitude: str
    consolidated_code_postal: str
    consolidated_commune: str


class PointId(NamedTuple):
    """Cells that name the charge point."""

    id_pdc_itinerance: str
    id_pdc_local: str


class Supply(NamedTuple):
    """Cells about what the charge point delivers, and through which plugs."""

    puissance_nominale: str
    prise_type_ef: str
    prise_type_2: str
    prise_type_combo_ccs: str
    prise_type_chademo: str
    prise_type_autre: str
    cable_t2_attache: str


REQUIRED_COLUMNS = {"id_station_itinerance", "nom_station", "id_pdc_itinerance", "puissance_nominale"}


def split_row(row: Mapping[str, str]) -> tuple[Site, PointId, Supply]:
    return (
        Site._make(map(row.get, Site._fields, repeat(""))),
        PointId._make(map(row.get, PointId._fields, repeat(""))),
        Supply._make(map(row.get, Supply._fields, repeat(""))),
    )


_BOOLEANS = dict.fromkeys(["true", "1", "1.0", "oui", "vrai", "yes"], True)
_BOOLEANS |= dict.fromkeys(["false", "0", "0.0", "non", "faux", "no"], False)


def boolean(column: str, cell: str, notes: list[str]) -> bool | None:
    """`true` and `false` by the schema, the words of spreadsheets and of the French by custom; `None`: not stated."""
    if not cell:
        return None
    value = _BOOLEANS.get(cell.casefold())
    if value is None:
        notes.append(f"{column} is no boolean, read as not stated")
    return value


def stated_id(cell: str | None) -> str | None:
    """An itinerance id, unless it is the schema's words for having none, `Non concerné`."""
    return None if cell and cell.casefold().startswith("non concern") else cell
