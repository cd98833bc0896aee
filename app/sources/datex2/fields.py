"""Reading members of DATEX II's JSON objects.

An object of a class is wrapped in another one that has the class for its only member's name, with a prefix for the
package and profile: `egiElectricChargingPoint` in DATEX II 3.7, `aegiElectricChargingPoint` in the AFIR recharging
profile. Prefixes are not looked at.
"""

from typing import Any

from app.sources import values

Fields = dict[str, Any]


def members(value: object) -> Fields:
    """Those of an object; none for anything else."""
    return value if isinstance(value, dict) else {}


def elements(value: object) -> list[Any]:
    """Those of a list; one alone is a list of one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def listed(value: object) -> list[Fields]:
    """The elements that are objects."""
    return [element for element in elements(value) if isinstance(element, dict)]


def of_class(value: object, *names: str) -> Fields | None:
    """The member of a wrapper that is of one of the classes; `None` where there is none."""
    found = (member for key, member in members(value).items() if key.endswith(names))
    return next((member for member in found if isinstance(member, dict)), None)


def word(value: object) -> str | None:
    """Of an enumeration: `{"value": ...}`; a profile's own is `{"value": "extendedG", "extendedValueG": ...}`."""
    if isinstance(value, dict):
        plain = value.get("value")
        return values.text(value.get("extendedValueG") or plain if plain == "extendedG" else plain, 100)
    return values.text(value, 100)


def phrase(value: object) -> str | None:
    """The first language of a `MultilingualString`."""
    if not isinstance(value, dict):
        return values.text(value)
    texts = (values.text(each.get("value")) for each in listed(value.get("values")))
    return next((text for text in texts if text), None)
