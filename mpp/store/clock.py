"""The time as everything that is stored writes it. Without the catalog's library: spool, segments and traces need no more."""

import time


def now_ms() -> int:
    """Return milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
