"""Values on their way into a cache and out of it: never shared where they can change, never altered in silence."""

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import NoneType, SimpleNamespace
from typing import Any, Final, TypeVar, get_type_hints
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError

T = TypeVar("T")
_ATOMS = (int, float, complex, str, bytes, NoneType, date, time, timedelta, Decimal, UUID, PurePath, Enum, range)


class Missing:
    """The type of `MISSING`, for caches in which None is a value."""


MISSING: Final = Missing()


class NotKeepableError(Exception):
    """The value cannot be copied, or would come back as something else; the text is its type's name."""


def is_immutable(value: object) -> bool:
    """Whether all that the value consists of is known to be unchangeable."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(is_immutable, value))
    parameters = getattr(type(value), "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        return all(map(is_immutable, _contents(value).values()))
    return isinstance(value, _ATOMS)


def own_copy(value: T) -> T:
    """One that nobody else holds, or the value itself where it cannot change. Raises NotKeepableError."""
    if is_immutable(value):
        return value
    if is_response(type(value)):  # it can be sent once
        raise NotKeepableError(type(value).__name__)
    try:
        return copy.deepcopy(value)
    except Exception as error:  # whatever the objects inside think of being copied
        raise NotKeepableError(type(value).__name__) from error


def is_response(kind: object) -> bool:
    """Whether it is a web framework's response class, told by its name."""
    return isinstance(kind, type) and any(
        base.__name__ == "Response" and base.__module__.startswith("starlette.") for base in kind.__mro__
    )


def returns(function: Callable[..., object]) -> Any:
    """The function's return annotation, or `Any` where there is none or it names what is not known here."""
    plain = inspect.unwrap(function)
    annotations = {"return": getattr(plain, "__annotations__", {}).get("return", Any)}
    try:
        return get_type_hints(
            SimpleNamespace(__annotations__=annotations), getattr(plain, "__globals__", {}), include_extras=True
        )["return"]
    except (NameError, TypeError):
        return Any


class Codec:
    """Between values of one function and bytes: JSON by its return annotation, so that types come back.

    A `bytes` value is kept as it is. A value that the annotation does not describe is kept as plain JSON, if it is
    that: an endpoint may return dictionaries where its annotation names the model of the answer.
    """

    def __init__(self, annotation: Any) -> None:
        self._adapters: dict[bytes, TypeAdapter[Any]] = {b"p": TypeAdapter(Any)}
        if annotation is not Any:
            try:
                self._adapters = {b"a": TypeAdapter(annotation)} | self._adapters
            except PydanticUserError:  # a class that pydantic knows no schema for
                return

    def pack(self, value: object) -> bytes:
        """Raises NotKeepableError unless `unpack` gives the same value back."""
        if type(value) is bytes:
            return b"b" + value
        for kind, adapter in self._adapters.items():
            try:
                packed = adapter.dump_json(value, warnings="error")
                if _same(adapter.validate_json(packed), value):
                    return kind + packed
            except Exception:  # noqa: S112  # a serialiser of some class may fail in any way
                continue
        raise NotKeepableError(type(value).__name__)

    def unpack(self, packed: bytes) -> Any:
        """Raises ValueError where the bytes come from elsewhere, or from a version with other types."""
        kind, content = packed[:1], packed[1:]
        if kind == b"b":
            return content
        adapter = self._adapters.get(kind)
        if adapter is None:
            raise ValueError("not written by this function")
        return adapter.validate_json(content)


def _same(left: Any, right: Any) -> bool:
    """Equal in value and in type, inside containers too: 1 is not True."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, BaseModel) or dataclasses.is_dataclass(left):
        return _same(_contents(left), _contents(right))
    return bool(left == right)


def _contents(value: Any) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        return {**value.__dict__, **(value.__pydantic_extra__ or {})}
    return {field.name: getattr(value, field.name, MISSING) for field in dataclasses.fields(value)}
