"""A PostgreSQL of our own, as an unprivileged user, on a unix socket in a folder of its own; a fresh database for who asks.

Without fsync: tests kill its processes, never the machine. Raises ProgramError where it does not start.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psycopg

from mpp.cli.programs import ProgramError

_FAST = ["-c", "fsync=off", "-c", "full_page_writes=off"]


def binaries() -> Path | None:
    """Return the folder with initdb and pg_ctl: on the PATH, or where Debian puts the newest."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name))
    return folders[-1] if folders else None


class Postgresql:
    """A running cluster; as a context it is stopped at the end."""

    def __init__(self, folder: Path, bin_folder: Path, options: tuple[str, ...] = ()) -> None:
        self._folder, self._bin, self._made = folder, bin_folder, 0
        self._options = [*_FAST, "-c", "listen_addresses=", "-k", str(folder), *options]
        self._user = "postgres" if os.geteuid() == 0 else None
        folder.mkdir()
        folder.chmod(0o711)
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        self._run("initdb", "-D", str(self._data), "-U", "mpp", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        self.start()
        self.execute("create database template_mpp")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", log, "-o", " ".join(self._options), "start")

    def stop(self, mode: str = "fast") -> None:
        """End it: "fast" rolls back what is open, "immediate" is a crash."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def execute(self, command: str) -> None:
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(command)  # type: ignore[call-overload]

    def database(self) -> str:
        """Make an empty database and return its URL as [store] catalog takes it."""
        self._made += 1
        name = f"mpp_{os.getpid()}_{self._made}"
        self.execute(f"create database {name} template template_mpp")
        return f"postgresql://mpp@/{name}?host={self._folder}"

    @contextmanager
    def locked(self, url: str, table: str) -> Iterator[None]:
        """Hold a lock on a table, so that whoever writes to it has to wait."""
        with psycopg.connect(url) as connection:
            connection.execute(f"lock table {table} in exclusive mode")  # type: ignore[call-overload]
            yield

    def drop(self, url: str) -> None:
        self.execute(f"drop database {url.removeprefix('postgresql://mpp@/').partition('?')[0]} with (force)")

    def _conninfo(self, database: str) -> str:
        return f"postgresql://mpp@/{database}?host={self._folder}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,  # the server would keep a pipe open
            stderr=subprocess.STDOUT,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise ProgramError(f"{program} ended with {done.returncode}: {(done.stdout or b'').decode()}")
