"""Reading members of Open Charge Map's JSON objects, in whichever of its forms they come.

By default a number is followed by the object it stands for, and what is not known is null. `compact=true` gives
numbers only, `verbose=false` leaves nulls out, `camelcase=true` writes `powerKW` for `PowerKW`.
"""

from typing import Any

from app.sources import values

Fields = dict[str, Any]
"""A JSON object whose names are in lower case."""


def folded(value: object) -> Fields:
    """The members of an object; none for null and for anything that is no object."""
    return {name.lower(): member for name, member in value.items()} if isinstance(value, dict) else {}


def integer(value: object) -> int | None:
    """A whole number, also one written as text or with a decimal point; `None` for anything else."""
    if type(value) is int:
        return value
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def reference_id(fields: Fields, id_name: str, object_name: str) -> int | None:
    """The number of a reference value: its own member, else the embedded object's (all that API version 2 gives)."""
    own = integer(fields.get(id_name))
    return own if own is not None else integer(folded(fields.get(object_name)).get("id"))


def line(value: object, max_length: int = 500) -> str | None:
    """One line of text; some contributions hold the word `null` for nothing."""
    written = values.text(value, max_length)
    return None if written == "null" else written
