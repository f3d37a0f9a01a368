"""How long a worker does not answer. `python -m bench.probe PORT`: NOOP every two milliseconds until stdin ends.

Prints the longest and the usual round trip in milliseconds as one JSON line. A worker that works on something at one
stretch answers only after it, so the longest round trip is the longest stretch that was met.
"""

import contextlib
import json
import os
import select
import socket
import sys
import time


def probe(port: int) -> list[float]:
    trips: list[float] = []
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(512)
        print("probing", flush=True)
        while not (select.select([sys.stdin], [], [], 0.002)[0] and trips):
            began = time.perf_counter()
            connection.sendall(b"NOOP\r\n")
            answer = connection.recv(512)
            if not answer.startswith(b"250"):
                raise SystemExit(f"NOOP was answered {answer!r}")
            trips.append((time.perf_counter() - began) * 1000)
    return sorted(trips)


if __name__ == "__main__":
    with contextlib.suppress(PermissionError):
        os.nice(-15)  # it must not wait for the load that it shares the core with
    trips = probe(int(sys.argv[1]))
    print(json.dumps({"longest_ms": trips[-1], "median_ms": trips[len(trips) // 2], "trips": len(trips)}))
