"""Several processes that answer at one port: a fault that all of them share ends the command, and is told."""

import logging
import sys
import time
from collections import deque
from functools import partial
from socket import socket
from typing import Any

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.importer import import_from_string
from uvicorn.supervisors import Multiprocess

from app.errors import VoltWayError
from app.utils.advanced_logging import setup_logging

logger = logging.getLogger(__name__)

_DEATHS_A_WORKER = 5
_WITHIN_S = 60.0
"""Whoever dies more often than this will do so for ever."""


class WorkersFailedError(VoltWayError):
    """The worker processes do not start, or do not live."""


class Workers(Multiprocess):
    """uvicorn's, which starts a process anew when it dies; but not without end, and not without a word."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        """`config.app`: the application's name, as `module:attribute`."""
        config.app, config.factory = partial(_loaded, str(config.app)), True
        super().__init__(config, sockets)
        self._deaths: deque[float] = deque(maxlen=_DEATHS_A_WORKER * config.workers)
        self._failure: str | None = None

    def run(self) -> None:
        """Until a signal ends it. Raises WorkersFailedError."""
        super().run()
        if self._failure:
            raise WorkersFailedError(self._failure)

    def keep_subprocess_alive(self) -> None:
        if self.should_exit.is_set():
            return
        before = list(self.processes)
        super().keep_subprocess_alive()
        if self.should_exit.is_set():
            self._failure = "A worker process could not start; the log says why."
            return
        for process in before:
            if process not in self.processes:
                logger.warning("worker_died", extra={"pid": process.pid, "exit_status": process.exitcode})
                self._died()

    def _died(self) -> None:
        now = time.monotonic()
        self._deaths.append(now)
        if len(self._deaths) == self._deaths.maxlen and now - self._deaths[0] < _WITHIN_S:
            self._failure = f"{len(self._deaths)} worker processes died within {_WITHIN_S:g} s; the log says more."
            self.should_exit.set()


def _loaded(name: str) -> Any:
    """Ends the process as one that need not be started anew: what cannot be loaded now cannot be loaded later."""
    setup_logging()  # the application would, if it came so far
    try:
        return import_from_string(name)
    except VoltWayError as error:
        logger.error("application_not_loaded", extra={"error": str(error)})  # noqa: TRY400 - the message says all
    except Exception:
        logger.exception("application_not_loaded")
    sys.exit(STARTUP_FAILURE)
