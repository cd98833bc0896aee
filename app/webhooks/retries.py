"""When to try again, and when no more."""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

PAUSES_S = (10, 60, 300, 1_800, 7_200, 21_600)
"""After the first attempt that failed, the second, …; after the last of them a delivery is dead."""
STEPS_ASIDE_AFTER = 3
"""Attempts, which take some six minutes: then a delivery holds up no other one."""
BACK_AFTER = timedelta(minutes=5)
"""A receiver that has accepted nothing for so long, and does again, is sent at once all that waits."""
MOST_JITTER = 0.2
"""Of the pause is added at random, so that those that failed together do not come together."""
LONGEST_WAIT_S = 86_400.0
"""Whoever asks for more patience gets this."""
GIVE_UP_AFTER = timedelta(days=3)
"""A receiver that has accepted nothing for so long is left alone until somebody resumes its webhook."""


class Pause(StrEnum):
    """Why a webhook is told nothing."""

    OPERATOR = "operator"
    """Of this service, who wants it so."""
    FAILING = "failing"
    """Nothing has been accepted for too long."""
    GONE = "gone"
    """The receiver answered 410."""


def wait_after(attempts: int, asked_for_s: float | None, chance: Callable[[], float]) -> timedelta | None:
    """From that attempt, which failed, to the next; the first is 1. `None`: there is none. `chance`: gives 0 to 1."""
    if attempts > len(PAUSES_S):
        return None
    wait_s = PAUSES_S[attempts - 1] * (1 + MOST_JITTER * chance())
    return timedelta(seconds=max(wait_s, min(asked_for_s or 0.0, LONGEST_WAIT_S)))
