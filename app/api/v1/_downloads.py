"""A file as an answer: whole, in part, compressed, or not at all when the client has it already."""

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import zstandard
from fastapi import HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from app.api.conditional import names
from app.api.v1._negotiation import Part, asked_part, preferred_encoding

_CHUNK = 1 << 18
"""Bytes in memory for each download."""
_GZIP_LEVEL, _ZSTD_LEVEL = 4, 3
"""As fast as a fast line; higher levels save a tenth for several times the work."""
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Download:
    """A file that never changes under its name."""

    path: Path
    media_type: str
    filename: str
    """For the client to keep it under."""
    sha256: str
    """Of its content, hexadecimal."""
    compressible: bool


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def answer(request: Request, download: Download) -> Response:
    """What the client's headers ask for. Compressing happens chunk by chunk while sending, so such an answer has no
    length and no ranges; a client that asks for a range gets it of the file as it is.

    Raises HTTPException 416, and FileNotFoundError.
    """
    size = download.path.stat().st_size
    part = _part(request, download, size)
    encoding = "identity"
    if download.compressible and part is None:
        encoding = preferred_encoding(",".join(request.headers.getlist("accept-encoding")))
    headers = _headers(download, encoding)
    known = request.headers.get("if-none-match")
    if known and names(known, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if encoding == "identity":
        whole = Part(0, size)
        headers["Content-Length"] = str((part or whole).end - (part or whole).start)
        if part:
            headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
        chunks = _read(download.path, part or whole)
    else:
        chunks = _compressed(_read(download.path, Part(0, size)), encoding)
    headers["Content-Disposition"] = f'attachment; filename="{download.filename}"'
    body = _unless_head(request, chunks)
    return StreamingResponse(body, 206 if part else 200, headers, download.media_type)


def _part(request: Request, download: Download, size: int) -> Part | None:
    condition = request.headers.get("if-range")
    if condition is not None and condition.strip() != _etag(download, "identity"):
        return None
    try:
        return asked_part(request.headers.get("range"), size)
    except ValueError as error:
        raise HTTPException(416, str(error), {"Content-Range": f"bytes */{size}"}) from None


def _headers(download: Download, encoding: str) -> dict[str, str]:
    headers = {"ETag": _etag(download, encoding)}
    if download.compressible:
        headers["Vary"] = "Accept-Encoding"
    if encoding == "identity":
        digest = base64.b64encode(bytes.fromhex(download.sha256)).decode()
        return headers | {"Accept-Ranges": "bytes", "Repr-Digest": f"sha-256=:{digest}:"}  # RFC 9530, section 3
    return headers | {"Accept-Ranges": "none", "Content-Encoding": encoding}


def _etag(download: Download, encoding: str) -> str:
    """Weak for what is compressed: another version of the library may give other bytes."""
    tag = download.sha256[:32]
    return f'"{tag}"' if encoding == "identity" else f'W/"{tag}-{encoding}"'


def _read(path: Path, part: Part) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(part.start)
        left = part.end - part.start
        while left and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _compressed(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    compressor: _Compressor
    if encoding == "zstd":
        compressor = zstandard.ZstdCompressor(_ZSTD_LEVEL).compressobj()
    else:
        compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _unless_head(request: Request, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Asked for in a thread, as each chunk is. By the time of the first one, the head has been sent, and the scope
    tells (see HeadMiddleware) when that was all that was asked for."""
    if request.scope["method"] != "HEAD":
        yield from chunks


HEADERS: dict[str, Any] = {
    "ETag": {"description": "Send it as `If-Range` or `If-None-Match`.", "schema": {"type": "string"}},
    "Repr-Digest": {
        "description": "SHA-256 of the whole file (RFC 9530), where it is not compressed.",
        "schema": {"type": "string"},
    },
}
