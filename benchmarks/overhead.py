"""What middleware, metrics and logging cost: a constant page's requests a second and processor time, against the page
alone."""

import argparse
from contextlib import ExitStack
from urllib.request import urlopen

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


def measure(port: int, seconds: float) -> tuple[float, float]:
    """Requests a second, and the server's processor time a request in microseconds: of all its threads, whoever else
    uses the machine."""
    before_s = _cpu_s(port)
    rate, _ = load(port, ["/constant"], seconds)
    return rate, (_cpu_s(port) - before_s) / (rate * seconds) * 1e6


def _cpu_s(port: int) -> float:
    with urlopen(f"http://127.0.0.1:{port}/cpu", timeout=30) as answer:
        return float(answer.read())


def print_overhead(rounds: int, seconds: float) -> None:
    """The set-ups take turns, so that what else the machine does meets all of them."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in _SETUPS}
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(
                server("", "benchmarks.overhead_server", "{port}", *parts, METRICS_ENABLED=measured)
            )
            for name, (parts, measured) in _SETUPS.items()
        }
        for port in ports.values():
            load(port, ["/constant"], 1.0)
        for turn in range(rounds):
            for name, port in list(ports.items())[:: -1 if turn % 2 else 1]:
                taken[name].append(measure(port, seconds))
    print(f"A page of 1,000 bytes, one worker, {rounds} runs of {seconds:g} s each: median (smallest to greatest)\n")
    rows = [[name, *_figures(each, taken["bare"])] for name, each in taken.items()]
    print_table(["set-up", "requests/s", "÷ bare", "processor time, µs a request", "bare ÷ it"], rows)


def _figures(taken: list[tuple[float, float]], bare: list[tuple[float, float]]) -> list[str]:
    rates, times = zip(*taken, strict=True)
    bare_rates, bare_times = zip(*bare, strict=True)
    return [
        spread(rates, 0),
        spread([rate / floor for rate, floor in zip(rates, bare_rates, strict=True)]),
        spread(times, 1),
        spread([floor / took for took, floor in zip(times, bare_times, strict=True)]),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    print_overhead(arguments.rounds, arguments.seconds)
