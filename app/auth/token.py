"""How a key is written: `vw_<8 characters>_<43 characters>`, the first part its public id, the second its secret."""

import hmac
import re
import secrets
import string
from hashlib import sha256
from typing import NamedTuple

ID_PREFIX = "vw_"
_ID_CHARACTERS = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"(vw_[a-z0-9]{8})_[A-Za-z0-9_-]{43}")


class NewToken(NamedTuple):
    """A key that only its maker has seen yet."""

    key_id: str
    token: str


def new_token() -> NewToken:
    """Make a key with 256 random bits."""
    key_id = ID_PREFIX + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(8))
    return NewToken(key_id, f"{key_id}_{secrets.token_urlsafe(32)}")


def key_id_of(token: str) -> str | None:
    """The public id, which may be logged; `None` for what is no key at all."""
    found = _TOKEN.fullmatch(token)
    return found and found[1]


def is_key(written: str) -> bool:
    """Whether it has the form of a key."""
    return key_id_of(written) is not None


def hash_of(token: str) -> bytes:
    """What is stored. A slow hash protects secrets that can be guessed; nobody guesses 256 random bits."""
    return sha256(token.encode()).digest()


def is_token_of(stored: bytes, token: str) -> bool:
    """In a time that does not tell how much of it is right."""
    return hmac.compare_digest(stored, hash_of(token))
