"""Server processes to be measured: what they take of the processors and of memory."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.services import free_port

_ROOT = Path(__file__).parents[1]
_START_S = 300
SERVE = ("app.cli", "serve", "--port", "{port}")


@dataclass(frozen=True)
class Server:
    """One that accepts connections."""

    port: int
    process: psutil.Process
    """The parent, where there are several."""

    def processes(self) -> list[psutil.Process]:
        """All of them."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_s(self) -> float:
        """Processor time that they have taken, in steps of 10 ms."""
        times = [process.cpu_times() for process in self.processes()]
        return sum(each.user + each.system for each in times)

    def pss_mib(self) -> float:
        """Memory that they take: what several share counts once."""
        return sum(_pss_kib(process.pid) for process in self.processes()) / 1024


def _pss_kib(pid: int) -> int:
    """The proportional set size, as Linux tells it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@contextmanager
def server(database_url: str, *command: str, **settings: str) -> Iterator[Server]:
    """Run `python -m COMMAND`, in which `{port}` stands for a free port, and yield it once it accepts.

    Raises RuntimeError with what it printed if it does not."""
    port = free_port()
    arguments = [sys.executable, "-m", *(part.format(port=port) for part in command)]
    environment = os.environ | {"DATABASE_URL": database_url} | settings
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(arguments, cwd=_ROOT, env=environment, stdout=log, stderr=log)
        try:
            if not _accepts(port, process):
                log.seek(0)
                raise RuntimeError(f"{' '.join(command)} does not answer ({process.poll()}):\n{log.read().decode()}")
            yield Server(port, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(30)


def _accepts(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it does; False when the process ends before, or the time."""
    end = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.01)
    return False
