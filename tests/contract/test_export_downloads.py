"""An export's file over HTTP: in part, compressed, not at all when it is known."""

import base64
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from fastapi.testclient import TestClient

from app.exports import export_folder
from app.utils.background_tasks import JobQueue
from tests.contract.exporting import application, exported
from tests.make import station

PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("downloads")
    url = f"sqlite:///{folder / 'voltway.db'}"
    (folder / "voltway.db").write_bytes(migrated_sqlite_file.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        patch.setenv("DATA_DIR", str(folder))
        stations = [station(str(number), title=f"Station {number}") for number in range(900)]
        with application(url, JobQueue(database_url=url), *stations) as client:
            yield client


@pytest.fixture(scope="module")
def status(client: TestClient) -> dict[str, Any]:
    return exported(client, format="ndjson")


@pytest.fixture(scope="module")
def content(status: dict[str, Any], client: TestClient) -> bytes:
    found = (export_folder() / str(status["result"]["file"])).read_bytes()
    assert len(found) > 1 << 18  # more than one chunk
    assert client
    return found


def get(client: TestClient, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and the bytes as they came, not decoded."""
    sent = PLAIN | {name.replace("_", "-"): value for name, value in headers.items()}
    with client.stream("GET", path, headers=sent) as answer:
        return answer.status_code, dict(answer.headers), b"".join(answer.iter_raw())


def test_the_file_as_it_is_comes_with_length_digest_and_tag(
    client: TestClient, status: dict[str, Any], content: bytes
) -> None:
    code, headers, body = get(client, status["download"])
    assert (code, body, headers["content-length"]) == (200, content, str(len(content)))
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert headers["repr-digest"] == f"sha-256=:{digest}:"
    assert (headers["accept-ranges"], headers["vary"]) == ("bytes", "Accept-Encoding")
    assert headers["content-type"] == "application/x-ndjson"
    assert headers["content-disposition"] == 'attachment; filename="voltway-stations.ndjson"'
    assert "content-encoding" not in headers


def test_compressed_it_is_the_same_and_smaller_and_another_tag(
    client: TestClient, status: dict[str, Any], content: bytes
) -> None:
    tags = {get(client, status["download"])[1]["etag"]}
    for encoding in ("gzip", "zstd"):
        code, headers, body = get(client, status["download"], Accept_Encoding=encoding)
        assert (code, headers["content-encoding"], headers["vary"]) == (200, encoding, "Accept-Encoding")
        plain = (
            gzip.decompress(body)
            if encoding == "gzip"
            else zstandard.ZstdDecompressor().decompressobj().decompress(body)
        )
        assert plain == content
        assert len(body) < len(content) / 5
        assert not {"repr-digest", "content-length"} & headers.keys()
        tags.add(headers["etag"])
    assert len(tags) == 3


def test_geoparquet_is_compressed_already(client: TestClient) -> None:
    status = exported(client, format="geoparquet")
    code, headers, body = get(client, status["download"], Accept_Encoding="zstd, gzip")
    assert (code, headers["content-type"]) == (200, "application/vnd.apache.parquet")
    assert not {"content-encoding", "vary"} & headers.keys()
    assert body[:4] == body[-4:] == b"PAR1"
    assert headers["content-disposition"] == 'attachment; filename="voltway-stations.parquet"'


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-0", 0, 1), ("3-9", 3, 10), ("10-", 10, None), ("-7", -7, None), ("5-999999999", 5, None)],
    ids=["first byte", "inside", "to the end", "last bytes", "past the end"],
)
def test_a_range_is_that_part(
    client: TestClient, status: dict[str, Any], content: bytes, asked: str, start: int, end: int | None
) -> None:
    code, headers, body = get(client, status["download"], Range=f"bytes={asked}", Accept_Encoding="gzip")
    assert (code, body) == (206, content[start:end])
    first = start % len(content)
    assert headers["content-range"] == f"bytes {first}-{first + len(body) - 1}/{len(content)}"
    assert headers["content-length"] == str(len(body))
    assert "content-encoding" not in headers


@pytest.mark.parametrize("asked", ["999999999-", "9-3", "-0", "-", "", "a-b", "1-2-3", "٣-٩", "1" * 5000 + "-"])
def test_a_range_that_is_none_or_lies_outside_is_a_problem(
    client: TestClient, status: dict[str, Any], content: bytes, asked: str
) -> None:
    answer = client.get(status["download"], headers={b"Range": f"bytes={asked}".encode()})
    assert (answer.status_code, answer.headers["content-type"]) == (416, "application/problem+json")
    assert answer.headers["content-range"] == f"bytes */{len(content)}"
    assert answer.json()["type"] == "urn:voltway:problem:range-not-satisfiable"


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=0-1,5-6", "nonsense"])
def test_a_range_that_is_not_understood_gets_the_whole(
    client: TestClient, status: dict[str, Any], content: bytes, asked: str
) -> None:
    assert get(client, status["download"], Range=asked)[::2] == (200, content)


def test_a_resumed_download_goes_on_only_with_the_same_file(
    client: TestClient, status: dict[str, Any], content: bytes
) -> None:
    tag = get(client, status["download"])[1]["etag"]
    packed = get(client, status["download"], Accept_Encoding="gzip")[1]["etag"]
    resume = {"Range": "bytes=100-"}
    assert get(client, status["download"], If_Range=tag, **resume)[::2] == (206, content[100:])
    for other in ('"other"', packed, f"W/{tag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert get(client, status["download"], If_Range=other, **resume)[::2] == (200, content), other
        assert get(client, status["download"], If_Range=other, Range="bytes=9-3")[0] == 200


def test_what_the_client_has_is_not_sent_again(client: TestClient, status: dict[str, Any]) -> None:
    for encoding in ("identity", "gzip", "zstd"):
        tag = get(client, status["download"], Accept_Encoding=encoding)[1]["etag"]
        for known in (tag, f'"other", {tag}', "*"):
            code, headers, body = get(client, status["download"], Accept_Encoding=encoding, If_None_Match=known)
            assert (code, headers["etag"], body) == (304, tag, b"")
    assert get(client, status["download"], If_None_Match=tag)[0] == 200  # zstd's


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_head_tells_the_same_and_reads_nothing(
    client: TestClient, status: dict[str, Any], encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = get(client, status["download"], Accept_Encoding=encoding)[1]
    opened: list[Path] = []
    monkeypatch.setattr(Path, "open", lambda path, *_: opened.append(path))
    answer = client.head(status["download"], headers={"Accept-Encoding": encoding})
    assert (answer.status_code, dict(answer.headers), answer.content) == (200, expected, b"")
    assert opened == []


def test_the_licences_can_be_had_in_all_these_ways_too(client: TestClient, status: dict[str, Any]) -> None:
    code, headers, text = get(client, status["licences"])
    assert (code, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert b"Licence: CC0-1.0" in text
    assert get(client, status["licences"], Range="bytes=5-")[::2] == (206, text[5:])
    assert get(client, status["licences"], Range="bytes=99999-")[0] == 416
    assert get(client, status["licences"], If_None_Match=headers["etag"])[0] == 304
