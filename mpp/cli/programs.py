"""spamd and clamd, started as programs of our own: on free loopback ports, with all their files in one folder.

For the demo and for the tests. A machine's own services are never touched: what is started here is stopped here, by its
process id. Raises ProgramError, whose text says what to do next.
"""

import contextlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # not on a user's PATH in Debian
_PORTS = range(15_000, 32_000)  # below the ports that the kernel gives to outgoing connections
_SIGNATURES = Path("/var/lib/clamav")
_POLL_S = 0.02
_START_S = 180.0  # clamd reads millions of signatures
_STOP_S = 10.0  # then it is killed

# The EICAR test file, as it is (digest and size) and inside something larger (its octets in hexadecimal).
_EICAR_DIGEST = "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n"
_EICAR_OCTETS = (
    "Eicar-Test-Signature:0:*:58354f2150254041505b345c505a58353428505e2937434329377d244549434152"
    "2d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a\n"
)


class ProgramError(Exception):
    """A program is missing, ended at once, or never answered."""


@dataclass(slots=True)
class Program:
    """A running program; as a context it is stopped at the end."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path  # what it wrote

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, by force after ten seconds. Does nothing where it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def last_words(self) -> str:
        """The last lines that it wrote, as it wrote them."""
        return "\n".join(self.log.read_text("utf-8", "backslashreplace").splitlines()[-5:])


def find_program(name: str) -> str | None:
    """Return the path of an installed program, None where there is none."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}")


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port on which nobody listens now and which no outgoing connection takes."""
    for port in random.sample(_PORTS, 200):
        if is_free(host, port):
            return port
    raise ProgramError(f"no free port on {host} from {_PORTS.start} to {_PORTS.stop}")


def launch(name: str, command: Sequence[str], log: Path, **more: str) -> Program:
    """Start a program in a session of its own, so that Ctrl-C reaches us alone; `more` goes into its environment."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 the command is ours
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **more},
        )
    return Program(name, process, log)


def _go_on() -> None:
    """Nothing interrupts the wait."""


def wait_until(
    answers: Callable[[], bool], program: Program, seconds: float, interrupt: Callable[[], None] = _go_on
) -> None:
    """Return once it answers; stop it and raise ProgramError where it ends or never does.

    `interrupt` is called now and then, and may end the wait by an exception: the program is stopped then too.
    """
    deadline = time.monotonic() + seconds
    try:
        while not answers():
            interrupt()
            if program.process.poll() is not None:
                raise ProgramError(f"{program.name} ended with {program.process.returncode}:\n{program.last_words()}")
            if time.monotonic() > deadline:
                raise ProgramError(f"{program.name} did not answer within {seconds:.0f} s:\n{program.last_words()}")
            time.sleep(_POLL_S)
    except BaseException:  # nobody else knows yet that it runs
        program.stop()
        raise


def start_spamd(folder: Path, port: int, *, children: int = 2, interrupt: Callable[[], None] = _go_on) -> Program:
    """Start spamd with the rules as installed, local tests only, as an unprivileged user where we are root."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [_needed("spamd", "spamd"), "--local", "--nouser-config", "--ipv4only", f"--listen=127.0.0.1:{port}"]
    command += [f"--max-children={children}", f"--min-children={children}", "--syslog=stderr"]
    command += [f"--pidfile={folder / 'spamd.pid'}", f"--helper-home-dir={folder}"]
    command += ["--allow-tell", f"--cf=bayes_path {folder / 'bayes'}"]  # what is learnt stays in the folder
    if os.geteuid() == 0:
        user = _unprivileged("debian-spamd", "nobody")
        command.append(f"--username={user}")
        shutil.chown(folder, user)
    program = launch("spamd", command, folder / "spamd.log")
    wait_until(lambda: spamd_answers(("127.0.0.1", port)), program, _START_S, interrupt)
    return program


def start_clamd(
    folder: Path, port: int, *, database: Path | None = None, interrupt: Callable[[], None] = _go_on
) -> Program:
    """Start clamd on a port and on `folder`/clamd.sock. Without a `database` it gets one that knows EICAR alone."""
    folder.mkdir(parents=True, exist_ok=True)
    if database is None:
        database = folder / "database"
        database.mkdir()
        (database / "eicar.hdb").write_text(_EICAR_DIGEST)
        (database / "eicar.ndb").write_text(_EICAR_OCTETS)
    lines = [
        f"DatabaseDirectory {database}",
        f"TemporaryDirectory {folder}",
        f"TCPSocket {port}",
        "TCPAddr 127.0.0.1",
        f"LocalSocket {folder / 'clamd.sock'}",
        "LocalSocketMode 666",
        "StreamMaxLength 64M",
        "MaxThreads 4",
        "Foreground yes",
    ]
    if os.geteuid() == 0:
        user = _unprivileged("clamav", "nobody")
        lines.append(f"User {user}")
        shutil.chown(folder, user)
    settings = folder / "clamd.conf"
    settings.write_text("\n".join(lines) + "\n")
    program = launch("clamd", [_needed("clamd", "clamav-daemon"), f"--config-file={settings}"], folder / "clamd.log")
    wait_until(lambda: clamd_answers(("127.0.0.1", port)), program, _START_S, interrupt)
    return program


def signatures() -> Path | None:
    """The folder of the machine's own ClamAV signatures, None where none were fetched yet."""
    return _SIGNATURES if any(_SIGNATURES.glob("*.c[lv]d")) else None


def spamd_answers(address: tuple[str, int]) -> bool:
    """True where a spamd answers PING."""
    return _asked(address, b"PING SPAMC/1.5\r\n\r\n").startswith(b"SPAMD/")


def clamd_answers(address: tuple[str, int] | str) -> bool:
    """True where a clamd answers PING; `address` is a host and port, or a unix path."""
    return _asked(address, b"zPING\0").rstrip(b"\0") == b"PONG"


def is_free(host: str, port: int) -> bool:
    """True where we could listen."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections just closed are no hindrance
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def port_answers(address: tuple[str, int]) -> bool:
    """True where something accepts connections."""
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


def _asked(address: tuple[str, int] | str, question: bytes) -> bytes:
    """Return the start of the answer, b"" where there is none within three seconds."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(3)
        try:
            connection.connect(address)
            connection.sendall(question)
            return connection.recv(100)
        except OSError:
            return b""


def _needed(program: str, package: str) -> str:
    path = find_program(program)
    if path is None:
        raise ProgramError(f"{program} is not installed; on Debian: apt-get install {package}")
    return path


def _unprivileged(*names: str) -> str:
    """The first of these users that exists."""
    for name in names:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ProgramError(f"none of the users {', '.join(names)} exists; this program must not run as root")
