"""Writing to a disk that others need too, the database first of all."""

import os
from pathlib import Path
from typing import BinaryIO

from app.errors import FetchError
from app.sources.guest import Limits, too_large

_LOOK_EVERY_BYTES = 16 << 20


def check_room(place: Path | int, length: int, shown: str, limits: Limits) -> None:
    """Raise FetchError where so many bytes more would leave less than `limits.free_bytes` on the disk of a path or
    file descriptor."""
    disk = os.statvfs(place)
    free = disk.f_bavail * disk.f_frsize
    if free - length < limits.free_bytes:
        raise FetchError(
            f"{shown} needs {length / 1e6:,.0f} MB more, but only {free / 1e6:,.0f} MB are free on the disk, of "
            f"which {limits.free_bytes / 1e6:,.0f} MB are to stay free."
        )


class Bounded:
    """Appends to a file as long as neither its own size nor the disk's free space forbids it."""

    def __init__(self, file: BinaryIO, shown: str, limits: Limits) -> None:
        """`shown`: what is being written, for messages."""
        self._file, self._shown, self._limits = file, shown, limits
        self._size = file.tell()
        self._looked_at = -_LOOK_EVERY_BYTES

    def write(self, data: bytes) -> None:
        """Raises FetchError; then the file is of no more use."""
        self._size += len(data)
        if self._size > self._limits.max_bytes:
            raise too_large(self._shown, self._limits)
        if self._size - self._looked_at >= _LOOK_EVERY_BYTES:
            check_room(self._file.fileno(), len(data), self._shown, self._limits)
            self._looked_at = self._size
        self._file.write(data)
