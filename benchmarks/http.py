"""Searches over HTTP, in times of what the same server does with a constant answer of the same size."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.constant import PATH
from benchmarks.engine import near, places
from benchmarks.figures import print_table, spread
from benchmarks.load import Load
from benchmarks.queries import mix, path_of
from benchmarks.servers import Server, server

_ROOT = Path(__file__).parents[1]
_QUERIES = 2_000
SERVE = ("benchmarks.constant", "serve", "--port", "{port}")
"""VoltWay with constant answers beside its own."""


@dataclass(frozen=True)
class Measured:
    """What a load was for the client, and for the server."""

    load: Load
    server_us: float
    """The server's processor time a request."""


Target = tuple[Server, Sequence[str]]
"""Whom to ask, for which paths."""


def load(server: Server, paths: Sequence[str], seconds: float) -> Load:
    """Ask from another process."""
    command = [sys.executable, "-m", "benchmarks.load", str(server.port), str(seconds)]
    done = subprocess.run(command, cwd=_ROOT, input="\n".join(paths), check=True, capture_output=True, text=True)
    return Load(**json.loads(done.stdout))


def measure(server: Server, paths: Sequence[str], seconds: float) -> Measured:
    """As `load`."""
    before_s = server.cpu_s()
    seen = load(server, paths, seconds)
    return Measured(seen, (server.cpu_s() - before_s) / seen.requests * 1e6)


def alternating(targets: Mapping[str, Target], rounds: int, seconds: float) -> dict[str, list[Measured]]:
    """Measure one after the other, the other way round every second time, so that what else the machine does meets
    all of them. Each is asked for a while before."""
    for target in targets.values():
        load(*target, seconds=seconds / 2)
    taken: dict[str, list[Measured]] = {name: [] for name in targets}
    for turn in range(rounds):
        for name, target in list(targets.items())[:: -1 if turn % 2 else 1]:
            taken[name].append(measure(*target, seconds=seconds))
    return taken


def against_constant(server: Server, paths: Sequence[str], rounds: int, seconds: float) -> list[list[Measured]]:
    """Rounds of constant answers of the mean size, and of those to the paths, which the server has to give."""
    size = round(load(server, paths, seconds).body_bytes)
    constant = [f"{PATH}{size}?{path.partition('?')[2]}" for path in paths]
    return list(alternating({"constant": (server, constant), "paths": (server, paths)}, rounds, seconds).values())


def searches() -> dict[str, list[str]]:
    """Paths by what they ask for."""
    at = list(islice(places(), _QUERIES))
    return {
        "nearest 20": [path_of(near(place)) for place in at],
        "nearest 100": [path_of(near(place, limit=100)) for place in at],
        "the mix": [path_of(query) for query in mix(_QUERIES)],
    }


def ratios(floor: Sequence[Measured], taken: Sequence[Measured]) -> dict[str, str]:
    """By what they compare, round for round."""
    pairs = list(zip(floor, taken, strict=True))
    return {
        "requests/s ÷ constant": spread([each.load.rate / least.load.rate for least, each in pairs]),
        "constant's server time ÷ its": spread([least.server_us / each.server_us for least, each in pairs]),
        "p99 ÷ constant's": spread([each.load.p99_ms / least.load.p99_ms for least, each in pairs]),
    }


def figures(taken: Sequence[Measured]) -> dict[str, str]:
    """Each a median, in brackets smallest and greatest."""
    return {
        "bytes": f"{taken[0].load.body_bytes:,.0f}",
        "requests/s": spread([each.load.rate for each in taken], 0),
        "p50 ms": spread([each.load.p50_ms for each in taken]),
        "p99 ms": spread([each.load.p99_ms for each in taken]),
        "server, µs": spread([each.server_us for each in taken], 0),
        "client, µs": spread([each.load.client_us for each in taken], 0),
    }


def print_http(database_url: str, rounds: int, seconds: float = 2.0) -> None:
    with server(database_url, *SERVE) as ours:
        taken = {name: against_constant(ours, paths, rounds, seconds) for name, paths in searches().items()}
    print(f"Over HTTP, one worker, all middleware on for both, {rounds} rounds of {seconds:g} s each\n")
    rows = []
    for name, (floor, search) in taken.items():
        rows += [["constant", *figures(floor).values()], [name, *figures(search).values()]]
    print_table(["answer", *figures(search)], rows)
    print_table(["search", *ratios(floor, search)], [[name, *ratios(*each).values()] for name, each in taken.items()])
