"""Several processes that answer at one port, and are replaced by new ones on SIGHUP."""

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
from uvicorn.supervisors.multiprocess import Process

from app.errors import VoltWayError
from app.utils.advanced_logging import setup_logging

logger = logging.getLogger(__name__)

_DEATHS_A_WORKER = 5
_WITHIN_S = 60.0
"""Whoever dies more often than this will do so for ever."""
_ANSWER_S = 1.0
"""A process that starts answers its supervisor from a thread."""


class WorkersFailedError(VoltWayError):
    """The worker processes do not start, or do not live."""


class Workers(Multiprocess):
    """uvicorn's, which starts a process anew when it dies; but not without end, and not without a word.

    To reload, it starts a new process, tells an old one to end once the new one answers, and goes on to the next.
    Unlike uvicorn's own, this waits for neither, so that meanwhile signals are heard and the dead replaced.
    """

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        """`config.app`: the application's name, as `module:attribute`."""
        config.app, config.factory = partial(_loaded, str(config.app)), True
        super().__init__(config, sockets)
        self._deaths: deque[float] = deque(maxlen=_DEATHS_A_WORKER * config.workers)
        self._failure: str | None = None
        self._old: list[Process] = []
        """Those that a reload has yet to replace."""
        self._new: Process | None = None
        """The next one's successor, which does not answer yet."""
        self._leaving: list[Process] = []

    def run(self) -> None:
        """Until a signal ends it. Raises WorkersFailedError."""
        super().run()
        if self._failure:
            raise WorkersFailedError(self._failure)

    def restart_all(self) -> None:
        """Begin to; again from the start when told so once more."""
        logger.info("reload_began", extra={"workers": len(self.processes)})
        self._old = list(self.processes)

    def terminate_all(self) -> None:
        if self._new:
            self._leaving.append(self._new)
            self._new.terminate()
        super().terminate_all()

    def join_all(self) -> None:
        for process in (*self.processes, *self._leaving):
            process.join()

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
        self._reload()

    def _reload(self) -> None:
        """One step of it, if there is one to take."""
        self._leaving = [process for process in self._leaving if process.process.is_alive()]
        self._old = [process for process in self._old if process in self.processes]
        if self._new is None:
            if self._old:
                self._new = Process(self.config, self.sockets)
                self._new.start()
        elif not self._new.process.is_alive():
            logger.error("reload_failed", extra={"pid": self._new.pid, "exit_status": self._new.exitcode})
            self._new, self._old = None, []
        elif self._new.is_ready(timeout=_ANSWER_S):
            self._replace(self._new)

    def _replace(self, new: Process) -> None:
        self._new = None
        if not self._old:  # it has died meanwhile, and was replaced
            self._leaving.append(new)
            new.terminate()
            return
        old = self._old.pop(0)
        self.processes[self.processes.index(old)] = new
        self._leaving.append(old)
        old.terminate()
        if not self._old:
            logger.info("reload_ended", extra={"workers": len(self.processes)})

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
