"""The country of a location.

`country` is ISO 3166-1 alpha-3 (OCPI 2.2.1 §8.3.1). Feeds also write the alpha-2 code or a name. The names in
`countries.csv` are those of the time zone database (iso3166.tab, public domain), and what the countries of Europe and
some others call themselves.
"""

import csv
from importlib.resources import files


def _codes() -> dict[str, str]:
    text = (files(__package__) / "countries.csv").read_text(encoding="utf-8")
    return {
        spelling.casefold(): row["alpha_2"]
        for row in csv.DictReader(text.splitlines())
        for spelling in (row["alpha_2"], row["alpha_3"], *row["names"].split("|"))
    }


_CODES = _codes()


def country_code(written: str | None, notes: list[str]) -> str | None:
    """ISO 3166-1 alpha-2. The `country_code` of a location is not asked: it is where its operator is registered."""
    if written is None:
        return None
    code = _CODES.get(written.casefold())
    if code is None:
        notes.append(f"country {written[:60]!r} unknown, left out")
    elif len(written) != 3:
        notes.append(f"country {written[:60]!r} read as {code}")
    return code
