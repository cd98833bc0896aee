"""Reading the values of a record: small converters that every adapter uses.

Each returns `None` for an empty value and raises BadField, naming the source's own field, for one that it cannot
read.
"""

import math
import re
from typing import TypeVar

from app.sources.records import BadField

Value = TypeVar("Value")

_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_GROUPED = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d*")


def text(value: object, max_length: int = 500) -> str | None:
    """One line: runs of white space and control characters become one blank; cut to `max_length`.

    `None` also for what is no text in JSON: a list, an object, NaN."""
    if isinstance(value, str):
        line = value
    elif isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        line = str(value)
    else:
        return None
    if not (line.isprintable() and "  " not in line):
        line = _UNWANTED.sub(" ", line)
    return line.strip()[:max_length].rstrip() or None


def number(field: str, value: object, *, decimal_comma: bool = False) -> float | None:
    """A finite number; with `decimal_comma`, `1.234,5` and `1234,5` are read as 1234.5."""
    if value is None:
        return None
    written = str(value).strip()
    if not written:
        return None
    if decimal_comma and ("." not in written or _GROUPED.fullmatch(written)):
        written = written.replace(".", "").replace(",", ".")
    try:
        result = float(written)
    except ValueError:
        raise BadField(field, value, "not_a_number", "This is not a number.") from None
    if not math.isfinite(result) or "_" in written:
        raise BadField(field, value, "not_a_number", "This is not a finite number.")
    return result


def required(field: str, value: Value | None) -> Value:
    """Reject the record when the value is missing."""
    if value is None:
        raise BadField(field, "", "missing", f"{field} is empty, and a station cannot be stored without it.")
    return value


def degrees(field: str, value: object, limit: int, *, decimal_comma: bool = False) -> float:
    """A longitude (`limit` 180) or latitude (90), which no station can do without."""
    angle = required(field, number(field, value, decimal_comma=decimal_comma))
    if abs(angle) > limit:
        why = f"{field} lies between -{limit} and {limit} degrees."
        raise BadField(field, value, "coordinates_out_of_range", why, "Are longitude and latitude exchanged?")
    return angle
