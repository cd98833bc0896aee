"""HTTP for all adapters: polite to the host, patient with its troubles, and bounded in everything."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx2 as httpx
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from app import __version__
from app.errors import FetchError
from app.sources.hosts import Hosts, LeftAloneError
from app.sources.locations import is_local, without_secrets

logger = logging.getLogger(__name__)

_NAME = f"VoltWay/{__version__}"
_REDIRECTS = 5
Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """What fetching one input may take."""

    max_bytes: int = 4 << 30
    """Largest download, and largest file after decompression: no national register comes near."""
    free_bytes: int = 256 << 20
    """To remain free on the disk."""
    total_s: float = 3_600.0
    """All attempts together."""
    silence_s: float = 30.0
    """Longest wait for the next bytes."""
    least_bytes_per_s: float = 1_000.0
    """On average over `pace_s`: a server that drips would hold us for ever."""
    pace_s: float = 30.0
    attempts: int = 4
    first_pause_s: float = 1.0
    """Before the second attempt; twice as long before each further one, and up to as much again at random."""
    longest_pause_s: float = 120.0
    """A server that wants more patience is left alone, and asked again in a later run."""


class UnansweredError(FetchError):
    """The server is busy, broken or out of reach; asking again may help."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        """What the server has asked for."""


class Guest:
    """One run's way to the outside."""

    def __init__(self, client: httpx.AsyncClient, hosts: Hosts, limits: Limits) -> None:
        self._client, self._hosts, self.limits = client, hosts, limits

    async def insist(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """The attempt's result; it is made again after an UnansweredError, up to `limits.attempts` times in all."""
        async for each in stamina.retry_context(
            on=_pause,
            attempts=self.limits.attempts,
            timeout=None,
            wait_initial=self.limits.first_pause_s,
            wait_jitter=self.limits.first_pause_s,
            wait_max=self.limits.longest_pause_s,
        ):
            with each:
                return await attempt()
        raise AssertionError

    @asynccontextmanager
    async def ask(
        self,
        url: str | httpx.URL,
        headers: Mapping[str, str] | None = None,
        *,
        expected: Collection[int] = (httpx.codes.OK,),
        follow_redirects: bool = True,
        hint: Callable[[httpx.Response], str] = lambda _: "",
    ) -> AsyncIterator[httpx.Response]:
        """One GET, whose body is read within the block; what goes wrong there is told as a FetchError too.

        Who sends a key in `headers` must not follow redirects: only what stands in the URL itself stays with its
        host. `hint`: advice that is added to the error about an answer that is not expected.

        Raises UnansweredError, LeftAloneError or FetchError; no message holds a query or password.
        """
        shown, host = without_secrets(str(url)), httpx.URL(url).host
        try:
            async with self._client.stream("GET", url, headers=headers, follow_redirects=follow_redirects) as answer:
                if answer.status_code not in expected:
                    raise self._refusal(answer, hint(answer))
                yield answer
            self._hosts.succeeded(host)
        except UnansweredError:
            self._hosts.failed(host)
            raise
        except httpx.HTTPError as error:
            message = f"{shown} could not be read: {type(error).__name__} {error}".rstrip()
            if not isinstance(error, httpx.TransportError) or isinstance(error, httpx.UnsupportedProtocol):
                raise FetchError(message) from error
            self._hosts.failed(host)
            raise UnansweredError(message) from error

    def _refusal(self, answer: httpx.Response, hint: str) -> FetchError:
        wait_s = retry_after_s(answer)
        if not hint and answer.next_request:
            hint = f"Ask {without_secrets(str(answer.next_request.url))} instead."
        elif not hint and wait_s:
            hint = f"It asks to be left alone for {wait_s:.0f} seconds."
        shown = without_secrets(str(answer.url))
        message = f"{shown} answered {answer.status_code} {answer.reason_phrase}. {hint}".rstrip()
        if answer.status_code != httpx.codes.TOO_MANY_REQUESTS and answer.status_code < 500:
            return FetchError(message)
        if wait_s is not None and wait_s > self.limits.longest_pause_s:
            until = self._hosts.now() + timedelta(seconds=min(wait_s, _LONGEST_REST_S))
            self._hosts.leave_alone(answer.url.host, until)
            return LeftAloneError(message, until)
        return UnansweredError(message, wait_s)


async def refuse_unsafe_redirect(answer: httpx.Response) -> None:
    """Raise FetchError where the outside sends us into our own network, or off encryption."""
    if not answer.has_redirect_location:
        return
    url, shown = answer.url, without_secrets(str(answer.url))
    try:
        target = url.join(answer.headers["Location"])
        shown_target = without_secrets(str(target))
    except (httpx.InvalidURL, FetchError) as error:
        raise FetchError(f"{shown} redirects to an address that is none.") from error
    leaves_encryption = (url.scheme, target.scheme) == ("https", "http")
    if leaves_encryption or (await _is_inside(target) and not await _is_inside(url)):
        raise FetchError(
            f"{shown} redirects to {shown_target}, which is not followed: from https only to https, and from outside "
            "not into a private network."
        )


async def _is_inside(url: httpx.URL) -> bool:
    """By its host's name, or by an address that the name stands for."""
    if is_local(url.host):
        return True
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # then it cannot be asked either, unless a proxy knows it
        return False
    return any(is_local(str(address[0])) for *_, address in found)


_LONGEST_REST_S = 7 * 86_400.0
"""Nobody means more."""


@asynccontextmanager
async def guest(hosts: Hosts | None = None, limits: Limits | None = None, contact: str = "") -> AsyncIterator[Guest]:
    """`hosts`: what is known of them; None: nothing yet. `limits` None: the usual ones. `contact`: URL or address
    that a host's operator can turn to. Raises FetchError where the block takes longer than `limits.total_s`."""
    hosts, limits = hosts or Hosts(), limits or Limits()
    try:
        async with (
            httpx.AsyncClient(
                timeout=httpx.Timeout(limits.silence_s, connect=min(limits.silence_s, 10.0)),
                max_redirects=_REDIRECTS,
                headers={"User-Agent": f"{_NAME} (+{contact})" if contact else _NAME, "Accept-Encoding": "gzip"},
                event_hooks={"request": [hosts.take_turn], "response": [refuse_unsafe_redirect]},
            ) as client,
            asyncio.timeout(limits.total_s),
        ):
            yield Guest(client, hosts, limits)
    except TimeoutError as error:
        raise FetchError(f"The source did not give everything within {limits.total_s:,.0f} seconds.") from error


def too_large(shown: str, limits: Limits) -> FetchError:
    return FetchError(f"{shown} is larger than {limits.max_bytes / 1e6:,.0f} MB (FETCH_MAX_MB).")


def retry_after_s(answer: httpx.Response) -> float | None:
    """RFC 9110 §10.2.3: seconds, or a date, which is measured against the server's own clock (`Date`)."""
    asked = answer.headers.get("Retry-After", "")
    if asked.isascii() and asked.isdecimal():
        return float(asked[:9])
    try:
        pause = parsedate_to_datetime(asked) - parsedate_to_datetime(answer.headers.get("Date", ""))
    except (ValueError, TypeError):  # no date, or one of the two without a zone
        return None
    return max(pause.total_seconds(), 0.0)


def _pause(error: Exception) -> bool | float:
    """Whether to try again, or after how many seconds."""
    return isinstance(error, UnansweredError) and (error.wait_s or True)


def _tell(details: RetryDetails) -> None:
    error = details.caused_by
    asked_for_s = error.wait_s if isinstance(error, UnansweredError) else None
    told = {"error": str(error), "attempt": details.retry_num, "wait_s": asked_for_s or round(details.wait_for, 3)}
    logger.info("fetch_retried", extra=told)


set_on_retry_hooks([_tell])  # else stamina logs and counts by itself, outside of what this service documents
