"""Getting the file behind a URL onto the disk: only if it is new, and from where the last attempt was cut off.

RFC 9110 §8.8 (validators), §13.1 (conditional requests), §14 (ranges).
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx2 as httpx

from app.errors import FetchError
from app.sources.disk import Bounded, check_room
from app.sources.guest import Guest, Limits, UnansweredError, too_large
from app.sources.locations import fingerprint, without_secrets

_NOT_SATISFIABLE = 416  # its name differs between versions of httpx2


@dataclass(frozen=True, slots=True)
class Version:
    """Tells one version of an input from another."""

    url: str
    """Fingerprint of where it is from."""
    etag: str | None
    last_modified: str | None
    sha256: str
    """Of the bytes as they came."""

    def as_document(self) -> dict[str, str | None]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of the bytes in a place."""

    etag: str | None
    last_modified: str | None
    length: int | None
    """Of the whole file; `None`: the server did not tell."""
    is_whole: bool = False

    @property
    def can_be_resumed(self) -> bool:
        """Only a strong validator guarantees that the rest fits byte by byte."""
        return self.etag is not None and self.etag.startswith('"')


class Place:
    """Where a download lies: its bytes, and beside them what is known of them. Both survive the process."""

    def __init__(self, folder: Path, url: str) -> None:
        self.body = folder / f"{fingerprint(url)}.download"
        self._state = self.body.with_suffix(".json")
        self.lock = self.body.with_suffix(".lock")

    @property
    def size(self) -> int:
        return self.body.stat().st_size if self.body.exists() else 0

    def read(self) -> _State | None:
        """`None`: nothing is there that could be used."""
        try:
            return _State(**json.loads(self._state.read_text(encoding="utf-8"))) if self.body.exists() else None
        except (OSError, ValueError, TypeError):
            return None

    def note(self, state: _State) -> None:
        """At once or not at all."""
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps(asdict(state)), encoding="utf-8")
        new.replace(self._state)

    def clear(self) -> None:
        for path in (self._state, self.body):  # never bytes with what is known of others
            path.unlink(missing_ok=True)


async def download(url: str, place: Place, guest: Guest, known: Version | None = None) -> Version:
    """Have the file behind `url` in `place`, whole. Returns its version.

    That is `known` itself, and nothing may be in the place, where the server says that the file is no other than
    that. Raises FetchError; what has come until then stays, and the next call goes on from there.
    """
    if known is not None and known.url != fingerprint(url):
        known = None
    try:
        return await guest.insist(lambda: _Attempt(url, place, guest, known).make())
    except OSError as error:
        raise FetchError(f"{without_secrets(url)} could not be stored: {error.strerror}.") from error


class _Attempt:
    def __init__(self, url: str, place: Place, guest: Guest, known: Version | None) -> None:
        self._url, self._place, self._guest, self._known = url, place, guest, known
        self._shown = without_secrets(url)
        self._begun = place.read()

    async def make(self) -> Version:
        asked = self._headers()
        async with self._guest.ask(self._url, asked, expected=_expected(asked)) as answer:
            if answer.status_code == httpx.codes.NOT_MODIFIED:
                return await self._unchanged()
            if answer.status_code == httpx.codes.OK:
                self._begin(answer)
            else:
                self._check_rest(answer)
            await self._store(answer)
        return await self._finish(answer)

    def _headers(self) -> dict[str, str]:
        begun = self._begun
        if begun is not None and not begun.is_whole and begun.can_be_resumed and self._place.size:
            return {"Range": f"bytes={self._place.size}-", "If-Range": begun.etag or ""}
        had = begun if begun is not None and begun.is_whole else self._known
        if had is None:
            return {}
        validators = {"If-None-Match": had.etag, "If-Modified-Since": had.last_modified}
        return {name: value for name, value in validators.items() if value}

    async def _unchanged(self) -> Version:
        if self._begun is not None and self._begun.is_whole:
            return await self._version(self._begun)
        assert self._known is not None  # noqa: S101 - else nothing was asked that 304 is an answer to
        return self._known

    def _begin(self, answer: httpx.Response) -> None:
        """Forget what was there: a new version comes, from its first byte."""
        encoding = answer.headers.get("Content-Encoding", "identity").lower()
        if encoding not in {"identity", "gzip", "x-gzip", ""}:
            raise FetchError(f"{self._shown} came in an encoding that was not asked for: {encoding[:20]}.")
        told = answer.headers.get("Content-Length", "")
        length = int(told) if told.isdecimal() else None
        state = _State(answer.headers.get("ETag"), answer.headers.get("Last-Modified"), length)
        self._place.clear()
        self._make_room(state.length or 0)
        self._place.body.touch()
        self._place.note(state)
        self._begun = state

    def _make_room(self, length: int, there: int = 0) -> None:
        limits = self._guest.limits
        if length > limits.max_bytes:
            raise too_large(self._shown, limits)
        check_room(self._place.body.parent, length - there, self._shown, limits)

    def _check_rest(self, answer: httpx.Response) -> None:
        """Never join parts of two versions."""
        assert self._begun is not None  # noqa: S101 - else no range was asked for
        unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
        span, _, total = rest.partition("/")
        fits = (
            answer.status_code == httpx.codes.PARTIAL_CONTENT
            and unit == "bytes"
            and span.partition("-")[0] == str(self._place.size)
            and answer.headers.get("ETag", self._begun.etag) == self._begun.etag
            and (self._begun.length is None or total in {"*", str(self._begun.length)})
        )
        if not fits:
            self._place.clear()
            raise UnansweredError(f"{self._shown} does not give the rest of what it gave before.")
        if total.isdecimal():
            self._begun = replace(self._begun, length=int(total))
            self._make_room(int(total), there=self._place.size)

    async def _store(self, answer: httpx.Response) -> None:
        pace = Pace(self._shown, self._guest.limits)
        with self._place.body.open("ab") as file:
            bounded = Bounded(file, self._shown, self._guest.limits)
            async for chunk in answer.aiter_raw():  # gzip is left for `opened`, which notices a cut
                self._write(bounded, chunk)
                pace.note(len(chunk))

    def _write(self, to: Bounded, chunk: bytes) -> None:
        """What cannot be had whole is not to take room away from others."""
        try:
            to.write(chunk)
        except (FetchError, OSError):
            self._place.clear()
            raise

    async def _finish(self, answer: httpx.Response) -> Version:
        """Note that all is there, if the server let us know where the end is."""
        assert self._begun is not None  # noqa: S101 - noted before the first byte
        told = answer.headers.get("Transfer-Encoding", "").lower() == "chunked"
        if self._begun.length is not None and self._place.size != self._begun.length and not told:
            self._place.clear()
            raise UnansweredError(f"{self._shown} did not give as much as it had announced.")
        if self._begun.length is not None or told:
            self._begun = replace(self._begun, is_whole=True)
            self._place.note(self._begun)
        return await self._version(self._begun)

    async def _version(self, state: _State) -> Version:
        sha256 = await asyncio.to_thread(sha256_of, self._place.body)
        return Version(fingerprint(self._url), state.etag, state.last_modified, sha256)


def _expected(asked: dict[str, str]) -> set[int]:
    codes = httpx.codes
    if "Range" in asked:
        return {codes.OK, codes.PARTIAL_CONTENT, _NOT_SATISFIABLE}
    return {codes.OK, codes.NOT_MODIFIED} if asked else {codes.OK}


class Pace:
    """Ends a download that comes too slowly to be worth a connection."""

    def __init__(self, shown: str, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._shown, self._limits, self._clock = shown, limits, clock
        self._since, self._bytes = clock(), 0

    def note(self, size: int) -> None:
        """Raises FetchError: to ask again at once would only take as long again."""
        self._bytes += size
        passed_s = self._clock() - self._since
        if passed_s < self._limits.pace_s:
            return
        if self._bytes < self._limits.least_bytes_per_s * passed_s:
            raise FetchError(
                f"{self._shown} is too slow: {self._bytes / passed_s:,.0f} bytes a second. "
                "What has come is kept, and the next attempt goes on from there if the server allows it."
            )
        self._since, self._bytes = self._clock(), 0


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def version_of(document: dict[str, Any] | None) -> Version | None:
    """What `Version.as_document` gave, or `None` of what is no such thing."""
    try:
        return Version(**document) if document else None
    except TypeError:
        return None
