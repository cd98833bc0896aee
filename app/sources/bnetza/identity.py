"""A lasting id for the devices of editions that gave them none."""

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b

_IDENTITY = ("Betreiber", "Straße", "Hausnummer", "Adresszusatz", "Postleitzahl", "Ort", "Postleitzahl Ort",
             "Breitengrad", "Längengrad", "Inbetriebnahmedatum")  # fmt: skip
"""What stays the same while a device does. Its plugs and powers are left out: they are corrected now and then."""

MAX_REMEMBERED = 100_000
"""Devices among which equal ones are told apart, more than any edition without ids has. Bounds memory to 20 MB."""


class DerivedIds:
    """Gives each row an id made of what identifies the device: 16 hexadecimal digits.

    Equal rows are different devices (several columns of one car park, notified on one day): the second is given the
    suffix `-2`, the third `-3`. They keep their ids as long as the register lists them in the same order."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def id_of(self, row: Mapping[str, str]) -> str:
        identity = "\x1f".join(row.get(name, "").lower().replace(",", ".") for name in _IDENTITY)
        digest = blake2b(identity.encode(), digest_size=8).digest()
        times = self._seen[digest] = self._seen.get(digest, 0) + 1
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        return digest.hex() if times == 1 else f"{digest.hex()}-{times}"
