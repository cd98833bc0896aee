"""Getting a source's input onto the disk, whatever it is: a path, a URL, gzip or not."""

import gzip
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import httpx

from app.errors import FetchError

MAX_BYTES = 4 << 30
"""Largest download, and largest file after decompression: no national register comes near."""
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_GZIP_MAGIC = b"\x1f\x8b"

Download = Callable[[str, BinaryIO, httpx.AsyncClient], Awaitable[None]]
"""Writes what a URL stands for into a file; raises FetchError."""


def is_url(where: str) -> bool:
    return where.startswith(("http://", "https://"))


def without_secrets(where: str) -> str:
    """A path or URL fit for logs and reports: no user, password, query string or fragment."""
    if not is_url(where):
        return where
    url = httpx.URL(where)
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))


async def download(url: str, to: BinaryIO, client: httpx.AsyncClient) -> None:
    """Write the body of one GET to a file."""
    shown = without_secrets(url)
    try:
        async with client.stream("GET", url, follow_redirects=True) as response:
            if response.status_code != httpx.codes.OK:
                raise FetchError(f"{shown} answered {response.status_code} {response.reason_phrase}.")
            async for chunk in response.aiter_bytes():
                to.write(chunk)
                if to.tell() > MAX_BYTES:
                    raise FetchError(f"{shown} is larger than {MAX_BYTES >> 30} GiB.")
    except httpx.HTTPError as error:
        raise FetchError(f"{shown} could not be read: {type(error).__name__} {error}".rstrip()) from error


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
    that the adapter may seek."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise FetchError(f"{path} cannot be opened: {error.strerror}.") from error
    with file:
        if file.read(2) != _GZIP_MAGIC:
            file.seek(0)
            yield file
            return
    with tempfile.TemporaryFile() as plain:
        try:
            with gzip.open(path) as compressed:
                while chunk := compressed.read(1 << 20):
                    plain.write(chunk)
                    if plain.tell() > MAX_BYTES:
                        raise FetchError(f"{path} is larger than {MAX_BYTES >> 30} GiB when decompressed.")
        except (EOFError, gzip.BadGzipFile, OSError) as error:
            raise FetchError(f"{path} is not a whole gzip file: {error}") from error
        plain.seek(0)
        yield cast("BinaryIO", plain)
