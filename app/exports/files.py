"""Where exports lie: written under a temporary name, and there all at once when they are whole."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from app.errors import VoltWayError
from app.settings import Settings
from app.utils.background_tasks import FinalJobError

_TEMPORARY = ".part"
_MB = 1_000_000


class ExportSpaceError(VoltWayError, FinalJobError):
    """There is no room for the file; the message names the setting."""


def export_folder() -> Path:
    """Processes on several machines must share it, or each can hand out only what it has written itself."""
    return Settings.load().data_dir / "exports"


class HashedFile:
    """Counts and hashes what is written through it. As much of a file as pyarrow needs."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._hash.update(data)
        self.bytes += written
        return written

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Whoever opened the file closes it."""

    @property
    def sha256(self) -> str:
        """Of all that was written so far, in hexadecimal."""
        return self._hash.hexdigest()


@contextmanager
def appearing(path: Path) -> Iterator[HashedFile]:
    """Open a file that gets its name when the block ends well, and vanishes when it does not. What an attempt that
    was killed has left of the same file is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*{_TEMPORARY}"):
        left.unlink(missing_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY, delete=False) as file:
        temporary = Path(file.name)
        try:
            yield HashedFile(file)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def expires_at(path: Path) -> datetime | None:
    """When a file in the export folder is removed; `None`: it is no more, or should be no more."""
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    end = written + timedelta(hours=Settings.load().export_kept_hours)
    return end if end > datetime.now(UTC) else None


def remove_expired(kept_for: timedelta | None = None) -> int:
    """Delete files written longer ago than that (`None`: EXPORT_KEPT_HOURS); returns how many."""
    kept = timedelta(hours=Settings.load().export_kept_hours) if kept_for is None else kept_for
    before = time.time() - kept.total_seconds()
    expired = [path for path, file in _oldest_first() if file.st_mtime < before]
    for path in expired:
        path.unlink(missing_ok=True)
    return len(expired)


def make_room() -> None:
    """Remove the oldest finished exports until all files together are not larger than EXPORT_MAX_TOTAL_MB.

    Raises ExportSpaceError when what is being written is larger alone, or when less than EXPORT_MIN_FREE_MB are left
    on the disk: that is the database's, and other exports are not sacrificed for what others have filled.
    """
    check_free_space()
    most = Settings.load().export_max_total_mb * _MB
    files = _oldest_first()
    total = sum(file.st_size for _, file in files)
    for path, file in files:
        if total <= most:
            return
        if path.suffix != _TEMPORARY:
            path.unlink(missing_ok=True)
            total -= file.st_size
    if total > most:
        raise ExportSpaceError(
            f"The file is larger than exports may be together, {most / _MB:g} MB (EXPORT_MAX_TOTAL_MB). "
            "Ask for a part: by country, source, connector or bbox."
        )


def check_free_space() -> None:
    """Raises ExportSpaceError when the disk is nearly full."""
    folder = export_folder()
    folder.mkdir(parents=True, exist_ok=True)
    least = Settings.load().export_min_free_mb * _MB
    if shutil.disk_usage(folder).free < least:
        raise ExportSpaceError(
            f"The server's disk has less than {least / _MB:g} MB left (EXPORT_MIN_FREE_MB); try again later."
        )


def _oldest_first() -> list[tuple[Path, os.stat_result]]:
    """Also what is being written."""
    found = []
    for path in export_folder().glob("*"):
        with suppress(FileNotFoundError):  # another process has removed it
            found.append((path, path.stat()))
    return sorted(found, key=lambda each: each[1].st_mtime)
