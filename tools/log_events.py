"""Find the log events of the code: every call such as `logger.info("event", extra={"field": …})`.

    python -m tools.log_events

prints the rows of docs/operations/logs.md, in which meaning and action are written by hand, for those that it lacks.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "operations" / "logs.md"
_LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR", "critical": "CRITICAL"}
_LEVEL_OF_METHOD = _LEVELS | {"exception": "ERROR"}


@dataclass(frozen=True, order=True)
class Event:
    """What one or several calls write."""

    name: str
    levels: tuple[str, ...]
    fields: tuple[str, ...]
    """What the code does not spell out is `…`, in names, levels and fields."""

    @property
    def cells(self) -> tuple[str, str, str]:
        """As the page shows them."""
        fields = ", ".join(field if field == "…" else f"`{field}`" for field in self.fields)
        return self.name, ", ".join(self.levels), fields or "none"


def events(folder: Path) -> list[Event]:
    """Every event by name; several calls with one name are one event with the levels and fields of all."""
    found: dict[str, list[Event]] = {}
    for file in sorted(folder.rglob("*.py")):
        for event in _events_of(ast.parse(file.read_text(encoding="utf-8"))):
            if event.name != "…":  # a function that logs for others
                found.setdefault(event.name, []).append(event)
    return [_joined(same) for _, same in sorted(found.items())]


def _joined(same: list[Event]) -> Event:
    levels = {level for event in same for level in event.levels}
    fields = dict.fromkeys(field for event in same for field in event.fields)
    return Event(same[0].name, tuple(sorted(levels, key=[*_LEVELS.values(), "…"].index)), tuple(fields))


def _events_of(tree: ast.Module) -> Iterator[Event]:
    loggers = _loggers(tree)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = call.func
        if isinstance(function, ast.Attribute) and ast.unparse(function.value) in loggers:
            if function.attr in _LEVEL_OF_METHOD:
                yield Event(_name(call.args[0]), (_LEVEL_OF_METHOD[function.attr],), _extra(call))
            elif function.attr == "log":
                yield Event(_name(call.args[1]), _named_levels(call.args[0]), _extra(call))
        elif isinstance(function, ast.Name) and function.id == "log_later":
            yield Event(_name(call.args[2]), _named_levels(call.args[1]), ("…",))
        elif isinstance(function, ast.Name) and function.id == "own_line":  # of the log about itself
            yield Event(_name(call.args[0]), ("WARNING",), tuple(keyword.arg or "…" for keyword in call.keywords))


def _loggers(tree: ast.Module) -> set[str]:
    """Names to which the module gives a logger."""
    assignments = [
        node for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    ]
    made = [
        node for node in assignments if ast.unparse(node.value).startswith(("logging.getLogger", "setup_logging"))
    ]
    return {ast.unparse(target) for node in made for target in node.targets}


def _named_levels(level: ast.expr) -> tuple[str, ...]:
    """Those that stand in the call: one, or several when the level is chosen there."""
    words = (node.attr for node in ast.walk(level) if isinstance(node, ast.Attribute))
    return tuple(word for word in words if word in _LEVELS.values()) or ("…",)


def _name(message: ast.expr) -> str:
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


def _extra(call: ast.Call) -> tuple[str, ...]:
    extra = next((keyword.value for keyword in call.keywords if keyword.arg == "extra"), None)
    if isinstance(extra, ast.Dict):
        return tuple(str(key.value) if isinstance(key, ast.Constant) else "…" for key in extra.keys)
    return () if extra is None else ("…",)


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for name, levels, fields in (event.cells for event in events(ROOT / "app")):
        row = f"| `{name}` | {levels} | {fields} | "
        if row not in page:
            sys.stdout.write(row + "meaning | what to do |\n")
