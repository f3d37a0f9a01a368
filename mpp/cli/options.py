"""The options of `mpp serve` and `mpp scan` that stand for a settings file, so that MPP can be tried without one.

Without them the file is read: `--settings FILE`, else mpp.toml where there is one. Options and a file are never mixed.
No network is trusted unless it is named. Without a domain everything is relayed, but only from loopback.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpp.cli.errors import fail

if TYPE_CHECKING:
    from mpp.gateway.settings import Settings
    from mpp.settings.problem import Path as KeyPath
    from mpp.settings.problem import Problem
    from mpp.settings.read import Loaded

DEFAULT_FILE = Path("mpp.toml")
DEFAULT_DATA = Path("mpp-data")  # of a trial by options; /var/lib/mpp would need root
_EXAMPLE = "mpp serve --listen 127.0.0.1:2525 --next-hop 127.0.0.1:10026"

SettingsOption = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="Settings file; default mpp.toml where there is one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
SenderOption = Annotated[str, typer.Option("--from", metavar="ADDRESS", help="Reverse-path; default: null sender.")]
ClientOption = Annotated[str, typer.Option("--ip", metavar="ADDRESS", help="Address of the client.")]
ListenOption = Annotated[
    list[str] | None,
    typer.Option(
        "--listen",
        metavar="[smtp:|lmtp:]HOST:PORT",
        help="Listen here; also [IPv6]:PORT and unix:PATH. May be repeated.",
    ),
]
NextHopOption = Annotated[
    list[str] | None,
    typer.Option(
        "--next-hop",
        metavar="[smtp:|lmtp:]HOST:PORT",
        help="Deliver here; repeated: tried in this order. Also unix:PATH.",
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=0, max=256, metavar="N", help="Worker processes; 0: one a core.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder for what must survive a restart; default ./mpp-data, made where it is missing.",
    ),
]
ScannerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scanner",
        metavar="KIND:HOST:PORT[,HOST:PORT...]",
        help="A pool of scanners: spamd:127.0.0.1:783, clamd:unix:PATH, spamd:tls:HOST:PORT. May be repeated.",
    ),
]
DomainOption = Annotated[
    list[str] | None,
    typer.Option("--domain", metavar="NAME", help="A domain of ours; .NAME: with its subdomains. May be repeated."),
]
TrustOption = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="NETWORK", help="Clients that may relay to any domain. May be repeated."),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option("--tls-cert", metavar="FILE", help="Certificate with its chain (PEM): STARTTLS is offered."),
]
KeyOption = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM).")]
SizeOption = Annotated[str | None, typer.Option("--message-size", metavar="BYTES", help='Largest message; also "50M".')]
NoChecksOption = Annotated[bool, typer.Option("--no-checks", help="No parsing and no edit but Received.")]
PrintOption = Annotated[
    bool, typer.Option("--print-settings", help="Print the settings file that these options stand for, and end.")
]


@dataclass(frozen=True, slots=True)
class Options:
    """What the options said. Nothing given: the settings file holds."""

    listen: tuple[str, ...] = ()
    next_hop: tuple[str, ...] = ()
    workers: int | None = None
    data: Path | None = None
    scanners: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    message_size: str | None = None
    no_checks: bool = False

    @property
    def given(self) -> bool:
        """True where any option stands for a settings file."""
        return self != Options()


def serve_settings(file: Path | None, options: Options) -> "tuple[Settings, Path | None]":
    """Return the settings to serve by, and the file they came from. Ends the command where they do not hold."""
    if options.given:
        _refuse_both(file)
        if not options.listen or not options.next_hop:
            missing = "--next-hop" if options.listen else "--listen"
            fail(f"{missing} is missing; write for example:\n{_EXAMPLE}")
        if options.data is None:
            typer.echo(f"--data is not given: what must survive a restart goes into ./{DEFAULT_DATA}", err=True)
            options = replace(options, data=DEFAULT_DATA)
        return _examined(options), None
    path = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    if path is None:
        fail(
            "No settings: there is no mpp.toml here. Name a file with --settings, make one with\n"
            f"`mpp settings example >mpp.toml`, or try it by options:\n{_EXAMPLE}"
        )
    settings = read_file(path)
    if not settings.listeners:
        fail(
            f"{_escaped(str(path))}: names no listener, so no mail could come in; add [[listeners]] with name and address"
        )
    return settings, path


def scan_settings(file: Path | None, options: Options, code: int) -> "Settings":
    """Return the settings to scan by: of the options, else of the file, else the defaults (no scanner).

    Ends the command with `code` where they do not hold.
    """
    if options.given:
        _refuse_both(file, code)
        return _examined(options, code)
    path = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    return read_file(path, code) if path else _examined(options, code)


def read_file(path: Path, code: int = 1) -> "Settings":
    """Return a file's settings, its warnings told on stderr. Ends the command with `code` where they do not hold."""
    loaded = load_file(path, code)
    for warning in loaded.warnings:
        typer.echo(warning, err=True)
    return loaded.settings


def load_file(path: Path, code: int = 1) -> "Loaded[Settings]":
    """Return what a file says, with its lines and warnings. Ends the command with `code` where it does not hold."""
    from mpp.gateway.load import load_settings
    from mpp.settings.problem import SettingsError

    try:
        return load_settings(path)
    except SettingsError as error:
        fail(str(error), code)


def values_of(options: Options) -> dict[str, Any]:
    """Return what a settings file would hold for these options, as tomllib would give it."""
    values: dict[str, Any] = {"networks": _networks(options), "tls": {}, "node": {}, "limits": {}, "memory": {}}
    values["listeners"] = _listeners(options)
    values["routes"] = _routes(options)
    values["scanners"] = list(_scanners(options.scanners))
    if options.workers is not None:
        values["node"]["workers"] = options.workers
    if options.data is not None:
        values["node"]["data"] = str(options.data.absolute())
    if options.tls_cert:
        values["tls"]["certificate"] = str(options.tls_cert.absolute())
    if options.tls_key:
        values["tls"]["key"] = str(options.tls_key.absolute())
    if options.message_size is not None:
        values["limits"]["message_size"] = options.message_size
        _make_room(values, options.message_size)
    if options.no_checks:
        values["checks"] = False
    return values


def _refuse_both(file: Path | None, code: int = 1) -> None:
    if file is not None:
        fail(
            "--settings cannot be mixed with options that stand for a settings file;\n"
            "write them into the file (--print-settings shows how)",
            code,
        )


def _listeners(options: Options) -> list[dict[str, Any]]:
    tls = {"tls": "starttls"} if options.tls_cert or options.tls_key else {}
    names = [f"listener-{number}" if number > 1 else "listener" for number in range(1, len(options.listen) + 1)]
    return [{"name": name, "address": address, **tls} for name, address in zip(names, options.listen, strict=True)]


def _networks(options: Options) -> dict[str, Any]:
    networks: dict[str, Any] = {}
    if options.trust:
        networks["trusted"] = list(options.trust)
    if options.listen and not options.domains:
        networks["relay_all"] = True
    return networks


def _routes(options: Options) -> list[dict[str, Any]]:
    """Domains of ours and, where somebody may relay, the rest go to the same next hops."""
    routes: list[dict[str, Any]] = []
    if not options.next_hop:
        return routes
    if options.domains:
        routes.append({"domains": list(options.domains), "hosts": list(options.next_hop)})
    if options.trust or not options.domains:
        routes.append({"domains": ["*"], "hosts": list(options.next_hop), "ours": False})
    return routes


def _scanners(given: Iterable[str]) -> Iterable[dict[str, Any]]:
    counts: dict[str, int] = {}
    for text in given:
        kind, _, servers = text.partition(":")
        counts[kind] = counts.get(kind, 0) + 1
        name = kind if counts[kind] == 1 else f"{kind}-{counts[kind]}"
        yield {"name": name, "kind": kind, "servers": [server for server in servers.split(",") if server]}


def _make_room(values: dict[str, Any], message_size: str) -> None:
    """A large message needs a budget that four of it fit into: one client network gets a quarter."""
    from mpp.gateway.settings import Memory
    from mpp.settings.values import read_size

    try:
        needed = 4 * int(read_size(message_size))
    except ValueError:
        return  # refused by the model, in words of its own
    if needed > Memory().in_flight:
        values["memory"]["in_flight"] = needed


def _examined(options: Options, code: int = 1) -> "Settings":
    from mpp.gateway.load import ALL_RULES
    from mpp.gateway.settings import Settings
    from mpp.settings.read import examine

    settings, problems = examine(values_of(options), Settings, ALL_RULES)
    for problem in problems:
        mark = "warning: " if problem.severity == "warning" else ""
        typer.echo(f"{mark}{_in_option_words(problem, options)}", err=True)
    if settings is None:
        raise typer.Exit(code)
    return settings


def _in_option_words(problem: "Problem", options: Options) -> str:
    """A problem's line as it concerns an option: the option in place of the key."""
    option = _option_at(problem.path, options)
    return f"{option} {problem.what}; {problem.cure}" if option else problem.text


def _option_at(path: "KeyPath", options: Options) -> str:
    fixed: dict[KeyPath, str] = {
        ("node", "workers"): "--workers",
        ("node", "data"): "--data",
        ("tls", "certificate"): "--tls-cert",
        ("tls", "key"): "--tls-key",
        ("limits", "message_size"): "--message-size",
        ("networks", "trusted"): "--trust",
        ("networks", "relay_all"): "--listen",
    }
    option = fixed.get(path[:2])
    if option:
        return option
    if path[0] == "listeners":
        return "--listen"
    if path[0] == "scanners":
        return "--scanner" + (f" {_escaped(options.scanners[int(path[1])])}" if len(path) > 1 else "")
    if path[0] == "routes":
        return "--domain" if "domains" in path else "--next-hop"
    return ""


def _escaped(text: str) -> str:
    from mpp.mail.escape import printable

    return printable(text, 80)
