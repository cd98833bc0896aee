"""Between those who log and the thread that writes: a bounded queue that never makes anyone wait."""

import logging
import sys
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.util import Finalize
from threading import Event, Lock, Thread
from typing import Any

from app.utils import metrics
from app.utils._log_outputs import Line, own_line
from app.utils._log_render import as_json, fields_as_json

CAPACITY = 10_000
"""Lines that may wait."""
_AT_ONCE = 500
"""Lines written together; when so many wait, they are written at once."""
_GATHER_S = 0.1
"""Fewer wait so long for others: waking the thread costs the one that serves as much as a dozen lines."""
_STOP_S = 5
"""A console that takes nothing must not keep the process from ending."""


Unrendered = tuple[float, int, str, str, Mapping[str, Any]]
"""The arguments of `fields_as_json`. One flat tuple, as the garbage collector looks at all that wait."""


class QueueHandler(logging.Handler):
    """Renders each record in the caller's thread and lets a thread of its own `write` it. A line that finds the
    queue full is counted and left out; a warning tells how many, once there is room again.

    The thread starts with the first line, so a process that was forked starts its own. `stop` ends it.
    """

    def __init__(self, write: Callable[[Sequence[Line]], None]) -> None:
        super().__init__()
        self._write = write
        self._waiting: deque[Line | Unrendered] = deque()
        self._dropped = self._told = 0
        self._begin_anew()

    def emit(self, record: logging.LogRecord) -> None:
        if self._has_room():
            self._put((record.levelno, as_json(record)))

    def put_unrendered(self, created: float, level: int, logger: str, event: str, fields: Mapping[str, Any]) -> None:
        """A line that the thread makes, by `fields_as_json`."""
        if self._has_room():
            self._put((created, level, logger, event, fields))

    def _has_room(self) -> bool:
        if len(self._waiting) < CAPACITY:
            return True
        with self._counting:
            self._dropped += 1
        metrics.log_lines_dropped.inc()
        return False

    def _put(self, line: Line | Unrendered) -> None:
        self._waiting.append(line)
        if not self._filled.is_set():
            self._filled.set()
        if len(self._waiting) >= _AT_ONCE and not self._hurry.is_set():
            self._hurry.set()
        if self._thread is None:
            self._start()

    def stop(self) -> None:
        """Write what waits, and end the thread; a later line starts another."""
        if self._thread is not None:
            self._finalizer.cancel()
            self._stopping.set()
            self._hurry.set()
            self._filled.set()
            self._thread.join(_STOP_S)
            self._begin_anew()

    def before_fork(self) -> None:
        """Nothing may be half written when the process is copied."""
        self._held_for_fork = self._writing.acquire(timeout=_STOP_S)

    def after_fork(self) -> None:
        if self._held_for_fork:
            self._writing.release()

    def after_fork_in_child(self) -> None:
        """What waits is the parent's to write."""
        self._waiting.clear()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._thread: Thread | None = None
        self._starting, self._counting, self._writing = Lock(), Lock(), Lock()
        self._filled, self._hurry, self._stopping = Event(), Event(), Event()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                events = self._filled, self._hurry, self._stopping
                self._thread = Thread(target=self._run, args=events, name="log", daemon=True)
                self._thread.start()
                self._finalizer = Finalize(None, self.stop, exitpriority=0)  # `multiprocessing` ends without atexit

    def _run(self, filled: Event, hurry: Event, stopping: Event) -> None:
        while not (stopping.is_set() and not self._waiting):
            filled.wait()
            hurry.wait(_GATHER_S)
            hurry.clear()
            filled.clear()
            with self._writing:
                self._write_waiting()

    def _write_waiting(self) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
            self._write_safely([*map(_rendered, taken)])
        if self._dropped > self._told:
            missing, self._told = self._dropped - self._told, self._dropped
            self._write_safely([own_line("log_lines_dropped", lines=missing)])

    def _write_safely(self, lines: Sequence[Line]) -> None:
        """The thread outlives every mistake."""
        try:
            self._write(lines)
        except Exception:
            metrics.log_lines_dropped.inc(len(lines))
            if sys.stderr:
                traceback.print_exc()


def _rendered(line: Line | Unrendered) -> Line:
    if len(line) == 2:
        return line
    try:
        return line[1], fields_as_json(*line)
    except Exception as error:
        return own_line("log_line_not_rendered", error=error)
