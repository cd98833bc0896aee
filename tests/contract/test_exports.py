"""Exports on both databases: the files, and the routes that make and hand them out."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from app.db import Database
from app.exports import ExportRequestError, ExportSpaceError, export_large_dataset, remove_expired
from app.stations import repository
from app.stations.model import StationCreate
from app.utils.background_tasks import JobQueue
from tests.contract.exporting import STATIONS, STRANGE, application, exported, fill, finished
from tests.integration import work
from tests.integration.test_jobs import until
from tests.make import station


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The job reads where the database and the folder are from the environment."""
    if "database_url" in request.fixturenames:
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("database_url"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "exports"


@pytest.fixture
async def catalogue(database: Database) -> Database:
    await fill(database, *STATIONS)
    return database


async def export(folder: Path, **arguments: Any) -> tuple[dict[str, Any], bytes]:
    result = await export_large_dataset(**arguments)
    content = (folder / result["file"]).read_bytes()
    assert result["bytes"] == len(content)
    assert result["sha256"] == hashlib.sha256(content).hexdigest()
    return result, content


@pytest.mark.usefixtures("catalogue")
async def test_csv_has_a_line_a_station_and_its_evses_as_json(environment: Path) -> None:
    result, content = await export(environment, format="csv")
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert result["rows"] == len(rows) == 3
    assert [row["external_id"] for row in rows] == ["1", "2", "3"]
    assert (rows[0]["latitude"], rows[0]["longitude"]) == ("-0.5", "-179.75")
    assert (rows[1]["price"], rows[1]["city"], rows[1]["country"]) == ("0,49 €", "", "DE")
    assert json.loads(rows[2]["evses"])[0]["connectors"] == [{"type": "nacs", "power_kw": 250.0}]
    assert rows[0]["created_at"] == "2026-05-01T12:00:00Z"


@pytest.mark.usefixtures("catalogue")
async def test_csv_holds_nothing_that_a_spreadsheet_would_run(environment: Path) -> None:
    _, content = await export(environment, format="csv")
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert rows[0]["title"] == f"'{STRANGE}"
    assert rows[1]["operator"] == "'-1+1"
    assert rows[1]["title"] == "Plain"


@pytest.mark.usefixtures("catalogue")
async def test_ndjson_has_an_object_a_line_with_texts_as_they_are(environment: Path) -> None:
    _, content = await export(environment, format="ndjson")
    lines = [json.loads(line) for line in content.splitlines()]
    assert [line["title"] for line in lines] == [STRANGE, "Plain", "West"]
    assert lines[2]["evses"][0]["evse_id"] == "US*1"
    assert lines[0]["status"] == "unknown"


@pytest.mark.usefixtures("catalogue")
async def test_geojson_is_one_collection_with_longitude_first(environment: Path) -> None:
    _, content = await export(environment, format="geojson")
    collection = json.loads(content)
    assert collection["type"] == "FeatureCollection"
    first = collection["features"][0]
    assert (first["type"], first["geometry"]) == ("Feature", {"type": "Point", "coordinates": [-179.75, -0.5]})
    assert first["properties"]["title"] == STRANGE
    assert len({feature["id"] for feature in collection["features"]}) == 3


@pytest.mark.usefixtures("database")
async def test_an_empty_catalogue_gives_whole_files(environment: Path) -> None:
    _, lines = await export(environment, format="csv")
    assert lines.startswith(b"id,source,external_id,title")
    assert lines.count(b"\r\n") == 1
    assert json.loads((await export(environment, format="geojson"))[1])["features"] == []
    assert (await export(environment, format="ndjson"))[1] == b""


@pytest.mark.parametrize("format_", ["csv", "ndjson", "geojson"])
async def test_all_pages_are_written_once(
    database: Database, environment: Path, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "PAGE", 10)
    count = 21
    await fill(database, *[station(str(number)) for number in range(count)])
    result, content = await export(environment, format=format_)
    rows: list[Any]
    if format_ == "geojson":
        rows = [feature["properties"] for feature in json.loads(content)["features"]]
    elif format_ == "ndjson":
        rows = [json.loads(line) for line in content.splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert sorted(int(row["external_id"]) for row in rows) == list(range(count))
    assert result["rows"] == count


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"country": "de"}, {"1", "2"}),
        ({"connector": ["nacs"]}, {"3"}),
        ({"connector": ["nacs", "ccs2"], "country": "DE"}, {"1", "2"}),
        ({"source": "test"}, {"1", "2", "3"}),
        ({"source": "local"}, set()),
        ({"bbox": "13,52,14,53"}, {"2", "3"}),
        ({"bbox": "179,-1,-179.5,0"}, {"1"}),
        ({"bbox": "-179,-1,179,0"}, set()),
        ({"bbox": "13,52,14,53", "country": "US"}, {"3"}),
    ],
    ids=["country", "connector", "both", "source", "none", "box", "antimeridian", "the other way", "box and country"],
)
@pytest.mark.usefixtures("catalogue")
async def test_filters_combine(environment: Path, filters: dict[str, Any], expected: set[str]) -> None:
    _, content = await export(environment, format="ndjson", **filters)
    assert {json.loads(line)["external_id"] for line in content.splitlines()} == expected


async def test_the_licences_of_every_source_are_told_and_lie_beside_the_file(
    catalogue: Database, environment: Path
) -> None:
    await fill(
        catalogue,
        StationCreate(source="local", external_id="9", title="Ours", longitude=1, latitude=2),
        source="local",
    )
    result = await export_large_dataset(format="csv")
    assert [(each["source"], each["licence"], each["stations"]) for each in result["licences"]] == [
        ("test", "CC0-1.0", 3),
        ("local", None, 1),
    ]
    text = (environment / result["licence_file"]).read_text()
    assert "Source: test (3 stations)\nLicence: CC0-1.0\nIts text: https://creativecommons.org/" in text
    assert "To be named: Nobody" in text
    assert "Source: local (1 stations)\nLicence: not known" in text


async def test_the_data_version_tells_whether_anything_has_changed(catalogue: Database) -> None:
    first, second = [(await export_large_dataset(format="ndjson"))["data_version"] for _ in range(2)]
    assert first == second
    await fill(catalogue, station("4"))
    assert (await export_large_dataset(format="ndjson"))["data_version"] != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "xlsx"}, "format: .*'csv', 'ndjson', 'geojson' or 'geoparquet'"),
        ({"country": "Germany"}, "country: "),
        ({"connector": ["type9"]}, "connector: "),
        ({"contry": "DE"}, "contry: there is no such filter; known are: country, source, connector, bbox"),
        ({"bbox": "1,2,3"}, "bbox: .*west,south,east,north"),
        ({"bbox": "0,10,1,5"}, "bbox: .*south not above north"),
    ],
    ids=["format", "country", "connector", "unknown", "half a box", "box upside down"],
)
async def test_what_cannot_be_exported_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportRequestError, match=message):
        await export_large_dataset(**arguments)


async def test_an_export_that_fails_leaves_nothing(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{environment.parent}/no-tables.db")
    with pytest.raises(OperationalError, match="no such table"):
        await export_large_dataset()
    assert not environment.exists() or list(environment.iterdir()) == []


@pytest.mark.usefixtures("catalogue")
async def test_expired_files_are_removed_and_others_kept(environment: Path) -> None:
    await export_large_dataset()
    assert remove_expired() == 0
    assert len(list(environment.iterdir())) == 2
    assert remove_expired(timedelta(0)) == 2


@pytest.fixture
def queue(sqlite_url: str) -> JobQueue:
    return JobQueue(database_url=sqlite_url)


@pytest.fixture
def client(queue: JobQueue, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    with application(sqlite_url, queue, *STATIONS) as client:
        yield client


def test_an_export_is_asked_for_made_and_fetched(client: TestClient) -> None:
    queued = client.post("/api/v1/export/data?format=csv&country=DE")
    assert queued.status_code == 202
    assert set(queued.json()) == {"job_id", "status"}
    assert queued.json()["status"] == "queued"
    job_id = queued.json()["job_id"]
    assert queued.headers["Location"] == f"/api/v1/export/status/{job_id}"
    status = finished(client, job_id)
    assert (status["id"], status["status"], status["progress"], status["error"]) == (job_id, "completed", 1.0, None)
    assert status["result"]["rows"] == 2
    whole = client.get(status["download"])
    assert whole.headers["content-type"] == "text/csv; charset=utf-8"
    assert hashlib.sha256(whole.content).hexdigest() == status["result"]["sha256"]
    part = client.get(status["download"], headers={"Range": "bytes=3-9"})
    assert (part.status_code, part.content) == (206, whole.content[3:10])
    assert "Licence: CC0-1.0" in client.get(status["licences"]).text


def test_an_export_that_is_unknown_or_no_export_is_404(client: TestClient, queue: JobQueue) -> None:
    assert client.portal is not None
    other = client.portal.call(queue.submit, work.thread_of)
    for job_id in ("00000000-0000-0000-0000-000000000000", other):
        for path in ("status", "download"):
            answer = client.get(f"/api/v1/export/{path}/{job_id}")
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_an_export_with_a_wrong_filter_is_refused_and_not_queued(client: TestClient, queue: JobQueue) -> None:
    for wrong in ("country=Germany", "format=xlsx", "contry=DE"):
        answer = client.post(f"/api/v1/export/data?{wrong}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["name"] == wrong.partition("=")[0]
    assert sum(queue.get_stats().values()) == 0


def test_exports_are_limited_but_the_same_one_may_be_asked_for_again(
    client: TestClient, queue: JobQueue, tmp_path: Path
) -> None:
    """All of the queue's places are taken, so that exports wait."""
    assert client.portal is not None
    files = [tmp_path / f"busy-{number}" for number in range(5)]
    busy = [client.portal.call(_occupy, queue, file) for file in files]
    with ThreadPoolExecutor(8) as pool:  # at the same time
        codes = ("DE", "US", "FR", "AT", "ES", "IT", "PL", "CZ")
        answers = list(pool.map(lambda code: client.post(f"/api/v1/export/data?country={code}"), codes))
    asked = {code: each for code, each in zip(codes, answers, strict=True) if each.status_code == 202}
    assert len(asked) == 3
    refused = next(each for each in answers if each.status_code != 202)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert refused.headers["content-type"] == "application/problem+json"
    code, first_answer = next(iter(asked.items()))
    again = client.post(f"/api/v1/export/data?country={code.lower()}")
    assert (again.status_code, again.json()) == (202, first_answer.json())
    first = first_answer.json()["job_id"]
    assert client.get(f"/api/v1/export/download/{first}").status_code == 409
    for job_id in busy:
        client.portal.call(queue.cancel, job_id)
    for each in asked.values():
        assert finished(client, each.json()["job_id"])["status"] == "completed"


async def _occupy(queue: JobQueue, file: Path) -> str:
    job_id = await queue.submit(work.wait_for_ever, started=str(file))
    await until(file.exists)
    return job_id


def test_a_file_that_has_expired_is_gone(client: TestClient) -> None:
    job_id = client.post("/api/v1/export/data").json()["job_id"]
    status = finished(client, job_id)
    remove_expired(timedelta(0))
    for path in (status["download"], status["licences"]):
        assert client.get(path).status_code == 410


def test_the_same_box_in_another_spelling_is_the_same_export(
    queue: JobQueue, client: TestClient, tmp_path: Path
) -> None:
    assert client.portal is not None
    busy = [client.portal.call(_occupy, queue, tmp_path / f"busy-{number}") for number in range(5)]
    boxes = ("13,52,14,53", " 13.0,52.0, 14e0,+53")
    ids = {client.post("/api/v1/export/data", params={"bbox": box}).json()["job_id"] for box in boxes}
    assert len(ids) == 1
    for job_id in busy:
        client.portal.call(queue.cancel, job_id)
    assert finished(client, ids.pop())["result"]["rows"] == 2


async def test_a_meridian_has_two_names(database: Database, environment: Path) -> None:
    await fill(database, station("east", longitude=180.0), station("west", longitude=-180.0), station("far"))
    for box in ("170,50,180,55", "-180,50,-170,55", "179,50,-179,55"):
        result = await export_large_dataset(format="ndjson", bbox=box)
        assert result["rows"] == 2, box
    assert len(list(environment.glob("*.ndjson"))) == 3


def test_the_status_tells_when_the_file_goes_and_then_it_is_gone(
    client: TestClient, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORT_KEPT_HOURS", "2")
    status = exported(client)
    written = datetime.fromtimestamp((environment / status["result"]["file"]).stat().st_mtime, UTC)
    assert datetime.fromisoformat(status["expires_at"]) == written + timedelta(hours=2)
    monkeypatch.setenv("EXPORT_KEPT_HOURS", "0.0000001")
    assert client.get(f"/api/v1/export/status/{status['id']}").json()["expires_at"] is None
    assert client.get(status["download"]).status_code == 410
    assert remove_expired() == 2


@pytest.mark.usefixtures("catalogue")
async def test_the_oldest_exports_make_room_for_a_new_one(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [await export_large_dataset(format="ndjson") for _ in range(2)]
    for age, result in ((200, first), (100, second)):
        for name in (result["file"], result["licence_file"]):
            at = (environment / name).stat().st_mtime - age
            os.utime(environment / name, (at, at))
    monkeypatch.setenv("EXPORT_MAX_TOTAL_MB", str(2.5 * (first["bytes"] + 330) / 1e6))
    third = await export_large_dataset(format="ndjson")
    left = {path.name for path in environment.iterdir()}
    assert {second["file"], third["file"]} <= left
    assert first["file"] not in left


@pytest.mark.usefixtures("catalogue")
async def test_an_export_larger_than_all_may_be_is_stopped_and_leaves_nothing(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORT_MAX_TOTAL_MB", "0.0001")
    for format_ in ("csv", "geoparquet"):
        with pytest.raises(ExportSpaceError, match=r"EXPORT_MAX_TOTAL_MB.*Ask for a part"):
            await export_large_dataset(format=format_)
    assert list(environment.iterdir()) == []


@pytest.mark.usefixtures("catalogue")
async def test_a_disk_that_is_nearly_full_keeps_its_rest_and_the_exports_on_it(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await export_large_dataset()
    monkeypatch.setenv("EXPORT_MIN_FREE_MB", "1e12")
    with pytest.raises(ExportSpaceError, match="EXPORT_MIN_FREE_MB"):
        await export_large_dataset()
    assert {path.name for path in environment.iterdir()} == {kept["file"], kept["licence_file"]}


def test_a_nearly_full_disk_is_507_and_no_job(
    client: TestClient, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORT_MIN_FREE_MB", "1e12")
    answer = client.post("/api/v1/export/data")
    assert (answer.status_code, answer.headers["Retry-After"]) == (507, "600")
    assert answer.json()["type"] == "urn:voltway:problem:insufficient-storage"
    assert sum(queue.get_stats().values()) == 0


def test_an_export_that_has_no_room_says_so_to_its_client(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORT_MAX_TOTAL_MB", "0.0001")
    status = exported(client)
    assert (status["status"], status["expires_at"], status["download"]) == ("failed", None, None)
    assert status["error"].startswith("The file is larger than exports may be together")


def test_an_unknown_export_is_documented_as_404_and_not_as_422(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("status/{job_id}", "download/{job_id}", "download/{job_id}/licences"):
        operation = paths[f"/api/v1/export/{path}"]["get"]
        assert "422" not in operation["responses"]
        assert "404" in operation["responses"]
        assert [each["name"] for each in operation["parameters"]] == ["job_id"]
