"""Where log lines go: two files that several processes share, and the console."""

import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from logging import ERROR, NOTSET, WARNING, LogRecord, makeLogRecord
from pathlib import Path
from select import PIPE_BUF, select
from typing import Any, Literal

from concurrent_log_handler import ConcurrentRotatingFileHandler

from app.utils import metrics
from app.utils._log_render import as_json, as_text, level_name
from app.utils._log_secrets import mask_lines

LogFormat = Literal["json", "text"]
Line = tuple[int, bytes]
"""Level, and the JSON object."""

MAX_BYTES = 50 << 20
"""Size at which a file is put aside. Every process that writes to a file must use the same."""
_CONSOLE_PATIENCE_S = 1.0
BACKUPS = 5
"""Files put aside that are kept, of each of the two."""

_SHOWN: dict[LogFormat, Callable[[bytes], str]] = {"json": bytes.decode, "text": as_text}


def own_line(event: str, **fields: Any) -> Line:
    """A warning of the log about itself."""
    record = {"name": "app.utils.advanced_logging", "levelno": WARNING, "msg": event, **fields}
    return WARNING, as_json(makeLogRecord(record))


class Outputs:
    """`app.log` with every line and `error.log` with those of ERROR and above, in `folder`; and standard error,
    as text where that is a terminal. For one thread at a time."""

    def __init__(self, folder: Path, log_format: LogFormat) -> None:
        self._folder = folder
        self._shown = _SHOWN[log_format]
        self._console_shown = as_text if sys.stderr and sys.stderr.isatty() else self._shown
        self._files = [(NOTSET, _File(folder / "app.log")), (ERROR, _File(folder / "error.log"))]
        self._broken = self._console_stuck = False
        self._open_files()

    def write(self, lines: Sequence[Line]) -> None:
        """What cannot be written to the files is told on the console."""
        masked = mask_lines([text for _, text in lines])
        lines = [(level, text) for (level, _), text in zip(lines, masked, strict=True)]
        self._write_files(lines)
        self._write_console(lines)
        for level, count in Counter(level for level, _ in lines).items():
            metrics.log_lines.labels(level_name(level)).inc(count)

    def close(self) -> None:
        for _, file in self._files:
            file.close()

    def _open_files(self) -> None:
        """So that they can be followed from the start, and that an operator learns now that they cannot."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for _, file in self._files:
                Path(file.baseFilename).touch()
                with Path(file.baseFilename).open("a"):
                    pass
        except OSError as error:
            self._tell(error)

    def _write_files(self, lines: Sequence[Line]) -> None:
        try:
            if self._broken:
                self._folder.mkdir(parents=True, exist_ok=True)
            for least, file in self._files:
                file.append([self._shown(text) for level, text in lines if level >= least])
        except OSError as error:
            metrics.log_lines_dropped.inc(len(lines))
            self._tell(error)
        else:
            self._broken = False

    def _tell(self, error: OSError) -> None:
        """Once for as long as it lasts."""
        if not self._broken:
            self._broken = True
            line = own_line("log_files_unwritable", setting="LOG_DIR", folder=self._folder, error=str(error))
            self._write_console([line])

    def _write_console(self, lines: Sequence[Line]) -> None:
        """A console that nobody reads loses lines; the files do not wait for it."""
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            text = "".join(f"{self._console_shown(text)}\n" for _, text in lines)
            for part in _parts(text):
                if not self._console_is_read():
                    return
                sys.stderr.write(part)
                sys.stderr.flush()

    def _console_is_read(self) -> bool:
        patience_s = 0 if self._console_stuck else _CONSOLE_PATIENCE_S
        try:
            _, ready, _ = select([], [sys.stderr.fileno()], [], patience_s)
        except OSError:  # not a file of the system, so nothing can be stuck in it
            return True
        self._console_stuck = not ready
        return bool(ready)


def _parts(text: str) -> Iterator[str]:
    """What the console takes at once whenever it says that it takes anything: a file all, a pipe PIPE_BUF bytes.

    As few as may be: after each call of the system the thread fights for Python's lock with the one that serves."""
    takes = PIPE_BUF if text.isascii() else PIPE_BUF // 4  # characters, at most 4 bytes each
    with suppress(OSError):
        if stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode):
            takes = len(text)
    return (text[start : start + takes] for start in range(0, len(text), takes))


class _File(ConcurrentRotatingFileHandler):
    """Appends several lines at once: what the lock between processes costs is paid once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8")

    def append(self, lines: Sequence[str]) -> None:
        """Raises OSError."""
        if lines:
            self.emit(makeLogRecord({"msg": "\n".join(lines)}))

    def handleError(self, record: LogRecord) -> None:  # noqa: N802
        """Called while the error is handled; whoever appends must know of it."""
        with suppress(OSError):
            self.close()
        error = sys.exception()
        assert error is not None  # noqa: S101
        raise error
