"""What the words of a server's and of a pool's row mean in the node's shared table.

A worker writes its own rows (mpp.net.pool.node), everybody reads them: the other workers, and the supervisor and the status
page for people (mpp.net.pool.board). Floats are kept as their bits, times as monotonic seconds.
"""

import struct
from mmap import mmap

# Kept when a worker dies, for the next one in its slot
ANSWERS, FAILURES, COPIES, FINISHED = 2, 3, 4, 5
LEVEL, VARIANCE, LEVEL_AT = 6, 7, 8
LIMIT, LIMIT_AT = 9, 10
POOL_NAME, SERVER_NAME, CAUSE = 11, 19, 31  # texts of 8, 12 and 10 words
# Gone with it
DEAD, CHANGED_AT, SUSPECT = 41, 42, 43
PLACES = 44  # four words, a bit for each place that it uses
USED = 48  # how many these are
NAMES = {POOL_NAME: 8, SERVER_NAME: 12, CAUSE: 10}
MOST_PLACES = 255  # the last bit's right is that of trying the server

SERVER_WORDS = USED + 1

WAITING, OLDEST, NEWS = 2, 3, 4  # of a pool's row; NEWS counts what was said that cannot wait
POOL_WORDS = 5

SPEED = struct.Struct("dddQd").unpack_from  # from LEVEL to LIMIT_AT
STATE = struct.Struct("QdQ").unpack_from  # from DEAD to SUSPECT
_FLOAT, _WORD = struct.Struct("d"), struct.Struct("Q")


def bits(value: float) -> int:
    """Return the word that keeps a float."""
    return int(_WORD.unpack(_FLOAT.pack(value))[0])


def number(word: int) -> float:
    return float(_FLOAT.unpack(_WORD.pack(word))[0])


def write_text(memory: mmap, row: int, field: int, text: str) -> None:
    """Write a text, cut to its room and to whole characters."""
    room = NAMES[field] * 8
    octets = text.encode("utf-8", "backslashreplace")[:room].decode("utf-8", "ignore").encode()
    memory[(row + field) * 8 : (row + field) * 8 + room] = octets.ljust(room, b"\0")


def read_text(memory: mmap, row: int, field: int) -> str:
    """Return a text; one that is being written may come out mixed, and never raises."""
    start = (row + field) * 8
    return memory[start : start + NAMES[field] * 8].rstrip(b"\0").decode("utf-8", "replace")


def read_places(memory: mmap, row: int) -> int:
    """Return the places in use as a number with a bit for each."""
    return int.from_bytes(memory[(row + PLACES) * 8 : (row + PLACES + 4) * 8], "little")
