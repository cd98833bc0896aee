"""Getting a source's input onto the disk, whatever it is: a path, a URL, gzip or not."""

import gzip
import tempfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import httpx2 as httpx

from app.errors import FetchError

MAX_BYTES = 4 << 30
"""Largest download, and largest file after decompression: no national register comes near."""
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_GZIP_LAYERS = 2
"""A file in gzip may have been compressed once more for the way here."""

Download = Callable[[str, BinaryIO, httpx.AsyncClient], Awaitable[None]]
"""Writes what a URL stands for into a file; raises FetchError."""


def is_url(where: str) -> bool:
    return where.lower().startswith(("http://", "https://"))


def without_secrets(where: str) -> str:
    """A path or URL fit for logs and reports: no user, password, query string or fragment.

    Raises FetchError, which shows nothing of it, for a malformed URL."""
    if not is_url(where):
        return where
    try:
        url = httpx.URL(where)
    except httpx.InvalidURL:
        raise FetchError(
            "The URL is malformed. In a user name or password, write / as %2F, ? as %3F, # as %23 and @ as %40."
        ) from None
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))


async def download(url: str, to: BinaryIO, client: httpx.AsyncClient) -> None:
    """Write the body of one GET to a file."""
    shown = without_secrets(url)
    try:
        async with client.stream("GET", url, follow_redirects=True) as response:
            if response.status_code != httpx.codes.OK:
                raise FetchError(f"{shown} answered {response.status_code} {response.reason_phrase}.")
            async for chunk in _body(response):
                to.write(chunk)
                if to.tell() > MAX_BYTES:
                    raise FetchError(f"{shown} is larger than {MAX_BYTES >> 30} GiB.")
    except httpx.HTTPError as error:
        raise FetchError(f"{shown} could not be read: {type(error).__name__} {error}".rstrip()) from error
    except OSError as error:
        raise FetchError(f"{shown} could not be stored: {error.strerror}.") from error


def _body(response: httpx.Response) -> AsyncIterator[bytes]:
    """Gzip is left for `opened`, which notices where it is cut off; httpx takes that for its end."""
    is_gzip = response.headers.get("Content-Encoding", "").lower() == "gzip"
    return response.aiter_raw() if is_gzip else response.aiter_bytes()


@asynccontextmanager
async def fetched(where: str, download: Download = download) -> AsyncIterator[Path]:
    """Yield a file with the input; one that was downloaded is deleted afterwards. Raises FetchError."""
    if not is_url(where):
        yield Path(where)
        return
    with tempfile.TemporaryDirectory(prefix="voltway-fetch-") as folder:
        path = Path(folder) / "download"
        with path.open("wb") as file:
            async with httpx.AsyncClient(timeout=TIMEOUT) as client:
                await download(where, file, client)
        yield path


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for an adapter; gzip is recognised by its first bytes, and decompressed to a file of its own, so
    that the adapter may seek. Raises FetchError."""
    with ExitStack() as stack:
        file = stack.enter_context(_open(path))
        for _ in range(_MAX_GZIP_LAYERS):
            if not _is_gzip(file):
                break
            plain = cast("BinaryIO", stack.enter_context(tempfile.TemporaryFile()))
            _decompress(file, plain)
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


def _decompress(file: BinaryIO, to: BinaryIO) -> None:
    try:
        with gzip.open(file) as compressed:
            while chunk := compressed.read(1 << 20):
                to.write(chunk)
                if to.tell() > MAX_BYTES:
                    raise FetchError(f"The input is larger than {MAX_BYTES >> 30} GiB when decompressed.")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FetchError(f"The input is not a whole gzip file: {error}") from error
    except OSError as error:
        raise FetchError(f"The input could not be decompressed: {error.strerror}.") from error
    to.seek(0)
