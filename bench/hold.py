"""Connections that do nothing. `python -m bench.hold PORT CONNECTIONS`: prints `held`, lets go when stdin ends.

They come from many addresses of loopback, so that no limit by host is met.
"""

import socket
import sys


def hold(port: int, connections: int) -> list[socket.socket]:
    held = []
    for number in range(connections):
        source = f"127.2.{number // 40 % 250}.{number % 40 + 1}"
        connection = socket.create_connection(("127.0.0.1", port), 30, (source, 0))
        connection.recv(512)
        connection.sendall(b"EHLO idle.example.com\r\n")
        answer = connection.recv(2048)
        if not answer.startswith(b"250"):
            raise SystemExit(f"connection {number + 1} refused: {answer!r}")
        held.append(connection)
    return held


if __name__ == "__main__":
    kept = hold(int(sys.argv[1]), int(sys.argv[2]))
    print("held", flush=True)
    sys.stdin.read()
