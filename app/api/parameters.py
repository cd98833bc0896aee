"""What every route asks of its query."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError


def given_once(*known: str, repeatable: str = "connector") -> Any:
    """Dependency that refuses a parameter given twice, as one of the two would be dropped without a word; and, where
    `known` names any, one that is not among them."""

    def check(request: Request) -> None:
        times = Counter(name for name, _ in request.query_params.multi_items() if name != repeatable)
        errors = [
            _error(name, "repeated", "This parameter may be given only once") for name in times if times[name] > 1
        ]
        errors += [
            _error(name, "extra_forbidden", f"There is no such parameter; known: {', '.join(known)}")
            for name in times
            if known and name not in known
        ]
        if errors:
            raise RequestValidationError(errors)

    checked: Callable[[Request], None] = check
    return Depends(checked)


def _error(name: str, kind: str, message: str) -> dict[str, Any]:
    return {"type": kind, "loc": ("query", name), "msg": message, "input": None}
