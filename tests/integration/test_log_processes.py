"""Logs of real processes: several in one folder, forked ones, ended ones, and a web server."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.services import free_port

ROOT = Path(__file__).parents[2]
PROCESSES, LINES = 4, 2_000


@contextmanager
def _python(
    code: str, folder: Path, *arguments: object, stdin: int | None = None, stderr: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *map(str, arguments)]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # it takes SIGTERM
    environment = ours | {"LOG_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=folder.parent, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _run(code: str, folder: Path, stderr: int = subprocess.DEVNULL) -> None:
    with _python(code, folder, stderr=stderr) as process:
        assert process.wait(60) == 0


def _written(folder: Path) -> list[dict[str, Any]]:
    """Of all files, the oldest first. Raises ValueError for a line that is torn."""
    files = sorted(folder.glob("app.log*"), key=lambda file: -int(file.suffix[1:] if file.suffix != ".log" else 0))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def test_processes_share_a_rotating_file_and_lose_nothing(tmp_path: Path) -> None:
    code = """
import sys
from app.utils import _log_outputs
_log_outputs.MAX_BYTES, _log_outputs.BACKUPS = 40_000, 1_000
from app.utils.advanced_logging import setup_logging
logger = setup_logging("writer")
print(flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    logger.info("event", extra={"writer": int(sys.argv[1]), "number": number, "filler": "é" * (number % 50)})
"""
    folder = tmp_path / "logs"
    started = [_python(code, folder, writer, LINES, stdin=subprocess.PIPE) for writer in range(PROCESSES)]
    processes = [each.__enter__() for each in started]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        assert [process.wait(60) for process in processes] == [0] * PROCESSES
    finally:
        for each in started:
            each.__exit__(None, None, None)
    written = _written(folder)
    assert len(list(folder.glob("app.log.*"))) >= 10
    for writer in range(PROCESSES):
        assert [line["number"] for line in written if line["writer"] == writer] == list(range(LINES))


def test_what_is_logged_last_is_written(tmp_path: Path) -> None:
    code = """
from app.utils.advanced_logging import setup_logging
logger = setup_logging("main")
logger.info("first")
raise SystemExit(logger.error("last"))
"""
    _run(code, tmp_path / "logs")
    assert [line["msg"] for line in _written(tmp_path / "logs")] == ["first", "last"]


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_child_processes_write_their_lines_once(how: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import multiprocessing, sys
from app.utils.advanced_logging import setup_logging
logger = setup_logging("main")

def work(number):
    logger.info("child", extra={"number": number})

if __name__ == "__main__":
    logger.info("before")
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work, args=(number,)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    logger.info("after")
""")
    environment = os.environ | {"LOG_DIR": str(tmp_path / "logs"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "script.py", how]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=60, stderr=subprocess.DEVNULL)
    found = Counter((line["msg"], line.get("number")) for line in _written(tmp_path / "logs"))
    assert found == Counter([("before", None), ("after", None), ("child", 0), ("child", 1), ("child", 2)])


def test_a_busy_process_can_be_forked(tmp_path: Path) -> None:
    code = """
import os, threading
from app.utils.advanced_logging import setup_logging, shutdown_logging
logger = setup_logging("main")
done = threading.Event()

def chatter():
    number = 0
    while not done.is_set() and number < 5_000:
        logger.info("chatter", extra={"number": number})
        number += 1

thread = threading.Thread(target=chatter)
thread.start()
for child in range(10):
    if (pid := os.fork()) == 0:
        logger.info("child", extra={"number": child})
        shutdown_logging()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
done.set()
thread.join()
"""
    _run(code, tmp_path / "logs")
    written = _written(tmp_path / "logs")
    assert sorted(line["number"] for line in written if line["msg"] == "child") == list(range(10))
    chatter = [line["number"] for line in written if line["msg"] == "chatter"]
    assert chatter == list(range(len(chatter)))


def test_warnings_are_lines(tmp_path: Path) -> None:
    code = """
import warnings
from app.utils.advanced_logging import setup_logging
setup_logging()
warnings.warn("old and tired", UserWarning)
"""
    _run(code, tmp_path / "logs")
    (line,) = _written(tmp_path / "logs")
    assert (line["level"], line["logger"]) == ("WARNING", "py.warnings")
    assert "UserWarning: old and tired" in line["msg"]


def test_a_terminal_gets_text(tmp_path: Path) -> None:
    code = 'from app.utils.advanced_logging import setup_logging; setup_logging("main").info("event", extra={"n": 1})'
    ours, theirs = pty.openpty()
    try:
        _run(code, tmp_path / "logs", stderr=theirs)
        shown = os.read(ours, 1_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert shown.endswith("INFO     main: event n=1\r\n")
    assert [line["n"] for line in _written(tmp_path / "logs")] == [1]


def test_a_console_that_nobody_reads_keeps_no_process_from_ending(tmp_path: Path) -> None:
    code = """
from app.utils import _log_queue
_log_queue._STOP_S = 0.2
from app.utils.advanced_logging import setup_logging
logger = setup_logging("main")
for number in range(2_000):
    logger.info("x" * 500)
"""
    with _python(code, tmp_path / "logs", stderr=subprocess.PIPE) as process:
        assert process.wait(60) == 0


@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_pipe_gets_every_line_whole(letter: str, tmp_path: Path) -> None:
    code = """
import sys
from app.utils.advanced_logging import setup_logging
logger = setup_logging("main")
for number in range(300):
    logger.info(sys.argv[1] * 400, extra={"number": number})
"""
    with _python(code, tmp_path / "logs", letter, stderr=subprocess.PIPE) as process:
        _, shown = process.communicate(timeout=60)
    lines = [json.loads(line) for line in shown.splitlines()]
    assert lines == _written(tmp_path / "logs")
    assert [line["number"] for line in lines] == list(range(300))


SERVER = """
import asyncio, sys
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from app.middleware.logging import PerformanceMiddleware, RequestLoggingMiddleware
from app.utils.advanced_logging import setup_logging
from app.utils.metrics import get_metrics
from fastapi.responses import Response

logger = setup_logging("server")
app = FastAPI()
app.add_middleware(PerformanceMiddleware)
app.add_middleware(RequestLoggingMiddleware)

@app.get("/events")
async def events():
    async def endless():
        while True:
            yield b"data: tick\\n\\n"
            await asyncio.sleep(0.01)
    return StreamingResponse(endless(), media_type="text/event-stream")

@app.get("/metrics")
async def measured():
    return Response(get_metrics())

uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_config=None)
"""


def test_a_listener_that_goes_away_is_told_and_no_longer_counted(tmp_path: Path) -> None:
    folder, port = tmp_path / "logs", free_port()
    with _python(SERVER, folder, port) as process:
        with closing(_connected(port)) as listener:
            listener.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\nX-Request-ID: gone-1\r\n\r\n")
            assert b"data: tick" in _read_until(listener, b"data: tick")
        line = _awaited_line(folder, "gone-1")
        assert (line["status"], line["disconnected"], line["level"]) == (200, True, "INFO")
        assert line["response_bytes"] > 0
        with closing(_connected(port)) as asking:
            asking.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert b"\nrequests_in_progress 1.0\n" in _read_until(
                asking, b"\nrequests_in_progress ", b"\n"
            )  # its own
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    uvicorns = [line["msg"] for line in _written(folder) if line["logger"] == "uvicorn.error"]
    assert any("Uvicorn running on" in message for message in uvicorns)
    assert any("Finished server process" in message for message in uvicorns)


def _connected(port: int) -> socket.socket:
    for _ in range(600):
        with suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        time.sleep(0.05)
    raise TimeoutError


def _read_until(connection: socket.socket, *marks: bytes) -> bytes:
    """Until the marks have come, one after the other, or the connection ends."""
    found = b""
    while part := connection.recv(1 << 16):
        found += part
        position = 0
        for mark in marks:
            position = found.find(mark, position) + len(mark)
            if position < len(mark):
                break
        else:
            return found
    return found


def _awaited_line(folder: Path, request_id: str) -> dict[str, Any]:
    for _ in range(600):
        for line in _written(folder):
            if line.get("request_id") == request_id:
                return line
        time.sleep(0.05)
    raise TimeoutError
