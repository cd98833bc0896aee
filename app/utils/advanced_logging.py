"""Structured logs of a whole process from one call: `logger = setup_logging(__name__)`.

Every record of the standard `logging` module, of uvicorn and of `warnings` becomes one line in `LOG_DIR/app.log`
(ERROR and above also in `LOG_DIR/error.log`) and on standard error. A line holds `ts` (UTC), `level`, `logger`,
`msg`, the fields of the `log_context` that it is logged in, those given as `extra`, and `exception`. Lines are
rendered where they are logged and written by a thread; several processes may share the folder. What looks like
a secret is masked.

    logger.info("import_finished", extra={"source": "afdc", "stations": 5_571})
"""

import atexit
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from threading import RLock, current_thread, main_thread
from time import time
from types import FrameType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.utils._log_context import current_request_id, in_log_context, log_context
from app.utils._log_outputs import LogFormat, Outputs
from app.utils._log_queue import QueueHandler

__all__ = [
    "LoggingSettings",
    "current_request_id",
    "in_log_context",
    "log_context",
    "log_later",
    "setup_logging",
    "shutdown_logging",
]

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
_WITH_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class LoggingSettings(BaseSettings):
    """Read by the first `setup_logging` of a process."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    log_level: Annotated[Level, BeforeValidator(lambda given: str(given).upper())] = "INFO"
    """Least level that is written: DEBUG, INFO, WARNING, ERROR or CRITICAL."""
    log_format: LogFormat = "json"
    """`json`, one object a line, for machines; `text` for eyes. A terminal gets text in any case."""
    log_dir: Path = Path("logs")
    """Folder of app.log and error.log, which is made if need be. Where it cannot be written, only the console is."""
    slow_request_threshold: Annotated[float, Field(ge=0)] = 1.0
    """Seconds; a request that takes longer is a warning in the log."""


class _Running:
    """What one configuration has set up, and how to undo it."""

    def __init__(self, settings: LoggingSettings) -> None:
        self.settings = settings
        self.outputs = Outputs(settings.log_dir, settings.log_format)
        self.handler = QueueHandler(self.outputs.write)
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(settings.log_level)
        root.addHandler(self.handler)
        logging.captureWarnings(True)
        for name in _WITH_OWN_HANDLERS:
            logger = logging.getLogger(name)
            if logger.handlers:  # without any, it was turned off, as by `access_log=False`
                logger.handlers.clear()
                logger.propagate = True
        if _is_main() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _end)

    def stop(self) -> None:
        root = logging.getLogger()
        root.removeHandler(self.handler)
        root.setLevel(self._level)
        logging.captureWarnings(False)
        if _is_main() and signal.getsignal(signal.SIGTERM) is _end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.handler.stop()
        self.handler.close()
        self.outputs.close()


def _is_main() -> bool:
    return current_thread() is main_thread()


def _end(number: int, _: FrameType | None) -> None:
    """As without a handler, but no line is lost. Servers send themselves the signal again when they are done."""
    shutdown_logging()
    signal.raise_signal(number)


_running: _Running | None = None
_lock = RLock()


def setup_logging(
    name: str | None = None,
    *,
    level: str | None = None,
    log_format: LogFormat | None = None,
    log_dir: str | os.PathLike[str] | None = None,
) -> logging.Logger:
    """The standard logger `name` (None: the root), of a process whose logging is configured.

    The first call configures it, by LOG_LEVEL, LOG_FORMAT and LOG_DIR where an argument is None; later ones do
    so anew only if an argument says something else. Raises pydantic's ValidationError for an unknown level or
    format. `shutdown_logging`, which the end of the process (by SIGTERM too) calls as well, writes what waits.
    """
    given: dict[str, Any] = {"log_level": level, "log_format": log_format, "log_dir": log_dir}
    given = {setting: value for setting, value in given.items() if value is not None}
    global _running  # noqa: PLW0603
    with _lock:
        if _running is None or given:
            before = {} if _running is None else _running.settings.model_dump()
            settings = LoggingSettings(**before | given)
            if _running is None or settings != _running.settings:
                shutdown_logging()
                _running = _Running(settings)
    return logging.getLogger(name)


def log_later(logger: logging.Logger, level: int, event: str, fields: Mapping[str, Any]) -> None:
    """One line where every microsecond counts: it is made in the thread that writes, so `fields` must not change any
    more, and should hold plain values only: what waits for the thread is kept from the garbage collector. The
    `log_context` is not added, and handlers of others do not see the line. Where `setup_logging` was not called it
    is an ordinary call of the logger."""
    if not logger.isEnabledFor(level):
        return
    if _running is None:
        logger.log(level, event, extra=dict(fields))
    else:
        _running.handler.put_unrendered(time(), level, logger.name, event, fields)


def shutdown_logging() -> None:
    """Write what waits, within 5 seconds, and leave `logging` as it was. Does nothing where nothing is set up."""
    global _running
    with _lock:
        running, _running = _running, None
        if running is not None:
            running.stop()


atexit.register(shutdown_logging)


def _before_fork() -> None:
    _lock.acquire()
    if _running is not None:
        _running.handler.before_fork()


def _after_fork() -> None:
    if _running is not None:
        _running.handler.after_fork()
    _lock.release()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603
    _lock = RLock()
    if _running is not None:
        _running.handler.after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
