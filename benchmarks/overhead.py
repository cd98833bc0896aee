"""What middleware, metrics and logging cost: a constant page's requests a second and processor time, against the page
alone."""

import argparse
from contextlib import ExitStack

from benchmarks.figures import print_table, spread
from benchmarks.http import Measured, alternating
from benchmarks.servers import server

_SETUPS = {
    "bare": ([], "false"),
    "middleware": (["middleware"], "false"),
    "middleware, metrics": (["middleware"], "true"),
    "middleware, logging": (["middleware", "logging"], "false"),
    "all on": (["middleware", "logging"], "true"),
}
"""Parts of `benchmarks.overhead_server`, and METRICS_ENABLED."""


def print_overhead(rounds: int, seconds: float) -> None:
    with ExitStack() as stack:
        targets = {
            name: (
                stack.enter_context(
                    server("", "benchmarks.overhead_server", "{port}", *parts, METRICS_ENABLED=measured)
                ),
                ["/constant"],
            )
            for name, (parts, measured) in _SETUPS.items()
        }
        taken = alternating(targets, rounds, seconds)
    print(f"A page of 1,000 bytes, one worker, {rounds} runs of {seconds:g} s each: median (smallest to greatest)\n")
    rows = [[name, *_figures(each, taken["bare"])] for name, each in taken.items()]
    print_table(["set-up", "requests/s", "÷ bare", "processor time, µs a request", "bare ÷ it"], rows)


def _figures(taken: list[Measured], bare: list[Measured]) -> list[str]:
    pairs = list(zip(taken, bare, strict=True))
    return [
        spread([each.load.rate for each in taken], 0),
        spread([each.load.rate / floor.load.rate for each, floor in pairs]),
        spread([each.server_us for each in taken], 1),
        spread([floor.server_us / each.server_us for each, floor in pairs]),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    print_overhead(arguments.rounds, arguments.seconds)
