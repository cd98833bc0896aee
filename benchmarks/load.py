"""A client that does as little as possible, so that the server is what is measured.

Run as a program (`PORT SECONDS`, paths on standard input, one a line) it prints requests a second and bytes a body.
"""

import json
import socket
import sys
import time
from collections.abc import Sequence
from itertools import cycle

CONNECTIONS = 8
"""Requests under way at any time: enough that the server never waits for the client."""
_LENGTH = b"content-length: "


class Connection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path: str) -> None:
        self._socket.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())

    def body_length(self) -> int:
        """Read the whole answer. Raises ValueError when it is not 200 OK."""
        answer = self._socket.recv(1 << 18)
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._socket.recv(1 << 18)
        head = answer[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            raise ValueError(head.decode())
        start = head.index(_LENGTH) + len(_LENGTH)
        length = int(head[start:].split(b"\r\n", 1)[0])
        missing = end + 4 + length - len(answer)
        while missing > 0:
            missing -= len(self._socket.recv(1 << 18))
        return length


def run(port: int, seconds: float, paths: Sequence[str]) -> tuple[float, float]:
    """Return requests a second and bytes a body."""
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    waiting = cycle(paths)
    start = time.perf_counter()
    for connection in connections:
        connection.ask(next(waiting))
    length = 0
    for answers, connection in enumerate(cycle(connections), start=1):
        length += connection.body_length()
        elapsed = time.perf_counter() - start
        if elapsed > seconds:
            return answers / elapsed, length / answers
        connection.ask(next(waiting))
    raise AssertionError


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]), sys.stdin.read().split())))
