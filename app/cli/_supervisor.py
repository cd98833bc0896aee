"""Processes that are started anew when they die."""

import logging
import time
from abc import abstractmethod
from collections import deque
from socket import socket

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

logger = logging.getLogger(__name__)

NEVER_STARTED = STARTUP_FAILURE
DYING = NEVER_STARTED + 1
"""Status of a supervisor that has given up."""
_DEATHS_EACH = 5
WITHIN_S = 60.0
"""Who dies more often than this will do so for ever."""


class Supervisor(Multiprocess):
    """uvicorn's, but not without end, and not without a word."""

    status = 0
    """To end with. Not 0: it has given up."""

    def __init__(self, config: Config, sockets: list[socket], count: int) -> None:
        super().__init__(config, sockets)
        self.processes_num = count
        self._deaths: deque[float] = deque(maxlen=_DEATHS_EACH * count)

    @abstractmethod
    def started(self) -> Process:
        """Another process."""

    def init_processes(self) -> None:
        self.processes = [self.started() for _ in range(self.processes_num)]

    def keep_subprocess_alive(self) -> None:
        for n, process in enumerate(self.processes):
            if not process.is_alive(self.config.timeout_worker_healthcheck) and not self.should_exit.is_set():
                process.kill()  # it may only be stuck
                process.join()
                self._mourn(process)
                if not self.status:
                    self.processes[n] = self.started()

    def _mourn(self, process: Process) -> None:
        """Perhaps give up: who could not start now cannot start later."""
        now = time.monotonic()
        self._deaths.append(now)
        if process.exitcode in {NEVER_STARTED, DYING}:
            self.status = process.exitcode
        else:
            logger.warning("worker_died", extra={"pid": process.pid, "exit_status": process.exitcode})
            if len(self._deaths) == self._deaths.maxlen and now - self._deaths[0] < WITHIN_S:
                self.status = DYING
        if self.status:
            self.should_exit.set()

    def handle_ttin(self) -> None:
        """The number of processes stays as it is."""

    handle_ttou = handle_ttin
