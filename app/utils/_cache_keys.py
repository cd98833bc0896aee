"""Arguments of a call as a key: equal calls have one key, and its text is the same in every process.

The key knows types: 1, True, 1.0 and "1" are four keys. What serves the call but does not ask anything, such as a
database session or the request, is left out.
"""

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel

Arguments: TypeAlias = tuple[Any, ...]
KeyMaker: TypeAlias = Callable[[Arguments, dict[str, Any]], Hashable]
_PLAIN = frozenset({int, str, bytes, bool, NoneType})
_PRIMITIVES = (int, float, complex, str, bytes)
_WITH_FAITHFUL_REPR = (date, time, timedelta, Decimal, UUID, PurePath)
_SERVING = {  # known by name, so that neither library is needed
    "starlette": {"HTTPConnection", "Response", "BackgroundTask", "State"},
    "sqlalchemy": {"Session", "AsyncSession", "Connection", "AsyncConnection", "Engine", "AsyncEngine"},
}


def key_maker(
    function: Callable[..., object], ignore: Iterable[str] = (), key: Callable[..., object] | None = None
) -> KeyMaker:
    """A function from a call's arguments to its key, which raises TypeError where an argument has no stable one.

    `key`, called with the same arguments, names what stands for all of them.
    """
    signature = inspect.signature(function)
    names = tuple(signature.parameters)
    unknown = set(ignore) - set(names)
    if unknown:
        raise TypeError(f"{function.__qualname__} has no parameter {', '.join(sorted(unknown))} to ignore")
    asking = [index for index, name in enumerate(names) if name not in set(ignore)]
    in_place = all(
        parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
        for parameter in signature.parameters.values()
    )

    def values_of(args: Arguments, kwargs: dict[str, Any]) -> Arguments:
        if in_place and not kwargs and len(args) == len(names):
            return args
        if in_place and not args and kwargs.keys() == signature.parameters.keys():  # as FastAPI calls
            return tuple([kwargs[name] for name in names])
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return tuple(bound.arguments.values())

    def from_arguments(args: Arguments, kwargs: dict[str, Any]) -> Hashable:
        values = values_of(args, kwargs)
        if len(asking) != len(names):
            values = tuple([values[index] for index in asking])
        types = tuple(map(type, values))
        if _PLAIN.issuperset(types):
            return values, types
        return tuple([_argument(function, names[index], value) for index, value in zip(asking, values, strict=True)])

    def from_caller(args: Arguments, kwargs: dict[str, Any]) -> Hashable:
        assert key is not None  # noqa: S101  # for the type checker: chosen below only when it is given
        return _argument(function, "key=", key(*args, **kwargs))

    return from_arguments if key is None else from_caller


def digest(key: Hashable) -> str:
    """The key's text in 32 characters, the same in every process."""
    return hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _argument(function: Callable[..., object], name: str, value: Any) -> Hashable:
    if _serves(type(value)):
        return ("left out",)
    try:
        return _part(value)
    except _NoStableKeyError as error:
        raise TypeError(
            f"{function.__qualname__}: parameter {name!r} holds a {error}, which makes no stable cache key. "
            f"Name it in ignore=(...) if the result does not depend on it, or give its class a __cache_key__ method."
        ) from None


class _NoStableKeyError(Exception):
    """Its text is the type's name."""


def _part(value: object) -> Hashable:  # noqa: PLR0911  # one line for each kind of value
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Enum):
        return name, value.name
    if value is None or isinstance(value, bool):
        return name, repr(value)
    for primitive in _PRIMITIVES:  # a subclass may have a repr of its own
        if isinstance(value, primitive):
            return name, primitive.__repr__(value)
    if isinstance(value, _WITH_FAITHFUL_REPR) and " at 0x" not in repr(value):  # as a foreign tzinfo may have
        return name, repr(value)
    if isinstance(value, (list, tuple)):
        return name, tuple(map(_part, value))
    if isinstance(value, (set, frozenset)):
        return name, tuple(sorted(map(_part, value), key=repr))
    fields = _fields(value)
    if fields is None:
        raise _NoStableKeyError(name)
    return name, tuple(sorted(((_part(field), _part(content)) for field, content in fields.items()), key=repr))


def _fields(value: object) -> Mapping[Any, Any] | None:
    """What an object consists of, or None."""
    if isinstance(value, type):
        return {"class": f"{value.__module__}.{value.__qualname__}"}
    if hasattr(value, "__cache_key__"):
        return {"key": value.__cache_key__()}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, BaseModel):
        return {**value.__dict__, **(value.__pydantic_extra__ or {})}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _serves(kind: type) -> bool:
    return any(base.__name__ in _SERVING.get(base.__module__.partition(".")[0], ()) for base in kind.__mro__)
