"""Receiving bodies: no larger, and no slower, than is allowed."""

import asyncio

from fastapi import HTTPException, Request

MAX_BYTES = 20_000_000
_WITHIN_S = 60


async def read_body(request: Request) -> bytes:
    """The whole body. Raises HTTPException."""
    try:
        async with asyncio.timeout(_WITHIN_S):
            return await _read(request)
    except TimeoutError:
        raise HTTPException(408, f"The body did not arrive within {_WITHIN_S} s.") from None


async def _read(request: Request) -> bytes:
    """As far as it is allowed to go."""
    declared = request.headers.get("Content-Length", "0")
    body = bytearray()
    if int(declared) <= MAX_BYTES:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                break
        else:
            return bytes(body)
    raise HTTPException(413, f"The body is larger than {MAX_BYTES // 10**6} MB: send it in parts.")
