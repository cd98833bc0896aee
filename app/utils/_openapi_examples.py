"""Examples made from a JSON schema whose fields have examples."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
NONE: Any = object()
"""No example can be made; unlike `None`, which is JSON's null."""


def example_of(schema: Schema, definitions: Mapping[str, Schema], inside: tuple[str, ...] = ()) -> Any:  # noqa: PLR0911
    """A value that the schema allows, or `NONE`: rather none than one that is made up.

    `definitions` are the schemas that a `$ref` names by its last part; `inside` are those being followed, as a schema
    may hold itself.
    """
    if not isinstance(schema, dict):  # JSON Schema knows `true` and `false` too
        return NONE
    if "example" in schema:
        return schema["example"]
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if schema["$ref"] != f"#/components/schemas/{name}" or name not in definitions:
            return NONE
        return NONE if name in inside else example_of(definitions[name], definitions, (*inside, name))
    for word in ("const", "default"):
        if schema.get(word) is not None:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return _of_alternatives(schema[word], definitions, inside)
    if schema.get("type") == "array":
        item = example_of(schema.get("items", {}), definitions, inside)
        return NONE if item is NONE else [item]
    if schema.get("properties"):
        return _of_object(schema, definitions, inside)
    return None if schema.get("type") == "null" else NONE


def _of_alternatives(alternatives: list[Schema], definitions: Mapping[str, Schema], inside: tuple[str, ...]) -> Any:
    """The first with an example; null only where nothing else has one."""
    for schema in sorted(alternatives, key=lambda each: each.get("type") == "null"):
        found = example_of(schema, definitions, inside)
        if found is not NONE:
            return found
    return NONE


def _of_object(schema: Schema, definitions: Mapping[str, Schema], inside: tuple[str, ...]) -> Any:
    """With all fields that have an example; none when a required one has not."""
    fields = {name: example_of(each, definitions, inside) for name, each in schema["properties"].items()}
    if any(fields.get(name, NONE) is NONE for name in schema.get("required", ())):
        return NONE
    return {name: value for name, value in fields.items() if value is not NONE}
