"""What middleware, metrics and logging cost: requests a second of a constant page, in shares of the bare page's."""

import argparse
from contextlib import ExitStack

from benchmarks.figures import print_table, spread
from benchmarks.http import load, server

_SETUPS = {
    "bare": ([], "false"),
    "middleware": (["middleware"], "false"),
    "middleware, metrics": (["middleware"], "true"),
    "middleware, logging": (["middleware", "logging"], "false"),
    "all on": (["middleware", "logging"], "true"),
}
"""Parts of `benchmarks.overhead_server`, and METRICS_ENABLED."""


def print_overhead(rounds: int, seconds: float) -> None:
    """The set-ups take turns, so that what else the machine does meets all of them."""
    rates: dict[str, list[float]] = {name: [] for name in _SETUPS}
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(
                server("", "benchmarks.overhead_server", "{port}", *parts, METRICS_ENABLED=measured)
            )
            for name, (parts, measured) in _SETUPS.items()
        }
        for port in ports.values():
            load(port, ["/constant"], 1.0)
        for _ in range(rounds):
            for name, port in ports.items():
                rates[name].append(load(port, ["/constant"], seconds)[0])
    print(f"A page of 1,000 bytes, one worker, {rounds} runs of {seconds:g} s each\n")
    rows = [
        [name, spread(each, 0), spread([rate / bare for rate, bare in zip(each, rates["bare"], strict=True)])]
        for name, each in rates.items()
    ]
    print_table(["set-up", "requests/s: median (smallest to greatest)", "÷ bare"], rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    print_overhead(arguments.rounds, arguments.seconds)
