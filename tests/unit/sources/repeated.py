"""A large file that takes no memory."""

import io
from typing import Any


class _Repeated(io.RawIOBase):
    def __init__(self, pattern: bytes, times: int, start: bytes, end: bytes) -> None:
        self._block = pattern * (1 + (1 << 16) // len(pattern))
        self._pattern, self._start, self._end = pattern, start, end
        self._end_at = len(start) + times * len(pattern)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        assert whence == io.SEEK_SET
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        piece = self._piece()[: len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _piece(self) -> bytes:
        if self._at < len(self._start):
            return self._start[self._at :]
        if self._at >= self._end_at:
            return self._end[self._at - self._end_at :]
        phase = (self._at - len(self._start)) % len(self._pattern)
        return self._block[phase : phase + self._end_at - self._at]


def repeated(pattern: bytes, size: int, *, start: bytes = b"", end: bytes = b"") -> io.BufferedReader:
    """A file of `start`, then `pattern` over and over for about `size` bytes, then `end`."""
    return io.BufferedReader(_Repeated(pattern, size // len(pattern), start, end))
