"""Whole Postfix instances with folders of their own, as client (relays all to one place) and as next hop.

Beside the machine's own Postfix, which is neither read nor touched. Needs root, as Postfix does. Everything not set here is
Postfix's default.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from mpp.cli.programs import Program, launch, port_answers, wait_until
from servers.installed import installed

_DAEMONS = "/usr/lib/postfix/sbin"
_SERVICES = """\
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
tlsmgr unix - - n 1000? 1 tlsmgr
"""


class Postfix:
    """One instance. `services` are further lines of master.cf, `parameters` of main.cf over those below."""

    def __init__(self, port: int, parameters: Mapping[str, str], services: Iterable[str] = ()) -> None:
        installed("postfix", root=True)
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix="mpp-postfix-"))  # no long path: it holds unix sockets
        self.folder.chmod(0o755)
        self.settings = self.folder / "etc"
        self._write(parameters, services)
        self._program = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _write(self, parameters: Mapping[str, str], services: Iterable[str]) -> None:
        for name in ("etc", "queue", "data"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix", "postfix")
        values = {
            "compatibility_level": "3.6",
            "queue_directory": f"{self.folder}/queue",
            "data_directory": f"{self.folder}/data",
            "command_directory": "/usr/sbin",
            "daemon_directory": _DAEMONS,
            "maillog_file": f"{self.folder}/mail.log",
            "maillog_file_prefixes": str(self.folder.parent),
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "myhostname": "postfix.example",
            "mynetworks": "127.0.0.0/8",
            "mydestination": "",
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "smtp_dns_support_level": "disabled",
            "smtpd_peername_lookup": "no",
            # Not 1 s: file times are whole seconds, and what the queue manager finds still locked waits five minutes.
            "minimal_backoff_time": "2s",
            "maximal_backoff_time": "3s",
            "queue_run_delay": "1s",
            **parameters,
        }
        (self.settings / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in values.items()))
        listener = f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        (self.settings / "master.cf").write_text(listener + _SERVICES + "".join(f"{line}\n" for line in services))

    def _start(self) -> Program:
        log = self.folder / "start.log"
        with log.open("ab") as output:  # makes the folders of the queue
            command = [installed("postfix"), "-c", str(self.settings), "check"]
            subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=False, timeout=30)
        program = launch("postfix", [f"{_DAEMONS}/master", "-c", str(self.settings), "-d"], log)
        wait_until(lambda: port_answers(("127.0.0.1", self.port)), program, 20)
        return program

    def log(self) -> str:
        """What it logged so far."""
        path = self.folder / "mail.log"
        return path.read_text("utf-8", "backslashreplace") if path.exists() else ""

    def queued(self) -> list[str]:
        """The ids of the messages in its queue."""
        command = [installed("postqueue"), "-c", str(self.settings), "-j"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        return re.findall(r'"queue_id": "([^"]+)"', listed.stdout)

    def flush(self) -> None:
        """Try everything in the queue now."""
        subprocess.run([installed("postqueue"), "-c", str(self.settings), "-f"], check=True, timeout=30)

    def kill(self) -> None:
        """Kill it at once, with all its processes."""
        self._program.process.kill()
        self._program.process.wait()
        for pid in _children_in(self.settings):
            os.kill(pid, 9)

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self._program.stop()
        for pid in _children_in(self.settings):  # daemons that outlive their master for a moment
            os.kill(pid, 9)
        shutil.rmtree(self.folder, ignore_errors=True)


def _children_in(settings: Path) -> list[int]:
    """The daemons of this instance: they have its configuration folder in their environment."""
    mark = f"MAIL_CONFIG={settings}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return [pid for pid in found if pid != os.getpid()]


def next_hop(
    port: int, deliver_to: str, recipients: Iterable[str], parameters: Mapping[str, str] | None = None
) -> Postfix:
    """A Postfix that holds example.org: these recipients exist, all others get its 550 5.1.1; mail goes to `deliver_to`.

    `deliver_to` is a transport, "lmtp:inet:127.0.0.1:PORT" or "discard:".
    """
    table = "inline:{" + ", ".join(f"{{{each} = there}}" for each in recipients) + "}"
    values = {
        "virtual_mailbox_domains": "example.org",
        "virtual_mailbox_maps": table,
        "virtual_transport": deliver_to,
        **(parameters or {}),
    }
    return Postfix(port, values)


def client(port: int, relay_to: str, parameters: Mapping[str, str] | None = None) -> Postfix:
    """A Postfix that takes anything from loopback and relays it to "HOST:PORT", trying again every few seconds."""
    host, _, hop_port = relay_to.rpartition(":")
    return Postfix(port, {"default_transport": f"smtp:[{host}]:{hop_port}", **(parameters or {})})
