"""Functions and values as they stand in the queue: by name, and as JSON."""

import importlib
import inspect
from collections.abc import Mapping
from functools import reduce
from typing import Any

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError

from app.utils._jobs_model import JobFunction

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue, config=ConfigDict(allow_inf_nan=False))
_WHAT_JSON_IS = "text, a number, true or false, None, a list, or a dict whose keys are text"


class UnknownFunctionError(LookupError):
    """No function has the name that stands in the queue."""


def reference_to(function: JobFunction) -> str:
    """`module:name`. Raises TypeError for what another process could not find under its name."""
    name = getattr(function, "__qualname__", None) or repr(function)
    module = getattr(function, "__module__", None)
    reference = f"{module}:{name}"
    try:
        found = None if module == "__main__" else function_named(reference)  # every process has a main of its own
    except UnknownFunctionError:
        found = None
    if found is not function:
        raise TypeError(
            f"{name} cannot be a job: another process must find it by its name. Give a function that stands in a "
            "module; the script that is run, a lambda, a function inside another, a bound method or a partial will "
            "not do."
        )
    return reference


def function_named(reference: str) -> JobFunction:
    """The function that `reference_to` has named. Raises UnknownFunctionError."""
    module, _, name = reference.partition(":")
    try:
        found: Any = reduce(getattr, name.split("."), importlib.import_module(module))
    except Exception as error:  # importing runs whatever the module holds
        raise UnknownFunctionError(f"There is no function {reference} any more: {error}") from error
    if not callable(found):
        raise UnknownFunctionError(f"{reference} is no function any more.")
    return found  # type: ignore[no-any-return]


def checked_arguments(function: JobFunction, arguments: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Arguments that the function takes and the queue can hold. Raises TypeError, naming the one that is wrong."""
    name = getattr(function, "__qualname__", repr(function))
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    return {argument: as_json(value, f"{name}: argument {argument!r}") for argument, value in arguments.items()}


def as_json(value: object, what: str) -> JsonValue:
    """The value, if JSON can hold it as it is. Raises TypeError, which begins with `what`."""
    try:
        return _JSON.validate_python(value)
    except ValidationError as error:
        at = "".join(f"[{step!r}]" for step in error.errors()[0]["loc"] if step not in {"list", "dict", "float"})
        raise TypeError(f"{what}{at} cannot be stored: it must be {_WHAT_JSON_IS}.") from None
