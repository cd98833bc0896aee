"""Which part of a file, and in which encoding, a client asks for (RFC 9110, sections 12.5.3 and 14)."""

import re
from typing import NamedTuple

ENCODINGS = ("zstd", "gzip")
"""That a file is recoded to, the better one first."""
_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_ONE_RANGE = re.compile(r"(\d*)-(\d*)", re.ASCII)


def preferred_encoding(accepted: str) -> str:
    """The best that an `Accept-Encoding` names; `identity` where it names none of ours, or prefers the file as it is.

    A file that no encoding is acceptable for is sent as it is, as section 12.5.3 allows.
    """
    weights = dict(_weights(accepted))
    weights["gzip"] = max(weights.get("gzip", 0.0), weights.get("x-gzip", 0.0))
    best = max(ENCODINGS, key=lambda encoding: weights.get(encoding, 0.0))
    weight = weights.get(best, 0.0)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else "identity"


def _weights(accepted: str) -> list[tuple[str, float]]:
    return [_weighted(each) for each in accepted.split(",") if each.strip()]


def _weighted(coding: str) -> tuple[str, float]:
    """One without a weight weighs 1, one whose weight is none is not wanted."""
    name, has_weight, weight = coding.partition(";")
    valid = _WEIGHT.fullmatch(weight.strip())
    return name.strip().lower(), (float(valid[1]) if valid else 0.0) if has_weight else 1.0


class Part(NamedTuple):
    """Of a file: bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def asked_part(asked: str | None, size: int) -> Part | None:
    """What a `Range` asks for; `None`: the whole, as for other units and for several ranges at once, which may be
    left unheeded (section 14.2).

    Raises ValueError for one that is no range, or of which the file has nothing.
    """
    unit, _, ranges = (asked or "").partition("=")
    if unit.strip().lower() != "bytes" or "," in ranges:
        return None
    found = _ONE_RANGE.fullmatch(ranges.strip())
    if not found or found[0] == "-" or len(found[0]) > 40:
        raise ValueError(f"The file has {size} bytes. Write a range as bytes=0-99, bytes=100- or bytes=-100.")
    first, last = found[1], found[2]
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise ValueError(f"The file has {size} bytes, and none of that range.")
    return Part(start, end)
