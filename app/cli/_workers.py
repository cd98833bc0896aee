"""Several processes that answer at one port, and are replaced by new ones on SIGHUP.

`voltway serve` starts a crew: a process that loads the application and forks the workers. What loading leaves in
memory is there once for all of them, and a worker that dies has a successor in a moment. A reload starts another
crew, which reads everything anew, and lets the old one end once the new one answers.
"""

import gc
import logging
import os
import signal
import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection
from socket import socket
from typing import Any, cast

from uvicorn import Config
from uvicorn._subprocess import subprocess_started
from uvicorn.importer import import_from_string
from uvicorn.supervisors.multiprocess import Process

from app.cli._supervisor import DYING, NEVER_STARTED, WITHIN_S, Supervisor
from app.errors import VoltWayError
from app.utils.advanced_logging import setup_logging, shutdown_logging

logger = logging.getLogger(__name__)

_CAUSES = {
    NEVER_STARTED: "A worker process could not start; the log says why.",
    DYING: f"Worker processes died again and again within {WITHIN_S:g} s; the log says more.",
}
_LOOK_S = 1.0
_ENDING = signal.SIGTERM, signal.SIGINT


class WorkersFailedError(VoltWayError):
    """The worker processes do not start, or do not live."""


class Workers(Supervisor):
    """Supervises a crew; while it reloads, two of them."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        """`config.app`: the application's name, as `module:attribute`."""
        super().__init__(config, sockets, 1)
        self._new: _Crew | None = None
        """The successor, which does not answer yet."""
        self._leaving: list[Process] = []

    def run(self) -> None:
        """Until a signal ends it. Raises WorkersFailedError."""
        super().run()
        if self.status:
            raise WorkersFailedError(_CAUSES[self.status])

    def started(self) -> "_Crew":
        crew = _Crew(self.config, self.sockets)
        crew.start()
        return crew

    def restart_all(self) -> None:
        """Begin to; from the start when told so once more."""
        logger.info("reload_began", extra={"workers": self.config.workers})
        if self._new:
            self._let_go(self._new)
        self._new = self.started()

    def terminate_all(self) -> None:
        if self._new:
            self._let_go(self._new)
        super().terminate_all()

    def join_all(self) -> None:
        for process in (*self.processes, *self._leaving):
            process.join()

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        self._leaving = [crew for crew in self._leaving if crew.is_alive()]
        if self._new is None:
            return
        if not self._new.is_alive():
            logger.error("reload_failed", extra={"pid": self._new.pid, "exit_status": self._new.exitcode})
            self._new = None
        elif self._new.is_ready():
            self._let_go(self.processes[0])
            self.processes, self._new = [self._new], None
            logger.info("reload_ended", extra={"workers": self.config.workers})

    def _let_go(self, crew: Process) -> None:
        crew.terminate()
        self._leaving.append(crew)


class _Crew(Process):
    """A process that has loaded the application, with its workers."""

    def target(self, sockets: list[socket] | None = None) -> None:
        """In that process."""
        self.config.app = _loaded(str(self.config.app))
        self.config.load()
        gc.freeze()  # or its first look at what is shared would copy it
        forks = _Forks(self.config, sockets or [], self.child_conn)
        forks.run()
        sys.exit(forks.status)

    def is_alive(self, timeout: float = 0) -> bool:
        return self.process.is_alive()

    def is_ready(self, timeout: float = 0) -> bool:
        """Whether all workers answer."""
        return self.parent_conn.poll(timeout)


class _Forks(Supervisor):
    """Supervises the workers of a crew."""

    def __init__(self, config: Config, sockets: list[socket], parent: Connection) -> None:
        self._handlers = {number: signal.getsignal(number) for number in _ENDING}
        super().__init__(config, sockets, config.workers)
        self._parent, self._parent_id = parent, os.getppid()
        self._are_ready = False

    def started(self) -> "_Fork":
        fork = _Fork(self.config, self.sockets, self._handlers)
        fork.start()
        return fork

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        if os.getppid() != self._parent_id:
            self.should_exit.set()
        if not self._are_ready and all(process.is_ready() for process in self.processes):
            self._are_ready = True
            self._parent.send(True)

    def handle_hup(self) -> None:
        """For the parent, though a terminal tells all of us."""


class _Fork(Process):
    """A worker."""

    def __init__(self, config: Config, sockets: list[socket], handlers: dict[signal.Signals, Any]) -> None:
        """`handlers`: of the signals that end a process, which its supervisor has taken."""
        super().__init__(config, sockets)
        forked = get_context("fork").Process(target=subprocess_started, args=(config, self.target, sockets, None))
        self.process = cast("Any", forked)
        self._handlers = handlers
        self._parent_id = os.getpid()

    def start(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # or the child might take one for its supervisor's
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)

    def target(self, sockets: list[socket] | None = None) -> None:
        """In that process."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        shutdown_logging()  # the application sets it up anew, with files of its own
        super().target(sockets)

    def always_pong(self) -> None:
        """As long as there is a supervisor."""
        while os.getppid() == self._parent_id:
            if self.child_conn.poll(_LOOK_S):
                self.pong()
        os.kill(os.getpid(), signal.SIGTERM)


def _loaded(name: str) -> Any:
    """Ends the process as one that need not be started anew: what cannot be loaded now cannot be loaded later."""
    setup_logging()  # the application would, if it came so far
    try:
        return import_from_string(name)
    except VoltWayError as error:
        logger.error("application_not_loaded", extra={"error": str(error)})  # noqa: TRY400 - the message says all
    except Exception:
        logger.exception("application_not_loaded")
    sys.exit(NEVER_STARTED)
