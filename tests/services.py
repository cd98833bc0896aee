"""Servers that tests need, started privately for one run: own data folder, own free port, gone afterwards."""

import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgresql_programs() -> Path | None:
    """Folder of `initdb` and `pg_ctl`; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return folders[-1] if folders else None


@dataclass(frozen=True)
class PostgresqlServer:
    url: str
    """Of the empty database `postgres`."""
    stop: Callable[[], None]
    """At once, as a crash does."""
    start: Callable[[], None]


@contextmanager
def postgresql(programs: Path) -> Iterator[str]:
    """Yield the URL of a new server's empty database `postgres`."""
    with restartable_postgresql(programs) as server:
        yield server.url


@contextmanager
def restartable_postgresql(programs: Path) -> Iterator[PostgresqlServer]:
    """A new server, running."""
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="voltway-postgresql-"))
    if account:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
    port = free_port()

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [programs / program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False,
            **account,  # type: ignore[call-overload]
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")

    try:
        run("initdb", "-D", "data", "-U", "voltway", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        server = PostgresqlServer(
            f"postgresql://voltway@127.0.0.1:{port}/postgres",
            stop=lambda: run("pg_ctl", "-D", "data", "-m", "immediate", "stop"),
            start=lambda: run("pg_ctl", "-D", "data", "-w", "-l", "server.log", "-o", options, "start"),
        )
        server.start()
        try:
            yield server
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class RedisServer:
    url: str
    process: subprocess.Popen[bytes]
    """To stop, continue or kill."""


@contextmanager
def redis(*options: str, port: int | None = None) -> Iterator[RedisServer]:
    """A new server that keeps nothing on disk; `options` as on its command line. None: a free port."""
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="voltway-redis-"))
    process = subprocess.Popen(
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", *options],
        cwd=folder, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for_port(port, process)
        yield RedisServer(f"redis://127.0.0.1:{port}/0", process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"no server at port {port} (exit status {process.poll()})")


@contextmanager
def same_answer(answer: bytes, delay_s: float = 0) -> Iterator[int]:
    """The port of a server that has the same answer to everything."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65_536):
                time.sleep(delay_s)
                self.request.sendall(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """The client hangs up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()
