"""Programs of other projects that the tests speak with. The one place where a test may be skipped: an absent peer.

With CI=true a skip is a failure (tests/conftest.py).
"""

import os

import pytest

from mpp.cli.programs import find_program

_PACKAGES = {"clamd": "clamav-daemon", "smtp-sink": "postfix", "smtp-source": "postfix"}


def installed(program: str, *, root: bool = False) -> str:
    """Return the program's path; skip the test, by the program's name, where it is not installed (or we are not root)."""
    path = find_program(program)
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {_PACKAGES.get(program, program)}")
    if root and os.geteuid() != 0:
        pytest.skip(f"{program} can only be started by root")
    return path
