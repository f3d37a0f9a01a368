"""Whether a file that the settings name is still the one that was read: for all who follow a file while the gateway runs.

Take the stamp before the file is opened: one that is replaced in between then has another stamp at the next look. Taken
after, the new file's stamp would stand for the old one's content, and the new one would never be read.
"""

import os
from pathlib import Path

Stamp = tuple[int, int, int]  # when it was changed, its size and its inode


def stamp_of(path: Path) -> Stamp:
    """Return what tells a file from the one that it replaces. Raises OSError."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino
