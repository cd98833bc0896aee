"""Jobs for tests. They stand in a module of their own, so that every process finds them."""

import asyncio
import functools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.utils._log_context import current_fields
from app.utils.background_tasks import FinalJobError, current_job_id, progress


async def add(left: int, right: int) -> int:
    return left + right


def thread_of() -> str:
    return threading.current_thread().name


async def echo(name: str, func: str) -> list[str]:
    return [name, func]


async def log_fields() -> dict[str, str]:
    """What every line logged in this job carries."""
    return {name: str(value) for name, value in current_fields().items()}


def fail_and_note(file: str) -> None:
    with Path(file).open("a") as notes:
        notes.write(f"{time.monotonic()}\n")
    raise ValueError("no luck")


def fail_once(file: str) -> str:
    if not Path(file).exists():
        Path(file).touch()
        raise OSError("not yet")
    return "luck"


async def return_a_set() -> set[int]:
    return {1, 2}


def fail_with_half_a_letter() -> None:
    progress(0.5, "file \x00 \ud83d")
    raise ValueError("bad record \ud83d")


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The wrapper is not async itself, but what it returns is to be awaited."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@traced
async def traced_add(left: int, right: int) -> int:
    return left + right


def find_no_sense_in_it(file: str) -> None:
    """Notes each attempt."""
    with Path(file).open("a") as tried:
        tried.write("once\n")
    raise FinalJobError("the disk is full")


async def leave() -> None:
    sys.exit(3)


def leave_in_a_thread() -> None:
    sys.exit(4)


async def cancel_itself() -> None:
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task


async def wait_for_ever(started: str, ended: str = "") -> None:
    Path(started).touch()
    try:
        await asyncio.Event().wait()
    finally:
        if ended:
            Path(ended).touch()


def work_until_told(started: str, ended: str) -> None:
    """A sync job that says how far it is."""
    Path(started).touch()
    try:
        while True:
            progress(0.5, "half way")
            time.sleep(0.01)
    finally:
        Path(ended).touch()


def sleep_through_the_first(started: str, seconds: float) -> str:
    """Hangs as only a thread can, but not when it is done again."""
    if Path(started).exists():
        return "done by another"
    Path(started).touch()
    time.sleep(seconds)
    return "done by the first"


def write_in_two_lives(file: str, lines: int) -> int:
    """Writes under a temporary name, then renames, as a job must that may be done twice. The first time it does not
    get beyond the middle."""
    temporary = Path(f"{file}.part")
    is_first = not temporary.exists()
    with temporary.open("w") as output:
        for line in range(lines):
            output.write(f"{line}\n")
            output.flush()
            if is_first and line == lines // 2:
                Path(f"{file}.begun").touch()
                time.sleep(600)
    temporary.replace(file)
    return lines


async def note_the_job(file: str) -> None:
    with Path(file).open("a") as notes:
        notes.write(f"{current_job_id()}\n")


async def total(values: Sequence[int]) -> int:
    return sum(values)


async def write_square(folder: str, number: int, seconds: float) -> int:
    """Takes its time, and may be done twice."""
    await asyncio.sleep(seconds)
    temporary = Path(folder, f".{number}-{time.monotonic_ns()}")
    temporary.write_text(f"{number**2}\n")
    temporary.rename(Path(folder, str(number)))
    return number**2
