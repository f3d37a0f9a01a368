"""Starting what is measured: MPP, the sink behind it, and what a user would run instead.

Each peer gets a configuration of its own in the stand's folder and listens on loopback. A peer whose program is
missing raises MissingError with the line that installs it.
"""

import os
import pwd
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from bench.stand import HOST, BenchError, MissingError, Program, Stand, free_port

_PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


class Sink:
    """The next hop, and what it has counted."""

    def __init__(self, stand: Stand) -> None:
        self.port = free_port()
        self.program = stand.start_module("bench.sink", self.port, port=self.port, core=stand.load)
        self.program.wait_for_smtp()
        self._connection = socket.create_connection((HOST, self.port))
        self._lines = self._connection.makefile("rb")
        self._lines.readline()

    def count(self) -> tuple[int, int]:
        """Return the messages and octets taken so far."""
        self._connection.sendall(b"HELP\r\n")
        _, messages, octets = self._lines.readline().split()
        return int(messages), int(octets)

    def wait_for(self, messages: int, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while (have := self.count()[0]) != messages:
            if have > messages or time.monotonic() > until:
                raise BenchError(f"the next hop has {have} messages in place of {messages}")
            time.sleep(0.005)

    def settle(self) -> int:
        """Wait until nothing more comes; return the messages so far."""
        before, now = -1, self.count()[0]
        while now != before:
            time.sleep(0.2)
            before, now = now, self.count()[0]
        return now


def start_mpp(
    stand: Stand, sink: Sink, *options: str, settings: str = "", name: str = "mpp", module: str = "mpp"
) -> Program:
    """Start one worker by options, as the first page of the manual shows it, or with a settings file."""
    port, data = free_port(), stand.folder / name
    data.mkdir(exist_ok=True)
    if settings:
        file = stand.folder / f"{name}.toml"
        file.write_text(settings.format(port=port, sink=sink.port, data=data))
        arguments = ["--settings", str(file)]
    else:
        arguments = ["--listen", f"{HOST}:{port}", "--next-hop", f"{HOST}:{sink.port}", "--workers", "1"]
        arguments += ["--domain", "example.org", "--data", str(data), *options]
    program = stand.start(name, [sys.executable, "-m", module, "serve", *arguments], port)
    program.wait_for_smtp()
    return program


def start_proxy(stand: Stand, sink: Sink) -> Program:
    for package in ("aiosmtpd", "aiosmtplib"):
        if find_spec(package) is None:
            raise MissingError(f"no {package}: pip install --require-hashes -r requirements-bench.txt")
    port = free_port()
    program = stand.start_module("bench.proxy", port, sink.port, port=port)
    program.wait_for_smtp()
    return program


def start_postfix(stand: Stand, sink: Sink, *, name: str = "postfix", more: Mapping[str, str] | None = None) -> Program:
    """Postfix with its queue on the disk, no lookups, and everything to the sink; `more` stands in its main.cf too."""
    postfix = _program("postfix", "postfix", user="postfix")
    port, folder = free_port(), stand.folder / name
    for below in ("etc", "queue", "data"):
        (folder / below).mkdir(parents=True)
    shutil.chown(folder / "data", "postfix")
    daemons = next(path for path in (Path("/usr/lib/postfix/sbin"), Path("/usr/libexec/postfix")) if path.exists())
    main = {
        "compatibility_level": "3.6",
        "queue_directory": folder / "queue",
        "data_directory": folder / "data",
        "daemon_directory": daemons,
        "command_directory": Path(postfix).parent,
        "maillog_file": folder / "mail.log",
        "maillog_file_prefixes": stand.folder,
        "myhostname": "bench.example.net",
        "inet_interfaces": HOST,
        "inet_protocols": "ipv4",
        "mynetworks": f"{HOST}/32",
        "mydestination": "",
        "local_recipient_maps": "",
        "alias_maps": "",
        "alias_database": "",
        "default_transport": f"smtp:[{HOST}]:{sink.port}",
        "smtpd_peername_lookup": "no",
        "smtp_dns_support_level": "disabled",
        "smtp_host_lookup": "native",
        "smtpd_recipient_restrictions": "permit_mynetworks, reject",
        "in_flow_delay": "0",
        "message_size_limit": str(100 << 20),
        "mailbox_size_limit": "0",
        **(more or {}),
    }
    services = [f"{HOST}:{port} inet n - n - - smtpd", "postlog unix-dgram n - n - 1 postlogd"]
    services += [
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "rewrite unix - - n - - trivial-rewrite",
    ]
    services += [f"{each} unix - - n - 0 bounce" for each in ("bounce", "defer", "trace")]
    services += [f"{each} unix - - n - - {each}" for each in ("smtp", "error", "proxymap", "showq")]
    services += [f"{each} unix - - n - 1 {each}" for each in ("verify", "anvil", "scache", "tlsmgr")]
    services += ["retry unix - - n - - error", "flush unix n - n 1000? 0 flush"]
    (folder / "etc/main.cf").write_text("".join(f"{key} = {value}\n" for key, value in main.items()))
    (folder / "etc/master.cf").write_text("\n".join(services) + "\n")
    check = stand.start(f"{name}-check", [postfix, "-c", str(folder / "etc"), "check"], 0)
    check.wait()
    program = stand.start(name, [str(daemons / "master"), "-c", str(folder / "etc")], port)
    program.wait_for_smtp()
    return program


_AMAVISD = """\
use strict;
include_config_files('/etc/amavis/conf.d/01-debian', '/etc/amavis/conf.d/20-debian_defaults');
$MYHOME = '{folder}'; $TEMPBASE = "$MYHOME/tmp"; $ENV{{TMPDIR}} = $TEMPBASE; $db_home = "$MYHOME/db";
$QUARANTINEDIR = undef; $pid_file = "$MYHOME/pid"; $lock_file = "$MYHOME/lock";
$daemon_user = 'amavis'; $daemon_group = 'amavis'; $max_servers = 2;
$mydomain = 'example.org'; $myhostname = 'bench.example.org'; @local_domains_maps = (['.example.org']);
$inet_socket_bind = '127.0.0.1'; $inet_socket_port = {port}; $unix_socketname = undef;
$forward_method = 'smtp:[127.0.0.1]:{sink}'; $notify_method = $forward_method;
$DO_SYSLOG = 0; $LOGFILE = "$MYHOME/log"; $log_level = 0;
@av_scanners = (); @av_scanners_backup = (); $bypass_decode_parts = 1;
@bypass_virus_checks_maps = (1); @bypass_spam_checks_maps = (1);
@bypass_banned_checks_maps = (1); @bypass_header_checks_maps = (1);
1;
"""


def start_amavisd(stand: Stand, sink: Sink) -> Program:
    """amavisd-new with every check bypassed and two children: what its relaying alone costs."""
    amavisd = _program("amavisd", "amavisd-new", user="amavis")
    port, folder = free_port(), stand.folder / "amavis"
    for path in (folder, folder / "tmp", folder / "db"):
        path.mkdir()
        shutil.chown(path, "amavis", "amavis")
    file = stand.folder / "amavisd.conf"
    file.write_text(_AMAVISD.format(folder=folder, port=port, sink=sink.port))
    program = stand.start("amavisd", [amavisd, "-u", "amavis", "-g", "amavis", "-c", str(file), "foreground"], port)
    program.wait_for_smtp()
    return program


def start_spamd(stand: Stand) -> Program:
    """SpamAssassin's daemon on the load's core, without network tests."""
    spamd = _program("spamd", "spamd")
    port, folder = free_port(), stand.folder / "spamd"
    folder.mkdir()
    user = "debian-spamd" if _has_user("debian-spamd") else "nobody"
    if os.getuid() == 0:
        shutil.chown(folder, user)
    arguments = ["-L", "-4", "-i", f"{HOST}:{port}", "-m", "2", "--min-children=2", "-x", "-H", str(folder)]
    arguments += ["-u", user] if os.getuid() == 0 else []
    program = stand.start("spamd", [spamd, *arguments, "-s", str(folder / "log")], port, stand.load)
    program.wait_for_port()
    return program


def start_haproxy(stand: Stand, servers: list[str], children: int, clock: float, *, tuned: bool) -> Program:
    """HAProxy with its common queue before several spamd: as it comes, or as somebody who knows it would have it.

    Its times are divided by `clock`.
    """
    binary, port = _program("haproxy", "haproxy"), free_port()

    def ms(seconds: float) -> str:
        return f"{max(1, round(seconds * 1000 / clock))}ms"

    check = f"check inter {ms(2)} fall 3 rise 2"
    if tuned:
        check = f"check inter {ms(1)} fastinter {ms(1)} downinter {ms(1)} fall 2 rise 1 observe layer4 error-limit 2"
        check += " on-error mark-down on-marked-down shutdown-sessions"
    lines = [
        "global",
        "    maxconn 8000",
        "defaults",
        "    mode tcp",
        "    retries 3",
        "    option redispatch 1",
        f"    timeout connect {ms(5)}",
        f"    timeout queue {ms(30)}",
        f"    timeout client {ms(60)}",
        f"    timeout server {ms(60)}",
        "listen spamd",
        f"    bind {HOST}:{port}",
        "    balance leastconn",
        "    option tcp-check",
        "    tcp-check send PING\\ SPAMC/1.5\\r\\n\\r\\n",
        "    tcp-check expect string PONG",
        *(f"    server s{number} {server} maxconn {children} {check}" for number, server in enumerate(servers)),
    ]
    file = stand.folder / f"haproxy-{port}.cfg"
    file.write_text("\n".join(lines) + "\n")
    program = stand.start("haproxy", [binary, "-db", "-f", str(file)], port)
    program.wait_for_port()
    return program


def _program(name: str, package: str, user: str = "") -> str:
    """Return the path of a peer's program; where a user is named it must exist, and we must be root."""
    path = shutil.which(name, path=_PLACES)
    if path is None or (user and not _has_user(user)):
        raise MissingError(f"no {name}: apt-get install {package}")
    if user and os.getuid() != 0:
        raise MissingError(f"{name} needs root to start")
    return path


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
