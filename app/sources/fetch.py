"""Getting a source's input onto the disk, whatever it is: a path, a URL, gzip or not."""

import fcntl
import gzip
import tempfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from app.errors import BusyError, FetchError
from app.sources.disk import Bounded
from app.sources.downloads import Place, Version, download
from app.sources.guest import Guest, Limits, guest
from app.sources.hosts import Hosts
from app.sources.locations import is_url, without_secrets

_GZIP_MAGIC = b"\x1f\x8b"
_MAX_GZIP_LAYERS = 2
"""A file in gzip may have been compressed once more for the way here."""

Download = Callable[[str, Place, Guest, Version | None], Awaitable[Version | None]]
"""Has what a URL stands for in a place. Returns its version, or `None` where it has none; raises FetchError."""


@dataclass(frozen=True)
class Fetching:
    """How inputs are fetched in one run."""

    folder: Path | None = None
    """Where a download lies until it was used, so that one that was cut off is resumed; `None`: nowhere."""
    hosts: Hosts = field(default_factory=Hosts)
    limits: Limits = field(default_factory=Limits)
    contact: str = ""
    """For the hosts' operators."""


@dataclass(frozen=True, slots=True)
class Input:
    """What was fetched."""

    path: Path
    version: Version | None
    """`None`: of a path, or of what has no version."""
    is_known: bool
    """It is the version that the caller knows; then there may be no file."""


@asynccontextmanager
async def fetched(
    where: str, how: Fetching | None = None, known: Version | None = None, download: Download = download
) -> AsyncIterator[Input]:
    """Yield the input. A download is deleted when the block ends well; else it stays in `how.folder`, where the next
    call asks only whether there is a newer one. Raises FetchError; BusyError while another process fetches it."""
    if not is_url(where):
        yield Input(Path(where), None, is_known=False)
        return
    without_secrets(where)  # raises FetchError for a malformed URL
    how = how or Fetching()
    async with AsyncExitStack() as stack:
        folder = how.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voltway-fetch-")))
        place = stack.enter_context(_held(folder, where))
        async with guest(how.hosts, how.limits, how.contact) as visitor:
            version = await download(where, place, visitor, known)
        is_known = version is not None and known is not None and version.sha256 == known.sha256
        yield Input(place.body, version, is_known)
        place.clear()


@contextmanager
def _held(folder: Path, url: str) -> Iterator[Place]:
    """The place of a URL's download, for one process at a time."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = Place(folder, url)
        lock = place.lock.open("w")
    except OSError as error:
        raise FetchError(f"{folder} cannot be written: {error.strerror}. Is DATA_DIR right?") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{without_secrets(url)} is being fetched by another process now.") from None
        yield place


@contextmanager
def opened(path: Path, how: Fetching | None = None) -> Iterator[BinaryIO]:
    """Open a file for an adapter; gzip is recognised by its first bytes, and decompressed to a file of its own in
    `how.folder`, so that the adapter may seek. Raises FetchError."""
    how = how or Fetching()
    with ExitStack() as stack:
        file = stack.enter_context(_open(path))
        for _ in range(_MAX_GZIP_LAYERS):
            if not _is_gzip(file):
                break
            plain = cast("BinaryIO", stack.enter_context(_scratch_file(how.folder)))
            _decompress(file, plain, how.limits)
            file = plain
        yield file


def _open(path: Path) -> BinaryIO:
    try:
        file = path.open("rb")
    except OSError as error:
        raise FetchError(f"{path} cannot be opened: {error.strerror}.") from error
    if not file.seekable():
        file.close()
        raise FetchError(f"{path} is no file but a pipe or device: save its content to a file first.")
    return file


def _is_gzip(file: BinaryIO) -> bool:
    start = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    return start == _GZIP_MAGIC


def _scratch_file(folder: Path | None) -> IO[bytes]:
    """Without a name, so that it is gone with the process."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise FetchError(f"{folder} cannot be written: {error.strerror}. Is DATA_DIR right?") from error


def _decompress(file: BinaryIO, to: BinaryIO, limits: Limits) -> None:
    bounded = Bounded(to, "The input, decompressed,", limits)
    try:
        with gzip.open(file) as compressed:
            while chunk := compressed.read(1 << 20):
                bounded.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FetchError(f"The input is not a whole gzip file: {error}") from error
    except OSError as error:
        raise FetchError(f"The input could not be decompressed: {error.strerror}.") from error
    to.seek(0)
