"""From a log record to one line: JSON whatever values it carries, and the same for human eyes."""

import logging
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import PurePath
from traceback import format_exception
from typing import Any

import orjson

from app.utils._log_context import current_fields

_EMPTY_RECORD = logging.makeLogRecord({}).__dict__
_OTHERS = frozenset(_EMPTY_RECORD) | {"message", "asctime", "taskName", "color_message"}
"""What is on a record without any `extra`, what others' formatters add, and uvicorn's copy for terminals."""
_OURS = frozenset({"ts", "level", "logger", "msg", "exception", "stack"})
_LEVELS = {number: logging.getLevelName(number) for number in range(10, 60, 10)}
_DEEPEST = 8
_MOST_ELEMENTS = 1_000
_LONGEST_REPR = 2_000
_UNQUOTED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@{}*+%")


def level_name(number: int) -> str:
    """One of the five standard names; a level between two has the lower one's."""
    return _LEVELS.get(number) or _LEVELS[min(max(number // 10 * 10, 10), 50)]


def as_json(record: logging.LogRecord) -> bytes:
    """One JSON object without line breaks. Everything is rendered now, so what the caller changes later is not
    seen. Never raises because of a value: what JSON cannot say is said as text."""
    after_standard = islice(record.__dict__.items(), len(_EMPTY_RECORD), None)  # set first, by its constructor
    fields = {**current_fields(), **{name: value for name, value in after_standard if name not in _OTHERS}}
    line = _line(record.created, record.levelno, record.name, _message(record), fields)
    if record.exc_text or record.exc_info:
        line["exception"] = _exception(record)
    if record.stack_info:
        line["stack"] = record.stack_info
    return _dumped(line)


def fields_as_json(created: float, level: int, logger: str, event: str, fields: Mapping[str, Any]) -> bytes:
    """The same without a record; `created` is Unix time."""
    return _dumped(_line(created, level, logger, event, fields))


def _line(created: float, level: int, logger: str, message: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A field that bears the name of one of ours gets an underscore."""
    if not _OURS.isdisjoint(fields):
        fields = {f"{name}_" if name in _OURS else name: value for name, value in fields.items()}
    ts = datetime.fromtimestamp(created, UTC)
    return {"ts": ts, "level": level_name(level), "logger": logger, "msg": message, **fields}


def _dumped(line: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(line, default=_known, option=orjson.OPT_UTC_Z)
    except Exception:  # an integer of 80 digits, half a surrogate pair, a property that raises, ...
        return orjson.dumps(_plain(line))


def as_text(line: bytes) -> str:
    """A line made by `as_json`, for people: what matters most first, then `name=value`, then tracebacks."""
    fields = orjson.loads(line)
    head = [fields.pop(name) for name in ("ts", "level", "logger", "msg")]
    blocks = [fields.pop(name) for name in ("exception", "stack") if name in fields]
    ts, level, logger, message = map(str, head)
    shown = "".join(f" {name}={_word(value)}" for name, value in fields.items())
    return "\n".join([f"{ts} {level:<8} {logger}: {_one_line(message)}{shown}", *blocks])


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit the text, or whose repr raises
        return f"{_text(record.msg)} {_text(record.args)}"


def _exception(record: logging.LogRecord) -> str | None:
    error = record.exc_info and record.exc_info[1]
    if record.exc_text or not error:
        return record.exc_text
    try:
        return "".join(format_exception(error)).rstrip()
    except Exception:
        return _text(error)


def _known(value: Any) -> Any:
    """Something that JSON does not have, in terms of what it has."""
    if isinstance(value, Decimal | PurePath):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, Collection) and len(value) <= _MOST_ELEMENTS:
        return dict(value) if isinstance(value, Mapping) else list(value)
    return value.item() if getattr(value, "ndim", None) == 0 else _text(value)  # a number of NumPy's


def _plain(value: Any, depth: int = 0) -> Any:
    """A value that JSON cannot hold, without the parts that it cannot."""
    try:
        return orjson.Fragment(orjson.dumps(value, default=_known, option=orjson.OPT_UTC_Z))
    except Exception:
        if isinstance(value, str) or depth == _DEEPEST:
            return _text(value)
    try:
        known = _known(value)
        if isinstance(known, dict):
            return {_text(key): _plain(each, depth + 1) for key, each in known.items()}
        return [_plain(each, depth + 1) for each in known] if isinstance(known, list) else _text(known)
    except Exception:
        return _text(value)


def _text(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else repr(value)[:_LONGEST_REPR]
    except Exception:
        text = f"<{type(value).__name__} that has no text>"
    return text.encode("utf-8", "backslashreplace").decode()


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if text and _UNQUOTED.issuperset(text) else orjson.dumps(value).decode()


def _one_line(text: str) -> str:
    """No one can fake a line by what is logged."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()
