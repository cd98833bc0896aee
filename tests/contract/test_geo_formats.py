"""GeoParquet and GeoJSON as others read them, compared with the database station by station."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import geopandas  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from geojson_pydantic import FeatureCollection

from app.db import Database
from app.exports import export_large_dataset, geoparquet
from app.stations import live, repository
from app.stations.live import Observation
from app.stations.model import Connector, Evse, StationCreate, StoredStation
from app.stations.vocabulary import ConnectorFormat, ConnectorType, EvseStatus, PowerType
from tests.contract.exporting import STATIONS, fill
from tests.make import station

NOW = datetime.now(UTC).replace(microsecond=123_456)
FULL = Connector(
    type=ConnectorType.CCS2,
    power_kw=150.5,
    format=ConnectorFormat.CABLE,
    current=PowerType.DC,
    voltage_v=400,
    amperage_a=375,
)
EVSES = (
    Evse(uid="1", evse_id="DE*X*1", connectors=(FULL, Connector(type=ConnectorType.OTHER))),
    Evse(uid="2", status=EvseStatus.PLANNED),
)
CATALOGUE = [*STATIONS, station("4", evses=EVSES, city="Köln", latitude=-90, longitude=180), station("5", evses=())]


@pytest.fixture
async def catalogue(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> list[StoredStation]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    await fill(database, *CATALOGUE)
    async with database.open_session() as session:
        ids = await repository.ids_of(session, "test", ["4"])
        observed = [
            Observation(ids["4"], "1", EvseStatus.CHARGING, NOW),
            Observation(ids["4"], "2", EvseStatus.AVAILABLE, NOW - timedelta(days=400)),
        ]
        await live.observe(session, "test", observed, NOW)
        return [each async for page in repository.all_stations(session, NOW) for each in page]


@pytest.fixture
async def parquet(catalogue: list[StoredStation], tmp_path: Path) -> Path:
    assert catalogue
    return tmp_path / "data" / "exports" / str((await export_large_dataset(format="geoparquet"))["file"])


def evse_document(evse: Any) -> dict[str, Any]:
    names = list(geoparquet.SCHEMA.field("evses").type.value_type)
    found = {field.name: getattr(evse, field.name) for field in names}
    connector = [
        field.name for field in geoparquet.SCHEMA.field("evses").type.value_type["connectors"].type.value_type
    ]
    return found | {"connectors": [{name: each.get(name) for name in connector} for each in evse.connectors]}


def test_duckdb_reads_every_station_as_the_database_has_it(parquet: Path, catalogue: list[StoredStation]) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        read = connection.sql(f"SELECT * EXCLUDE (geometry, bbox, status) FROM read_parquet('{parquet}') ORDER BY id")
        rows = read.to_arrow_table().to_pylist()
    assert len(rows) == len(catalogue) == 5
    for row, stored in zip(rows, catalogue, strict=True):
        expected = {name: getattr(stored, name) for name in row if name != "evses"}
        assert {name: value for name, value in row.items() if name != "evses"} == expected
        assert row["evses"] == [evse_document(evse) for evse in stored.evses]


def test_duckdb_queries_the_nested_columns(parquet: Path) -> None:
    query = f"""
        SELECT external_id, evse.status, evse.stated_status, connector.power_kw
        FROM (SELECT external_id, unnest(evses) AS evse FROM read_parquet('{parquet}')),
             unnest(evse.connectors) AS each(connector)
        WHERE connector.power_kw > 100 ORDER BY ALL
    """
    with duckdb.connect() as connection:
        assert connection.sql(query).fetchall() == [("3", "UNKNOWN", None, 250.0), ("4", "CHARGING", None, 150.5)]


def test_geopandas_knows_where_the_stations_are(parquet: Path, catalogue: list[StoredStation]) -> None:
    frame = geopandas.read_parquet(parquet)
    assert frame.crs == "OGC:CRS84"
    places = [(point.x, point.y) for point in frame.geometry]
    assert places == [(each.longitude, each.latitude) for each in catalogue]
    west = geopandas.read_parquet(parquet, bbox=(-180, -1, -179, 0))  # by the covering column
    assert list(west["external_id"]) == ["1"]


def test_the_metadata_is_that_of_geoparquet(parquet: Path, catalogue: list[StoredStation]) -> None:
    geo = json.loads(pq.read_metadata(parquet).metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Point"])
    assert "crs" not in column
    assert column["bbox"] == [-179.75, -90.0, 180.0, 52.5]
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    for box, stored in zip(pq.read_table(parquet)["bbox"].to_pylist(), catalogue, strict=True):
        assert box["xmin"] <= stored.longitude <= box["xmax"]
        assert box["ymin"] <= stored.latitude <= box["ymax"]
        assert box["xmax"] - box["xmin"] < 1e-4


async def test_row_groups_are_of_bounded_size(
    catalogue: list[StoredStation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "PAGE", 1)
    monkeypatch.setattr(geoparquet, "ROW_GROUP", 2)
    result = await export_large_dataset(format="geoparquet")
    read = pq.read_metadata(tmp_path / "data" / "exports" / result["file"])
    assert [read.row_group(number).num_rows for number in range(read.num_row_groups)] == [2, 2, 1]
    assert result["rows"] == read.num_rows == len(catalogue)


@pytest.mark.usefixtures("catalogue")
async def test_a_file_without_stations_can_be_read(tmp_path: Path) -> None:
    result = await export_large_dataset(format="geoparquet", country="FR")
    assert geopandas.read_parquet(tmp_path / "data" / "exports" / result["file"]).empty


async def test_geojson_is_valid(catalogue: list[StoredStation], tmp_path: Path) -> None:
    result = await export_large_dataset(format="geojson")
    read: Any = FeatureCollection.model_validate_json((tmp_path / "data" / "exports" / result["file"]).read_bytes())
    places = [tuple(feature.geometry.coordinates) for feature in read.features if feature.geometry]
    assert places == [(each.longitude, each.latitude) for each in catalogue]


@pytest.mark.parametrize("stations", [[], [station(evses=())]], ids=["none", "one without EVSE"])
async def test_the_odd_catalogues_are_written_too(
    stations: list[StationCreate], sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    database = Database(sqlite_url)
    await fill(database, *stations)
    await database.close()
    result = await export_large_dataset(format="geoparquet")
    assert pq.read_table(tmp_path / "data" / "exports" / result["file"]).num_rows == len(stations)
