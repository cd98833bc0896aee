"""For how long a server waits for its clients."""

import math
from asyncio import AbstractEventLoop
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Protocol

_EVERY_S = 1.0
_AT_ONCE = 200


class Wait(Enum):
    """What a connection waits for, with the seconds that it may."""

    US = math.inf
    """The application is at work."""
    REQUEST = 30.0
    """The first, or another one."""
    HEAD = 10.0
    """The rest of a request's head."""
    READER = 60.0
    """The client takes nothing of its answer."""
    LAST_REQUEST = 1.0
    """The process stops, and the client may not know yet."""
    LAST_BYTES = 2.0
    """The request was refused before all of it has come."""


class Connection(Protocol):
    seen: tuple[Wait, int] | None
    """Its wait when it was last looked at."""
    seen_at: float

    @property
    def wait(self) -> tuple[Wait, int]:
        """And a number that is another when the connection gets on."""

    def give_up(self, wait: Wait) -> None: ...


def sweep(loop: AbstractEventLoop, connections: AbstractSet[Connection]) -> None:
    """From now on give up every connection that waits for too long: within a second or two of its time."""
    loop.call_later(_EVERY_S, sweep, loop, connections)
    _look_at(loop, list(connections))


def _look_at(loop: AbstractEventLoop, connections: list[Connection]) -> None:
    """At some now, and at the others after what else is to be done: thousands at once would hold up answers."""
    now = loop.time()
    for connection in connections[:_AT_ONCE]:
        wait = connection.wait
        if wait != connection.seen:
            connection.seen, connection.seen_at = wait, now
        elif now - connection.seen_at >= wait[0].value:
            connection.give_up(wait[0])
    if rest := connections[_AT_ONCE:]:
        loop.call_soon(_look_at, loop, rest)
