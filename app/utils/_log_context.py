"""Fields that every log line gets while some piece of work runs: a request's id, a job's id."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from functools import wraps
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
_EMPTY: Mapping[str, Any] = {}
_fields: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default=_EMPTY)


def current_fields() -> Mapping[str, Any]:
    """What lines logged here and now get; not to be changed."""
    return _fields.get()


def current_request_id() -> str | None:
    """None outside of a request."""
    found = _fields.get().get("request_id")
    return None if found is None else str(found)


class log_context:  # noqa: N801 - reads as the verb that it is in a `with`
    """`with log_context(job_id=7):` adds the fields to every line logged inside, also by tasks that are started
    there, by `asyncio.to_thread` and by plain functions that the web framework runs in its threads. For
    `Thread`, `ThreadPoolExecutor.submit` and `loop.run_in_executor`, see `in_log_context`. The inner of two
    contexts wins; each object is entered once."""

    __slots__ = ("_added", "_token")
    _token: Token[Mapping[str, Any]]

    def __init__(self, **fields: Any) -> None:
        self._added = fields

    def __enter__(self) -> None:
        self._token = _fields.set({**_fields.get(), **self._added})

    def __exit__(self, *_: object) -> None:
        _fields.reset(self._token)


def in_log_context(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same function, whose lines carry the fields of here and now wherever it runs:
    `executor.submit(in_log_context(work), 1)`, `Thread(target=in_log_context(work))`.

    Threads do not get them unasked, because one that outlives the request (a pool's worker) would put the id
    of the request that happened to start it on the lines of all later ones.
    """
    fields = _fields.get()

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with log_context(**fields):
            return function(*args, **kwargs)

    return run
