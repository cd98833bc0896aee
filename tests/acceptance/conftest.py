"""VoltWay as its users meet it: the installed command, and its answers over HTTP."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.reduction import DupFd
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread
from typing import Any

import httpx2 as httpx
import psutil
import pytest

from app.cli.main import main
from tests.services import free_port

VOLTWAY = Path(sys.executable).with_name("voltway")
Command = Callable[..., subprocess.CompletedProcess[str]]


ON_EVERY_PYTHON = {"test_cli", "test_http", "test_serve", "test_stream"}
"""What goes through the installed command takes long. These show that it runs; the rest is marked `once`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.stem not in ON_EVERY_PYTHON:
            item.add_marker("once")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """That of an installation of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "DATA_DIR"}}
    return kept | {"DATA_DIR": str(folder), "COLUMNS": "200"} | more


_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload(
    [
        f"app.cli.{part}"
        for part in ("demo", "export", "imports", "jobs", "keys", "migrate", "near", "serve", "sources")
    ]
)


def voltway(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, which has its modules from another one: loading them anew for each
    of the many runs would take a minute. What happens before they are loaded is left to `installed`."""
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        outputs = DupFd(out.fileno()), DupFd(err.fileno())
        process = _forked.Process(target=_main, args=(arguments, environment(folder, **more), folder, outputs))
        process.start()
        process.join(timeout=120)
        if process.is_alive():
            process.kill()
            raise TimeoutError(arguments)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
        assert process.exitcode is not None
        return subprocess.CompletedProcess(arguments, process.exitcode, *texts)


def _main(arguments: tuple[str, ...], variables: dict[str, str], folder: Path, outputs: tuple[Any, Any]) -> None:
    for number, output in enumerate(outputs, start=1):
        os.dup2(output.detach(), number)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.argv = ["voltway", *arguments]
    main()


def installed(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user's shell does."""
    return subprocess.run(
        [VOLTWAY, *arguments],
        env=environment(folder, **more),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run `voltway` in a fresh data directory."""
    return lambda *arguments, **more: voltway(tmp_path, *arguments, **more)


@contextmanager
def serving(folder: Path, *options: str, **more: str) -> Iterator[str]:
    """Run `voltway serve` and yield its address once it answers."""
    port = free_port()
    process = subprocess.Popen(
        [VOLTWAY, "serve", "--port", str(port), *options],
        env=environment(folder, **more),
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    lines = []
    draining = Thread(target=process.stderr.read)
    try:
        for line in process.stderr:
            lines.append(line)
            if "Application startup complete" in line:
                break
        else:
            raise AssertionError(f"the server did not start: {''.join(lines)}")
        draining.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        if draining.ident:
            draining.join()
        process.stderr.close()


def process_of(address: str) -> psutil.Process:
    """That of `serving`; with several workers, their parent."""
    asked = ["serve", "--port", address.rpartition(":")[2]]
    running = psutil.process_iter(["cmdline"])
    (found,) = (each for each in running if "".join(asked) in "".join(each.info["cmdline"] or []))
    return found


def workers_of(parent: psutil.Process) -> set[int]:
    """Forked from a process that has loaded the application, of which there are two for a moment."""
    return {worker.pid for loaded in parent.children() for worker in _children(loaded)}


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the demo network."""
    folder = tmp_path_factory.mktemp("demo")
    for arguments in (["migrate"], ["demo"]):
        done = voltway(folder, *arguments)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def demo_address(demo_folder: Path) -> Iterator[str]:
    with serving(demo_folder) as address:
        yield address


@pytest.fixture
def http(demo_address: str) -> Iterator[httpx.Client]:
    """A client of a server with the demo network."""
    with httpx.Client(base_url=demo_address, timeout=30) as client:
        yield client
