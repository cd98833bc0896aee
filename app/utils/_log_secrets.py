"""Nothing that opens a door is written to a log: values are masked by their field's name and by their look."""

import re
from collections.abc import Sequence
from typing import Any

import orjson

MASK = "***"

_HINTS = (
    "authorization", "cookie", "key", "passw", "passphrase", "pwd", "token", "secret", "credential",
    "sig", "bearer", "://", "vw_",
)  # fmt: skip
"""A line without any of them, in lower case, holds nothing to mask; for most lines that is all the work."""
_SECRET_NAME = re.compile(
    r"authorization|cookie|api[_-]?key|passw|passphrase|pwd|token|secret|credential|[a-z]_key$", re.IGNORECASE
)

_IS = r"""(?:\\*["']?\s*[:=]|["'],)\s*b?\\*"""
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_LOOKS = [
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (rf"((?:authorization|cookie){_IS})(?:{_QUOTED}|[\"']?[^\r\n\"']+)", rf"\1{MASK}"),
        (
            r"((?:api[_-]?key|passw(?:or)?d|passphrase|token|secret|credentials?)[\w-]{0,64}"
            rf"{_IS})(?:{_QUOTED}|[\"']?[^\s\"'&,;)}}\]]+)",
            rf"\1{MASK}",
        ),
        (r"([?&](?:key|sig|signature)=)[^\s&#\"']+", rf"\1{MASK}"),
        (r"(bearer)\s+[\w.~+/=-]+", rf"\1 {MASK}"),
        (r"(://[^\s/?#:@\"']{0,256}:)(?!\d{1,5}[/?#])[^\s\"']{1,256}@", rf"\1{MASK}@"),
        (r"vw_[\w-]{40,}", f"vw_{MASK}"),
    )
]
"""`name=value`, `name: value`, `"name": "value"`, `('name', b'value')`; query parameters; the looks of secrets."""


def mask_lines(lines: Sequence[bytes]) -> Sequence[bytes]:
    """The JSON lines without their secrets; mostly the same object."""
    if not _suspicious(b"\n".join(lines).decode()):
        return lines
    return [_masked_line(line) if _suspicious(line.decode()) else line for line in lines]


def _suspicious(text: str) -> bool:
    text = text.lower()
    return any(hint in text for hint in _HINTS)


def _masked_line(line: bytes) -> bytes:
    return orjson.dumps(_masked(orjson.loads(line)))


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _masked_text(value)
    if isinstance(value, dict):
        return {_masked_text(name): _masked_field(name, each) for name, each in value.items()}
    if isinstance(value, list):
        if len(value) == 2 and isinstance(value[0], str):  # a header as web servers hold it
            return [_masked_text(value[0]), _masked_field(*value)]
        return [_masked(each) for each in value]
    return value


def _masked_field(name: str, value: Any) -> Any:
    """That there is no value may be told."""
    return MASK if _SECRET_NAME.search(name) and value not in (None, "") else _masked(value)


def _masked_text(text: str) -> str:
    if _suspicious(text):
        for pattern, replacement in _LOOKS:
            text = pattern.sub(replacement, text)
    return text
