"""A PostgreSQL of our own for a bench: what the tests start (tests/servers/postgresql.py), in the words of the stand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.stand import BenchError, MissingError
from mpp.cli.programs import ProgramError
from servers.postgresql import Postgresql, binaries


@contextmanager
def postgresql(folder: Path, *options: str) -> Iterator[str]:
    """The URL of an empty database of a server in `folder`, which it makes. Raises MissingError where it is not installed."""
    programs = binaries()
    if programs is None:
        raise MissingError("no postgresql: packaging/apt.sh peers")
    try:
        with Postgresql(folder, programs, options) as server:
            yield server.database()
    except ProgramError as error:
        raise BenchError(str(error)) from error
