"""A client that does as little as possible, so that the server is what is measured.

Run as a program (`PORT SECONDS`, paths on standard input, one a line) it prints a Load as JSON.
"""

import json
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle

CONNECTIONS = 8
"""Requests under way at any time: enough that the server never waits for the client."""
_LENGTH = b"content-length: "
_READ = 1 << 18


@dataclass(frozen=True)
class Load:
    """What so many connections saw that each ask again as soon as they are answered."""

    requests: int
    rate: float
    """Requests a second."""
    body_bytes: float
    """Mean."""
    p50_ms: float
    p99_ms: float
    """From sending a request to the last byte of its answer, with the others' requests before it in the queue."""
    client_us: float
    """The client's own processor time a request."""


class Connection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(_READ)
        self._view = memoryview(self._buffer)
        self._asked = 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, request: bytes) -> None:
        self._asked = time.perf_counter()
        self._socket.sendall(request)

    def answered(self) -> tuple[int, float]:
        """Read the whole answer; return bytes of its body, and seconds since asked. Raises ValueError when it is not
        200 OK, ConnectionError when it ends early."""
        read = self._read(0)
        while (end := self._buffer.find(b"\r\n\r\n", 0, read)) < 0:
            read += self._read(read)
        head = self._buffer[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            raise ValueError(head.decode())
        start = head.index(_LENGTH) + len(_LENGTH)
        length = int(head[start:].split(b"\r\n", 1)[0])
        missing = end + 4 + length - read
        while missing > 0:
            missing -= self._read(0)
        return length, time.perf_counter() - self._asked

    def _read(self, at: int) -> int:
        if read := self._socket.recv_into(self._view[at:]):
            return read
        raise ConnectionError("the server closed the connection")


def run(port: int, seconds: float, paths: Sequence[str], connections: int = CONNECTIONS) -> Load:
    """Raises as `Connection.answered`."""
    waiting = cycle([b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode() for path in paths])
    opened = {each.fileno(): each for each in (Connection(port) for _ in range(connections))}
    poll = select.epoll()
    for number in opened:
        poll.register(number, select.EPOLLIN)
    start, cpu_s = time.perf_counter(), time.process_time()
    for connection in opened.values():
        connection.ask(next(waiting))
    took: list[float] = []
    length = 0
    while not took or time.perf_counter() - start < seconds:
        for number, _ in poll.poll(30):
            connection = opened[number]
            body, latency = connection.answered()
            connection.ask(next(waiting))
            took.append(latency)
            length += body
    return _summed_up(took, length, time.perf_counter() - start, time.process_time() - cpu_s)


def _summed_up(took: list[float], length: int, elapsed_s: float, cpu_s: float) -> Load:
    took.sort()
    count = len(took)
    return Load(
        requests=count,
        rate=count / elapsed_s,
        body_bytes=length / count,
        p50_ms=took[count // 2] * 1e3,
        p99_ms=took[count * 99 // 100] * 1e3,
        client_us=cpu_s / count * 1e6,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(run(int(sys.argv[1]), float(sys.argv[2]), sys.stdin.read().split()))))
