"""Log lines: whatever is logged is one line that machines can read, without secrets, and no one waits for it."""

import asyncio
import json
import logging
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from pydantic import ValidationError

from app.utils import _log_queue, metrics
from app.utils._log_outputs import Line
from app.utils.advanced_logging import (
    LoggingSettings,
    current_request_id,
    in_log_context,
    log_context,
    log_later,
    setup_logging,
    shutdown_logging,
)
from tests.conftest import skip_or_fail

logger = logging.getLogger("tests.logging")
KEY = "vw_" + "aB3_-" * 9


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the lines of the test go."""
    setup_logging(level="DEBUG", log_dir=tmp_path / "logs")
    yield tmp_path / "logs"
    shutdown_logging()


def _written(folder: Path, file: str = "app.log") -> list[dict[str, Any]]:
    shutdown_logging()
    return [json.loads(line) for line in (folder / file).read_text(encoding="utf-8").splitlines()]


def _raise(error: Exception) -> None:
    raise error


def _sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_line_holds_time_level_logger_message_and_fields(folder: Path) -> None:
    setup_logging("tests.logging").info("import of %s", "afdc", extra={"stations": 5, "share": 0.5})
    (line,) = _written(folder)
    age = datetime.now(UTC) - datetime.fromisoformat(line["ts"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", line.pop("ts"))
    assert 0 <= age.total_seconds() < 60
    assert line == {
        "level": "INFO", "logger": "tests.logging", "msg": "import of afdc", "stations": 5, "share": 0.5,
    }  # fmt: skip


def test_errors_are_in_a_file_of_their_own_too(folder: Path) -> None:
    logger.warning("odd")
    logger.error("bad")
    logger.critical("worse")
    assert [line["msg"] for line in _written(folder)] == ["odd", "bad", "worse"]
    assert [line["msg"] for line in _written(folder, "error.log")] == ["bad", "worse"]


@pytest.mark.parametrize(
    ("number", "name"), [(5, "DEBUG"), (10, "DEBUG"), (25, "INFO"), (30, "WARNING"), (49, "ERROR"), (99, "CRITICAL")]
)
def test_levels_have_the_five_names_only(number: int, name: str, folder: Path) -> None:
    logging.getLogger("tests.any").setLevel(1)
    before = _sample("log_lines_total", level=name)
    logging.getLogger("tests.any").log(number, "event")
    (line,) = _written(folder)
    assert line["level"] == name
    assert _sample("log_lines_total", level=name) == before + 1


class _Silent:
    def __repr__(self) -> str:
        raise RuntimeError


class _Slippery:
    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


class _Colour(Enum):
    RED = "red"


@dataclass
class _Point:
    x: int
    y: object


def _recursive() -> list[object]:
    value: list[object] = [1]
    value.append(value)
    return value


ODD: dict[str, tuple[Callable[[], object], object]] = {
    "set": (lambda: {7}, [7]),
    "bytes": (lambda: b"a\xff", "a\\xff"),
    "exception": (lambda: ValueError("no"), "ValueError('no')"),
    "decimal": (lambda: Decimal("1.10"), "1.10"),
    "numpy number": (lambda: np.int64(3), 3),
    "numpy float": (lambda: np.float32(0.5), 0.5),
    "numpy array": (lambda: np.array([1, 2]), [1, 2]),
    "NaN": (lambda: float("nan"), None),
    "huge number": (lambda: 10**40, "1" + "0" * 40),
    "number too long for text": (lambda: 10**5000, "<int that has no text>"),
    "half a surrogate pair": (lambda: "a\ud800b", "a\\ud800b"),
    "keys": (lambda: {1: "a", (2, 3): {4}}, {"1": "a", "(2, 3)": [4]}),
    "silent": (_Silent, "<_Silent that has no text>"),
    "silent within": (lambda: [1, {"a": _Silent()}], [1, {"a": "<_Silent that has no text>"}]),
    "time": (lambda: datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
    "enum": (lambda: _Colour.RED, "red"),
    "uuid": (lambda: UUID(int=1), str(UUID(int=1))),
    "path": (lambda: Path("/a/b"), "/a/b"),
    "dataclass": (lambda: _Point(1, {2}), {"x": 1, "y": [2]}),
    "endless": (lambda: range(10**12), "range(0, 1000000000000)"),
}


@pytest.mark.parametrize("name", ODD)
def test_no_value_loses_a_line(name: str, folder: Path) -> None:
    make, expected = ODD[name]
    logger.info("event", extra={"odd": make(), "other": 1})
    (line,) = _written(folder)
    assert line["odd"] == expected
    assert line["other"] == 1


@pytest.mark.parametrize("make", [_recursive, _Slippery, object], ids=["recursive", "slippery", "object"])
def test_what_has_no_good_form_still_has_some(make: Callable[[], object], folder: Path) -> None:
    logger.info("event", extra={"odd": make(), "other": 1})
    (line,) = _written(folder)
    assert line["odd"]
    assert line["other"] == 1


@pytest.mark.parametrize(
    ("message", "argument"), [("%d stations", "five"), ("%s", _Silent()), (_Silent(), None)], ids=["%d", "arg", "msg"]
)
def test_a_message_that_cannot_be_made_loses_no_line(message: str, argument: object, folder: Path) -> None:
    alone = logging.Logger("alone")  # pytest's own handler does not like such messages
    alone.addHandler(next(each for each in logging.getLogger().handlers if isinstance(each, _log_queue.QueueHandler)))
    alone.info(message, *([] if argument is None else [argument]), extra={"other": 1})
    (line,) = _written(folder)
    assert line["msg"]
    assert line["other"] == 1


def test_a_line_tells_how_things_were_when_it_was_logged(folder: Path) -> None:
    value = {"stations": [1, 2]}
    logger.info("%s", value, extra={"value": value})
    value["stations"].append(3)
    (line,) = _written(folder)
    assert line["value"] == {"stations": [1, 2]}
    assert line["msg"] == "{'stations': [1, 2]}"


def test_a_field_cannot_take_the_place_of_one_of_ours(folder: Path) -> None:
    logger.info("event", extra={"level": 3, "ts": "now", "exception": "none"})
    (line,) = _written(folder)
    assert line["level"] == "INFO"
    assert (line["level_"], line["ts_"], line["exception_"]) == (3, "now", "none")
    assert "exception" not in line


def test_an_exception_comes_with_its_traceback(folder: Path) -> None:
    try:
        _raise(KeyError("station"))
    except KeyError:
        logger.exception("failed")
        expected = traceback.format_exc().rstrip()
    (line,) = _written(folder)
    assert line["exception"] == expected
    assert "test_an_exception_comes_with_its_traceback" in expected


def test_contexts_nest_and_end(folder: Path) -> None:
    with log_context(request_id="r1", job_id=1):
        with log_context(job_id=2, source="afdc"):
            logger.info("inner", extra={"source": "irve"})
        logger.info("outer")
        assert current_request_id() == "r1"
    logger.info("none")
    assert current_request_id() is None
    found = [{k: line.get(k) for k in ("request_id", "job_id", "source")} for line in _written(folder)]
    assert found == [
        {"request_id": "r1", "job_id": 2, "source": "irve"},
        {"request_id": "r1", "job_id": 1, "source": None},
        {"request_id": None, "job_id": None, "source": None},
    ]


async def test_tasks_and_their_threads_have_the_context_of_where_they_began(folder: Path) -> None:
    async def request(number: int) -> None:
        with log_context(request_id=f"r{number}"):
            await asyncio.gather(asyncio.to_thread(logger.info, "thread %d", number), nested(number))

    async def nested(number: int) -> None:
        await asyncio.sleep(0)
        logger.info("task %d", number)

    await asyncio.gather(*(request(number) for number in range(5)))
    found = {line["msg"]: line["request_id"] for line in _written(folder) if line["logger"] == logger.name}
    assert found == {f"{kind} {n}": f"r{n}" for n in range(5) for kind in ("task", "thread")}


def test_plain_threads_carry_the_context_when_asked_to(folder: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with log_context(request_id="r1"):
            pool.submit(in_log_context(logger.info), "pool").result(10)
            thread = Thread(target=in_log_context(logger.info), args=("thread",))
            thread.start()
        pool.submit(logger.info, "later").result(10)
        thread.join(10)
    found = {line["msg"]: line.get("request_id") for line in _written(folder)}
    assert found == {"pool": "r1", "thread": "r1", "later": None}


SECRETS = {
    "bearer": "Authorization: Bearer abc.def-123",
    "bearer alone": "sent bearer abc.def-123",
    "basic": "authorization: Basic YWJjLmRlZi0xMjM=abc.def-123",
    "url": "connecting to postgresql://voltway:abc.def-123@db:5432/voltway",
    "odd url": "connecting to postgresql://voltway:a/b?abc.def-123@db:5432/voltway",
    "user-less url": "redis://:abc.def-123@cache:6379/0",
    "query": "GET /v3/poi?output=json&key=abc.def-123&limit=1",
    "query api key": "GET /v3/poi?apikey=abc.def-123",
    "assignment": "password=abc.def-123, user=me",
    "repr": "User(name='me', password='abc.def-123')",
    "json": '{"client_secret": "abc.def-123"}',
    "json in json": '{\\"client_secret\\": \\"abc.def-123\\"}',
    "headers": "[(b'x-api-key', b'abc.def-123'), (b'host', b'a')]",
    "cookie": "Cookie: theme=dark; session=abc.def-123",
    "our key": f"key {KEY} refused",
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_masked_wherever_they_stand(name: str, folder: Path) -> None:
    text = SECRETS[name]
    logger.info(text)
    logger.info("said %s", text, extra={"said": [{"deep": text}], text: 1})
    try:
        _raise(ValueError(text))
    except ValueError:
        logger.exception("failed")
    assert len(_written(folder)) == 3
    for file in ("app.log", "error.log"):
        written = (folder / file).read_text()
        assert "***" in written
        assert "abc.def-123" not in written
        assert KEY not in written


@pytest.mark.parametrize(
    "name", ["password", "X-API-Key", "api_key", "access_token", "client_secret", "Set-Cookie", "proxy-authorization"]
)
def test_fields_are_masked_by_their_name(name: str, folder: Path) -> None:
    value = "hunter2"
    headers = [[name, value], ["accept", "*/*"]]
    logger.info("event", extra={name: value, "a": {"b": [{name: [value]}]}, "headers": headers, "user": "me"})
    (line,) = _written(folder)
    assert "hunter2" not in json.dumps(line)
    assert line[name] == "***"
    assert line["a"] == {"b": [{name: "***"}]}
    assert line["headers"] == [[name, "***"], ["accept", "*/*"]]
    assert line["user"] == "me"


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8000/stations?email=a@b.de",
        "cache key: stations",
        "https://example.org/a",
        "vw_short",
        "no key",
    ],
)
def test_what_is_no_secret_stays(text: str, folder: Path) -> None:
    logger.info(text, extra={"key": text})
    (line,) = _written(folder)
    assert line["msg"] == line["key"] == text


def test_a_full_queue_makes_no_one_wait_and_tells_how_many_lines_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_queue, "CAPACITY", 5)
    taken, room, lines = Event(), Event(), list[Line]()

    def write(some: Any) -> None:
        taken.set()
        assert room.wait(10)
        lines.extend(some)

    handler = _log_queue.QueueHandler(write)
    alone = logging.Logger("alone")
    alone.addHandler(handler)
    before = _sample("log_lines_dropped_total")
    alone.info("first")
    assert taken.wait(10)
    for number in range(12):
        alone.info("line %d", number)
    room.set()
    handler.stop()
    handler.close()
    written = [json.loads(text) for _, text in lines]
    assert [line["msg"] for line in written] == ["first", *(f"line {n}" for n in range(5)), "log_lines_dropped"]
    assert (written[-1]["level"], written[-1]["lines"]) == ("WARNING", 7)
    assert _sample("log_lines_dropped_total") == before + 7


def test_lines_wait_for_others_only_while_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_queue, "_GATHER_S", 600)
    written = Event()
    lines = list[Line]()

    def write(some: Any) -> None:
        lines.extend(some)
        written.set()

    handler = _log_queue.QueueHandler(write)
    alone = logging.Logger("alone")
    alone.addHandler(handler)
    for number in range(600):
        alone.info("line %d", number)
    assert written.wait(10)
    alone.info("last")
    handler.stop()
    handler.close()
    assert len(lines) == 601


def test_a_folder_that_cannot_be_written_leaves_a_console(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    setup_logging(log_dir=tmp_path / "file" / "logs")
    logger.info("started")
    logger.info("still here")
    shutdown_logging()
    complaint, *others = map(json.loads, capfd.readouterr().err.splitlines())
    assert (complaint["level"], complaint["setting"]) == ("WARNING", "LOG_DIR")
    assert str(tmp_path / "file" / "logs") in complaint["folder"]
    assert [line["msg"] for line in others] == ["started", "still here"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_told_once_and_survived(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.log").symlink_to("/dev/full")
    setup_logging(log_dir=tmp_path)
    before = _sample("log_lines_dropped_total")
    logger.info("lost to the file")
    _wait_until(lambda: _sample("log_lines_dropped_total") == before + 1)
    (tmp_path / "app.log").unlink()
    logger.info("back again")
    assert [line["msg"] for line in _written(tmp_path)] == ["back again"]
    told = [json.loads(line)["msg"] for line in capfd.readouterr().err.splitlines()]
    assert told == ["log_files_unwritable", "lost to the file", "back again"]


def _wait_until(condition: Callable[[], bool]) -> None:
    tick = Event()
    for _ in range(1_000):
        if condition():
            return
        tick.wait(0.01)
    raise TimeoutError


def test_a_folder_that_is_taken_away_is_made_again(folder: Path) -> None:
    logger.info("first")
    _wait_until(lambda: (folder / "app.log").stat().st_size > 0)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    before = _sample("log_lines_dropped_total")
    logger.info("lost to the file")
    _wait_until(lambda: _sample("log_lines_dropped_total") > before or (folder / "app.log").exists())
    logger.info("last")
    assert _written(folder)[-1]["msg"] == "last"


def test_setting_up_again_adds_nothing(folder: Path) -> None:
    handlers = list(logging.getLogger().handlers)
    assert setup_logging("tests.logging") is logging.getLogger("tests.logging")
    assert setup_logging() is logging.getLogger()
    assert logging.getLogger().handlers == handlers
    logger.info("once")
    assert [line["msg"] for line in _written(folder)] == ["once"]


def test_setting_up_otherwise_moves_all_that_follows(folder: Path, tmp_path: Path) -> None:
    logger.info("here")
    setup_logging(log_dir=tmp_path / "other", level="warning")
    logger.info("nowhere")
    logger.warning("there")
    assert [line["msg"] for line in _written(tmp_path / "other")] == ["there"]
    assert [line["msg"] for line in _written(folder)] == ["here"]


def test_shutting_down_leaves_logging_as_it_was(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    setup_logging(level="DEBUG", log_dir=tmp_path)
    logger.debug("event")
    shutdown_logging()
    shutdown_logging()
    assert (root.level, root.handlers) == before


def test_text_is_for_people(tmp_path: Path) -> None:
    setup_logging(log_format="text", log_dir=tmp_path)
    logger.info("two\nlines", extra={"path": "/a", "name_": "a b", "n": 1, "password": "x"})
    try:
        _raise(KeyError("station"))
    except KeyError:
        logger.exception("failed")
    shutdown_logging()
    first, second, third, *_, last = (tmp_path / "app.log").read_text().splitlines()
    assert re.sub(r"^\S+Z ", "", first) == (
        r'INFO     tests.logging: two\nlines path=/a name_="a b" n=1 password=***'
    )
    assert "ERROR    tests.logging: failed" in second
    assert third == "Traceback (most recent call last):"
    assert last == "KeyError: 'station'"


def test_settings_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "from environment"))
    monkeypatch.setenv("SLOW_REQUEST_THRESHOLD", "0.25")
    setup_logging()
    logger.warning("not this")
    logger.error("this")
    assert [line["msg"] for line in _written(tmp_path / "from environment")] == ["this"]
    assert LoggingSettings().slow_request_threshold == 0.25


@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "LOUD"), ("LOG_FORMAT", "xml")])
def test_a_wrong_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.lower()):
        setup_logging()


def test_lines_made_later_have_the_time_of_the_call_and_no_secrets(folder: Path) -> None:
    log_later(logger, logging.INFO, "event", {"n": 1, "token": "hunter2"})
    now = datetime.now(UTC)
    log_later(logger, 5, "not this", {})
    (first,) = _written(folder)
    assert datetime.fromisoformat(first["ts"]) <= now
    assert (first["msg"], first["n"], first["token"]) == ("event", 1, "***")


def test_lines_made_later_are_ordinary_without_set_up(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tests.logging"):
        log_later(logger, logging.INFO, "event", {"n": 1})
    assert [(record.message, record.__dict__["n"]) for record in caplog.records] == [("event", 1)]


def test_the_guides_queries_work(folder: Path) -> None:
    for number in range(3):
        logger.info("event", extra={"number": number})
        logger.error("failed", extra={"number": number})
    shutdown_logging()
    if shutil.which("jq") is None:
        skip_or_fail("jq is not installed")
    lines = (folder / "app.log").read_bytes()
    whole = subprocess.run(["jq", "."], input=lines, capture_output=True, check=True, timeout=30)
    command = ["jq", "-c", 'select(.level=="ERROR")']
    errors = subprocess.run(command, input=lines, capture_output=True, check=True, timeout=30)
    assert whole.stdout.count(b'"msg"') == 6
    assert [json.loads(line)["number"] for line in errors.stdout.splitlines()] == [0, 1, 2]


def test_a_console_that_is_gone_stops_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as gone:
        gone.setattr(sys, "stderr", None)
        logger.info("event")
        assert [line["msg"] for line in _written(folder)] == ["event"]
