"""Downloads against a server that misbehaves: nothing wrong is taken for right, nothing is loaded twice in vain."""

import gzip
import logging
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest

from app import __version__
from app.errors import FetchError
from app.sources.downloads import Pace, Place, Version
from app.sources.fetch import Fetching, Input, fetched, opened
from app.sources.guest import Limits, refuse_unsafe_redirect
from app.sources.hosts import FAILURES_TO_REST, REST, Hosts, LeftAloneError
from tests.misbehaving import Answer, Server, file, misbehaving

TABLE = b"".join(b"%d;station number %d\n" % (n, n) for n in range(5_000))
OTHER = TABLE.replace(b"station", b"Station")
HALF = Answer(TABLE[:40_000], headers={"Content-Length": str(len(TABLE)), "ETag": '"1"'})
"""Is cut off."""
QUICK = Limits(
    free_bytes=0, total_s=10, silence_s=0.1, pace_s=0.05, first_pause_s=0.001, longest_pause_s=1.0, attempts=3
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    with misbehaving() as server:
        yield server


@pytest.fixture
def how(tmp_path: Path) -> Fetching:
    return Fetching(tmp_path / "downloads", Hosts(requests_per_s=1e6), QUICK)


async def read(server: Server, how: Fetching, known: Version | None = None) -> tuple[bytes | None, Input]:
    async with fetched(server.url, how, known) as got:
        return (None if got.is_known else got.path.read_bytes()), got


async def refusal(server: Server, how: Fetching) -> str:
    with pytest.raises(FetchError) as error:
        await read(server, how)
    return str(error.value)


async def fail_half_way(server: Server, how: Fetching) -> None:
    server.answers(HALF)
    with pytest.raises(FetchError, match="peer closed"):
        await read(server, replace(how, limits=replace(QUICK, attempts=1)))
    server.asked.clear()


async def test_we_say_who_we_are(server: Server, how: Fetching) -> None:
    server.respond = file(TABLE)
    await read(server, how)
    await read(server, replace(how, contact="https://stations.example/about"))
    names = [asked.headers["user-agent"] for asked in server.asked]
    assert names == [f"VoltWay/{__version__}", f"VoltWay/{__version__} (+https://stations.example/about)"]


# Unchanged


async def test_what_is_known_is_not_sent_again(server: Server, how: Fetching) -> None:
    server.respond = file(TABLE)
    _, first = await read(server, how)
    body, again = await read(server, how, first.version)
    assert (body, again.is_known, again.version) == (None, True, first.version)
    assert server.asked[1].headers["if-none-match"] == '"1"'
    server.respond = file(OTHER, '"2"')
    body, newer = await read(server, how, first.version)
    assert (body, newer.is_known) == (OTHER, False)


async def test_the_date_serves_where_there_is_no_tag(server: Server, how: Fetching) -> None:
    date = "Fri, 01 May 2026 12:00:00 GMT"
    server.respond = file(TABLE, None, **{"Last-Modified": date})
    _, first = await read(server, how)
    server.answers(Answer(status=304, headers={"Content-Length": None}))
    assert (await read(server, how, first.version))[1].is_known
    assert server.asked[1].headers["if-modified-since"] == date


async def test_the_same_bytes_are_unchanged_whatever_the_server_says(server: Server, how: Fetching) -> None:
    server.respond = file(TABLE, None)
    _, first = await read(server, how)
    server.respond = file(TABLE, '"new tag"')
    assert (await read(server, how, first.version))[1].is_known


async def test_what_is_known_of_another_url_is_not_asked_for(server: Server, how: Fetching) -> None:
    server.respond = file(TABLE)
    _, first = await read(server, how)
    assert first.version is not None
    body, _ = await read(server, how, replace(first.version, url="other", sha256="other"))
    assert body == TABLE
    assert "if-none-match" not in server.asked[1].headers


async def test_a_file_that_was_not_used_is_not_loaded_again(server: Server, how: Fetching) -> None:
    server.respond = file(TABLE)
    with pytest.raises(RuntimeError):
        async with fetched(server.url, how):
            raise RuntimeError("the import failed")
    body, _ = await read(server, how)
    assert body == TABLE
    assert "if-none-match" in server.asked[1].headers
    assert how.folder is not None
    assert [path.suffix for path in how.folder.iterdir()] == [".lock"]  # and what was used does not stay


# Resuming


async def test_a_download_that_was_cut_off_goes_on(server: Server, how: Fetching) -> None:
    await fail_half_way(server, how)
    server.respond = file(TABLE)
    assert (await read(server, how))[0] == TABLE
    assert server.asked[0].headers["range"] == "bytes=40000-"
    assert server.asked[0].headers["if-range"] == '"1"'


async def test_it_goes_on_within_one_run_too(server: Server, how: Fetching) -> None:
    server.respond = lambda asked: HALF if len(server.asked) == 1 else file(TABLE)(asked)
    assert (await read(server, how))[0] == TABLE
    assert [asked.headers.get("range") for asked in server.asked] == [None, "bytes=40000-"]


async def test_two_versions_are_never_mixed(server: Server, how: Fetching) -> None:
    await fail_half_way(server, how)
    server.respond = file(OTHER, '"2"')
    assert (await read(server, how))[0] == OTHER


@pytest.mark.parametrize(
    "answer",
    [
        Answer(OTHER[40_000:], 206, {"Content-Range": f"bytes 40000-{len(TABLE) - 1}/{len(TABLE)}", "ETag": '"2"'}),
        Answer(TABLE[30_000:], 206, {"Content-Range": f"bytes 30000-{len(TABLE) - 1}/{len(TABLE)}"}),
        Answer(TABLE[40_000:], 206, {"Content-Range": f"bytes 40000-{len(TABLE)}/{len(TABLE) + 1}"}),
        Answer(TABLE[40_000:], 206),
        Answer(b"", 416),
    ],
    ids=["other tag", "other start", "other length", "no range", "not satisfiable"],
)
async def test_a_rest_that_does_not_fit_is_thrown_away(server: Server, how: Fetching, answer: Answer) -> None:
    await fail_half_way(server, how)
    server.respond = lambda asked: answer if "range" in asked.headers else file(TABLE)(asked)
    assert (await read(server, how))[0] == TABLE
    assert ["range" in asked.headers for asked in server.asked] == [True, False]


async def test_a_server_that_ignores_ranges_is_read_from_the_start(server: Server, how: Fetching) -> None:
    await fail_half_way(server, how)
    server.answers(Answer(TABLE, headers={"ETag": '"1"'}))
    assert (await read(server, how))[0] == TABLE


@pytest.mark.parametrize("tag", [None, 'W/"1"'])
async def test_without_a_strong_tag_nothing_is_resumed(server: Server, how: Fetching, tag: str | None) -> None:
    half = replace(HALF, headers={**HALF.headers, "ETag": tag})
    server.respond = lambda asked: half if len(server.asked) == 1 else file(TABLE)(asked)
    assert (await read(server, how))[0] == TABLE
    assert "range" not in server.asked[1].headers


async def test_bytes_without_their_description_are_not_used(server: Server, how: Fetching) -> None:
    await fail_half_way(server, how)
    assert how.folder is not None
    for path in how.folder.glob("*.json"):
        path.write_text("{")
    server.respond = file(TABLE)
    assert (await read(server, how))[0] == TABLE
    assert "range" not in server.asked[0].headers


async def test_a_file_without_a_known_end_is_not_believed_to_be_whole(server: Server, how: Fetching) -> None:
    server.answers(Answer(TABLE, headers={"Content-Length": None, "ETag": '"1"'}))
    with pytest.raises(RuntimeError):
        async with fetched(server.url, how):
            raise RuntimeError("the import failed")
    await read(server, how)
    assert "if-none-match" not in server.asked[1].headers


async def test_one_process_at_a_time_fetches_a_file(server: Server, how: Fetching) -> None:
    server.respond = file(TABLE)
    async with fetched(server.url, how):
        assert "by another process" in await refusal(server, how)
    assert (await read(server, how))[0] == TABLE


# Patience


@pytest.mark.parametrize(
    "fault", [Answer(status=500), Answer(status=503), HALF, replace(HALF, resets=True), replace(HALF, hangs=True)],
    ids=["500", "503", "cut off", "reset", "silent"],
)  # fmt: skip
async def test_what_may_pass_is_tried_again(server: Server, how: Fetching, fault: Answer) -> None:
    server.respond = lambda asked: fault if len(server.asked) == 1 else file(TABLE)(asked)
    assert (await read(server, how))[0] == TABLE
    assert len(server.asked) == 2


async def test_a_server_that_stays_broken_is_given_up(server: Server, how: Fetching) -> None:
    server.answers(Answer(status=500))
    assert (await refusal(server, how)).endswith("/file answered 500 Internal Server Error.")
    assert len(server.asked) == QUICK.attempts


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204])
async def test_what_will_not_pass_is_not_tried_again(server: Server, how: Fetching, status: int) -> None:
    server.answers(Answer(status=status, headers={"Content-Length": None if status == 204 else "0"}))
    assert f"answered {status}" in await refusal(server, how)
    assert len(server.asked) == 1


async def test_a_pause_that_is_asked_for_is_kept(
    server: Server, how: Fetching, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.respond = lambda asked: (
        Answer(status=429, headers={"Retry-After": "1"}) if len(server.asked) == 1 else file(TABLE)(asked)
    )
    assert (await read(server, how))[0] == TABLE
    (told,) = [record for record in caplog.records if record.msg == "fetch_retried"]
    assert vars(told)["wait_s"] == 1.0


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3600"},
        {"Retry-After": "Wed, 21 Oct 2026 08:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"},
    ],
    ids=["seconds", "date"],
)
async def test_a_host_that_wants_a_long_rest_gets_it(
    server: Server, how: Fetching, headers: dict[str, str | None]
) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    how = replace(how, hosts=Hosts(1e6, now=lambda: now))
    if "Date" in headers:  # the handler sends one of its own first
        server.respond = lambda _: Answer(status=503, headers={"Retry-After": _in_an_hour()})
    else:
        server.answers(Answer(status=429, headers=headers))
    with pytest.raises(LeftAloneError) as error:
        await read(server, how)
    assert abs(error.value.until - now - timedelta(hours=1)) < timedelta(seconds=5)
    assert "left alone until" in await refusal(server, how)
    assert len(server.asked) == 1
    later = Hosts(1e6, now=lambda: now + timedelta(hours=2))
    later.leave_alone("127.0.0.1", error.value.until)
    server.respond = file(TABLE)
    assert (await read(server, replace(how, hosts=later)))[0] == TABLE


def _in_an_hour() -> str:
    return f"{datetime.now(UTC) + timedelta(hours=1):%a, %d %b %Y %H:%M:%S GMT}"


async def test_a_host_that_fails_again_and_again_is_left_alone_for_a_while(server: Server, how: Fetching) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    clock = [now]
    how = replace(how, hosts=Hosts(1e6, now=lambda: clock[0]))
    server.answers(Answer(status=500))
    for _ in range(2):
        await refusal(server, how)
    assert len(server.asked) == FAILURES_TO_REST
    assert "left alone" in await refusal(server, how)
    assert len(server.asked) == FAILURES_TO_REST
    clock[0] += REST
    server.respond = file(TABLE)
    assert (await read(server, how))[0] == TABLE


# Bounds


async def test_a_server_that_drips_is_not_waited_for(server: Server, how: Fetching) -> None:
    server.answers(Answer(TABLE, headers={"ETag": '"1"'}, drips=True))
    assert " is too slow: " in await refusal(server, how)
    assert len(server.asked) == 1


def test_pace_is_measured_anew_in_each_span() -> None:
    seconds = [0.0]
    pace = Pace("x", Limits(least_bytes_per_s=100, pace_s=10), lambda: seconds[0])
    pace.note(100_000)
    seconds[0] = 10.0
    pace.note(1)
    pace.note(990)
    seconds[0] = 19.9
    pace.note(0)
    seconds[0] = 20.0
    with pytest.raises(FetchError, match="too slow: 99 bytes a second"):
        pace.note(0)


async def test_all_attempts_together_have_an_end(server: Server, how: Fetching) -> None:
    server.answers(Answer(hangs=True, headers={"Content-Length": "9"}))
    how = replace(how, limits=replace(QUICK, silence_s=5.0, total_s=0.1))
    assert "within 0 seconds" in await refusal(server, how)


@pytest.mark.parametrize("length", [str(len(TABLE)), None], ids=["announced", "not announced"])
async def test_a_file_that_is_too_large_is_refused(server: Server, how: Fetching, length: str | None) -> None:
    server.answers(Answer(TABLE, headers={"Content-Length": length}))
    how = replace(how, limits=replace(QUICK, max_bytes=len(TABLE) - 1))
    assert "(FETCH_MAX_MB)" in await refusal(server, how)
    assert how.folder is not None
    assert list(how.folder.glob("*.download")) == []


async def test_a_bomb_is_not_unpacked(server: Server, how: Fetching) -> None:
    server.answers(Answer(gzip.compress(b"0" * 10_000_000, mtime=0)))
    small = replace(how, limits=replace(QUICK, max_bytes=1_000_000))
    async with fetched(server.url, how) as got:
        with pytest.raises(FetchError, match="decompressed, is larger"), opened(got.path, small):
            pass


async def test_the_disk_is_not_filled(server: Server, how: Fetching) -> None:
    server.respond = file(TABLE)
    how = replace(how, limits=replace(QUICK, free_bytes=1 << 60))
    assert " are to stay free." in await refusal(server, how)


async def test_the_disk_is_not_filled_by_a_file_of_unknown_length(server: Server, how: Fetching) -> None:
    """It is large enough to be looked at a second time; meanwhile others have filled the disk."""
    assert how.folder is not None
    how.folder.mkdir(exist_ok=True)
    server.answers(Answer(b"0" * (40 << 20), headers={"Content-Length": None}))
    free_bytes = shutil.disk_usage(how.folder).free - (20 << 20)
    short = replace(how, limits=replace(QUICK, silence_s=5.0, free_bytes=free_bytes))
    assert " are to stay free." in await refusal(server, short)
    assert list(how.folder.glob("*.download")) == []


async def test_a_rest_that_does_not_fit_is_not_asked_for_in_vain(server: Server, how: Fetching) -> None:
    await fail_half_way(server, how)
    server.respond = file(TABLE)
    how = replace(how, limits=replace(QUICK, free_bytes=1 << 60))
    assert " are to stay free." in await refusal(server, how)


def test_what_is_unpacked_does_not_fill_the_disk(tmp_path: Path) -> None:
    packed = tmp_path / "file.gz"
    packed.write_bytes(gzip.compress(b"0" * 1_000_000))
    how = Fetching(tmp_path / "downloads", limits=replace(QUICK, free_bytes=1 << 60))
    with pytest.raises(FetchError, match=r"The input, decompressed, needs .* are to stay"), opened(packed, how):
        pass


async def test_an_encoding_that_was_not_asked_for_is_refused(server: Server, how: Fetching) -> None:
    server.answers(Answer(TABLE, headers={"Content-Encoding": "br"}))
    assert "not asked for: br" in await refusal(server, how)
    assert server.asked[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("url", "location", "follows"),
    [
        ("https://a.example/file", "https://b.example/file", True),
        ("https://a.example/file", "/other", True),
        ("http://a.example/file", "https://a.example/file", True),
        ("https://a.example/file", "http://a.example/file", False),
        ("http://a.example/file", "http://127.0.0.1/file", False),
        ("http://a.example/file", "http://[::1]/file", False),
        ("http://a.example/file", "http://169.254.169.254/latest/meta-data", False),
        ("http://a.example/file", "http://localhost:6379/", False),
        ("http://a.example/file", "http://2130706433/file", False),  # 127.0.0.1 too
        ("http://a.example/file", "http://127.1/file", False),
        ("http://10.0.0.1/file", "http://10.0.0.2/file", True),
        ("http://127.1/file", "http://127.0.0.1/file", True),
    ],
)
async def test_no_redirect_leads_into_the_private_network_or_off_encryption(
    url: str, location: str, follows: bool
) -> None:
    answer = httpx.Response(302, headers={"Location": location}, request=httpx.Request("GET", url))
    refused = nullcontext() if follows else pytest.raises(FetchError, match="which is not followed")
    with refused:
        await refuse_unsafe_redirect(answer)


@pytest.mark.parametrize("location", ["http://[::1", "http://127.0.0.1:99999/"])
async def test_a_redirect_to_no_address_is_told(server: Server, how: Fetching, location: str) -> None:
    server.answers(Answer(status=302, headers={"Location": location}))
    assert "redirects to an address that is none" in await refusal(server, how)


async def test_redirects_have_an_end(server: Server, how: Fetching) -> None:
    server.answers(Answer(status=302, headers={"Location": "/file"}))
    assert "TooManyRedirects" in await refusal(server, how)
    assert len(server.asked) <= 7


async def test_a_password_does_not_follow_to_another_host(server: Server, how: Fetching) -> None:
    with misbehaving() as elsewhere:
        elsewhere.respond = file(TABLE)
        server.answers(Answer(status=302, headers={"Location": elsewhere.url}))
        async with fetched(server.url.replace("//", "//user:secret@") + "?key=secret", how) as got:
            assert got.path.read_bytes() == TABLE
        assert "authorization" in server.asked[0].headers
        assert "secret" not in str(elsewhere.asked)
        assert "authorization" not in elsewhere.asked[0].headers


def test_places_of_different_urls_are_different(tmp_path: Path) -> None:
    places = {Place(tmp_path, f"https://x.example/file?key={n}").body for n in range(10)}
    assert len(places) == 10
    assert not any("key" in path.name for path in places)
