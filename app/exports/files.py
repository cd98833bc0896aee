"""Where exports lie: written under a temporary name, and there all at once when they are whole."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from app.settings import Settings

KEPT_FOR = timedelta(days=1)
_TEMPORARY = ".part"


def export_folder() -> Path:
    """Processes on several machines must share it, or each can hand out only what it has written itself."""
    return Settings.load().data_dir / "exports"


class HashedFile:
    """Counts and hashes what is written through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.bytes += len(data)

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


def remove_expired(kept_for: timedelta = KEPT_FOR) -> int:
    """Delete files written longer ago than that; returns how many."""
    before = time.time() - kept_for.total_seconds()
    expired = [path for path in export_folder().glob("*") if path.is_file() and path.stat().st_mtime < before]
    for path in expired:
        path.unlink(missing_ok=True)
    return len(expired)
