"""One signed request, and what came of it."""

import asyncio
import hmac
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import httpx2 as httpx

from app import __version__
from app.sources.guest import retry_after_s
from app.webhooks.target import LookUp, TargetRefusedError, UnknownHostError, addresses_of, look_up, parse_target

CONNECT_WITHIN_S = 5.0
ANSWER_WITHIN_S = 15.0
"""From the look-up of the name to the answer's status."""
MAX_ANSWER_BYTES = 1_024
_READ_WITHIN_S = 1.0
_MAX_ADDRESSES = 3
"""Of a host, that are tried."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent to whom."""

    url: str
    secrets: Sequence[str]
    delivery_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said."""

    status: int | None
    """`None`: nothing that could be understood."""
    error: str | None
    """Why the message does not count as delivered; for its owner, and without the URL's path."""
    wait_s: float | None = None
    """For how long it wants to be left alone."""

    @property
    def is_delivered(self) -> bool:
        return self.error is None

    @property
    def is_gone(self) -> bool:
        """It wants nothing any more."""
        return self.status == httpx.codes.GONE


def signature(secrets: Sequence[str], body: bytes, now: datetime) -> str:
    """`t=<Unix seconds>,v1=<HMAC-SHA256 of "t.body", in hex>`, with one `v1` for each secret: the time is signed too,
    so that nobody can send it again later."""
    at = int(now.timestamp())
    signed = b"%d.%b" % (at, body)
    return ",".join([f"t={at}", *(f"v1={hmac.new(each.encode(), signed, sha256).hexdigest()}" for each in secrets)])


class Sender:
    """Close it in the event loop that used it."""

    def __init__(
        self, *, private_allowed: bool, look_up: LookUp = look_up, within_s: float = ANSWER_WITHIN_S
    ) -> None:
        self._private_allowed, self._look_up, self._within_s = private_allowed, look_up, within_s
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(within_s, connect=min(CONNECT_WITHIN_S, within_s)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=False,  # through a proxy nobody could say which address is asked
            headers={"User-Agent": f"VoltWay/{__version__}", "Content-Type": "application/json"},
        )
        """Connections are by address and made for one host's name each, so none is used again."""
        self.under_way = 0
        """Attempts."""

    async def close(self) -> None:
        await self._client.aclose()

    async def check(self, url: str) -> None:
        """Raises TargetRefusedError or UnknownHostError."""
        await self._addresses(parse_target(url))

    async def send(self, message: Message, now: datetime) -> Answer:
        """One attempt. Raises nothing."""
        self.under_way += 1
        try:
            async with asyncio.timeout(self._within_s):
                return await self._send(message, now)
        except TimeoutError:
            return Answer(None, f"no answer within {self._within_s:g} s")
        except (TargetRefusedError, UnknownHostError) as error:
            return Answer(None, str(error))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(None, f"no answer: {type(error).__name__} {error}".rstrip()[:200])
        finally:
            self.under_way -= 1

    async def _send(self, message: Message, now: datetime) -> Answer:
        url = parse_target(message.url)
        *first, last = (await self._addresses(url))[:_MAX_ADDRESSES]
        for address in first:
            try:
                return await self._post(url, address, message, now)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post(url, last, message, now)

    async def _addresses(self, url: httpx.URL) -> list[str]:
        return list(await addresses_of(url, private_allowed=self._private_allowed, look_up=self._look_up))

    async def _post(self, url: httpx.URL, address: str, message: Message, now: datetime) -> Answer:
        """To that address, which is asked as the host that the URL names."""
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Voltway-Delivery": message.delivery_id,
            "Voltway-Signature": signature(message.secrets, message.body, now),
        }
        async with self._client.stream(
            "POST",
            url.copy_with(host=address),
            content=message.body,
            headers=headers,
            follow_redirects=False,
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        ) as answer:
            await _read_a_little(answer)
            return _as_answer(answer)


async def _read_a_little(answer: httpx.Response) -> None:
    """So that a short answer comes to its end; of any other the connection is closed. Its status has said all."""
    size = 0
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_READ_WITHIN_S):
            async for chunk in answer.aiter_raw(MAX_ANSWER_BYTES):
                size += len(chunk)
                if size >= MAX_ANSWER_BYTES:
                    return


def _as_answer(answer: httpx.Response) -> Answer:
    status = answer.status_code
    if answer.is_success:
        return Answer(status, None)
    hint = "; redirects are not followed" if answer.has_redirect_location else ""
    return Answer(status, f"the receiver answered {status}{hint}", retry_after_s(answer))
