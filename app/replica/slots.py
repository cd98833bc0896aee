"""Where a station's JSON has room for what changes from moment to moment.

A station is written once, as a fixed part and a live part. In the live part a control character, which JSON does not
hold, stands for each value that is filled in when the station is in an answer.
"""

import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

STATUS = "\x01"
"""The station's status, as a JSON string."""
FREE = "\x02"
"""How many of its EVSEs are free."""
UPDATED = "\x03"
"""When the newest of its states was seen, or null."""
FREE_IN_GROUP = "\x04"
"""How many connectors of the next of its groups (`app.stations.model.connector_groups`) are free."""

_SLOT = re.compile(rb"([\x01-\x04])")
_LENGTH = struct.Struct("<H")


class Fragment(NamedTuple):
    """A station's JSON object without its closing brace, so that the distance can be added."""

    fixed: bytes
    live: bytes
    """With slots."""


def unquoted(written: bytes) -> bytes:
    """The live part from JSON in which the slots stand as strings."""
    return re.sub(rb'"\\u000([1-4])"', lambda found: bytes([int(found[1])]), written)


def packed(live: bytes) -> bytes:
    """As it is kept: before each piece between slots its length, after it the slot, or 0 at the end."""
    *pieces, last = _SLOT.split(live)
    with_slots = zip(pieces[::2], pieces[1::2], strict=True)
    return b"".join(
        [*(_LENGTH.pack(len(text)) + text + slot for text, slot in with_slots), _LENGTH.pack(len(last)), last, b"\0"]
    )


def filled(kept: bytes, status: bytes, free: bytes, updated: bytes, free_in_groups: Iterable[int]) -> bytes:
    """What `packed` has made, with its values."""
    values = {STATUS: status, FREE: free, UPDATED: updated, "\0": b""}
    groups = iter(free_in_groups)
    written: list[bytes] = []
    at = 0
    while at < len(kept):
        (length,) = _LENGTH.unpack_from(kept, at)
        end = at + _LENGTH.size + length
        slot = chr(kept[end])
        written += kept[at + _LENGTH.size : end], values[slot] if slot in values else b"%d" % next(groups)
        at = end + 1
    return b"".join(written)
