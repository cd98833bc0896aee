"""States of French charge points."""

import gzip
from collections import Counter
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from app.errors import SourceFormatError
from app.sources.irve.live import parse
from app.sources.records import Observed, Outcome, Rejection
from app.stations.vocabulary import EvseStatus

HEADER = "id_pdc_itinerance,etat_pdc,occupation_pdc,horodatage,etat_prise_type_2\n"


def read(*rows: str, header: str = HEADER) -> list[Outcome]:
    return list(parse(BytesIO((header + "\n".join(rows)).encode())))


def one(row: str) -> Observed:
    (found,) = read(row)
    assert isinstance(found, Observed)
    return found


@pytest.mark.parametrize(
    ("service", "occupation", "status"),
    [
        ("en_service", "libre", EvseStatus.AVAILABLE),
        ("en_service", "occupe", EvseStatus.CHARGING),
        ("en_service", "occupé", EvseStatus.CHARGING),
        ("en_service", "reserve", EvseStatus.RESERVED),
        ("en_service", "inconnu", EvseStatus.UNKNOWN),
        ("hors_service", "libre", EvseStatus.OUTOFORDER),
        ("hors_service", "inconnu", EvseStatus.OUTOFORDER),
        ("inconnu", "libre", EvseStatus.UNKNOWN),
        ("inconnu", "occupe", EvseStatus.CHARGING),
        ("inconnu", "inconnu", EvseStatus.UNKNOWN),
    ],
)
def test_states(service: str, occupation: str, status: EvseStatus) -> None:
    assert one(f"FR*S37*E1,{service},{occupation},2026-08-18T05:00:00Z,").status is status


@pytest.mark.parametrize(
    "written",
    [
        "2026-08-18T07:49:15+02:00",
        "2026-08-18 07:49:15+02:00",
        "2026-08-18T05:49:15Z",
        "2026-08-18 05:49:15.000000+00:00",
        "2026-08-18 05:49:15",
    ],
)
def test_spellings_of_a_time(written: str) -> None:
    found = one(f"FRS37E1,en_service,libre,{written},")
    assert found.observed_at == datetime(2026, 8, 18, 5, 49, 15, tzinfo=UTC)
    assert found.notes == (("horodatage without a zone, read as UTC",) if written.endswith("05:49:15") else ())


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (",en_service,libre,2026-08-18T05:00:00Z,", "id_pdc_itinerance", "missing"),
        (f"{'F' * 201},en_service,libre,2026-08-18T05:00:00Z,", "id_pdc_itinerance", "missing"),
        ("FRS37E1,en panne,libre,2026-08-18T05:00:00Z,", "etat_pdc", "value_not_allowed"),
        ("FRS37E1,en_service,,2026-08-18T05:00:00Z,", "occupation_pdc", "value_not_allowed"),
        ("FRS37E1,en_service,libre,hier,", "horodatage", "time_unreadable"),
        ("FRS37E1,en_service,libre,,", "horodatage", "missing"),
        ("FRS37E1,en_service,libre,0001-01-01T00:00:00Z,", "horodatage", "time_unlikely"),
        ("FRS37E1,en_service", "row", "cells"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_alone(row: str, field: str, reason: str) -> None:
    bad, good = read(row, "FRS37E2,en_service,libre,2026-08-18T05:00:00Z,")
    assert isinstance(bad, Rejection)
    assert isinstance(good, Observed)
    if field != "row":
        assert (bad.field, bad.reason) == (field, reason)
    assert (bad.position.line, good.position.line) == (2, 3)


def test_another_table_is_refused() -> None:
    with pytest.raises(SourceFormatError, match="header"):
        read("1,2", header="id,title\n")


def test_the_schemas_own_example(real_data: Path) -> None:
    with (real_data / "irve" / "example-dynamic.csv").open("rb") as file:
        found = list(parse(file))
    assert found
    assert all(isinstance(each, Observed) for each in found)


def test_the_national_file(real_data: Path) -> None:
    with gzip.open(real_data / "irve" / "dynamic-snapshot-2026-08-18.csv.gz") as file:
        found = list(parse(cast("BinaryIO", file)))
    assert len(found) == 114_774
    observed = [each for each in found if isinstance(each, Observed)]
    assert len(observed) == 114_774
    assert Counter(note for each in observed for note in each.notes).total() == 33_606
    assert Counter(each.status.value for each in observed) == {
        "AVAILABLE": 92_250, "CHARGING": 7_537, "OUTOFORDER": 10_017, "RESERVED": 9, "UNKNOWN": 4_961,
    }  # fmt: skip
