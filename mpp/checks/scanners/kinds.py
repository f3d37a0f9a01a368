"""The kinds of scanners: a settings model each, told apart by `kind`; and those that other packages bring.

A package adds a kind by an entry point of the group `mpp.scanners` that names its model (docs/scanners.md has one in ten
lines). Ours and theirs are the same thing: a model on the bases of mpp.checks.scanners.settings that makes its check.
Adapters are imported when a check is made, so that reading settings stays cheap.
"""

import re
from collections.abc import Iterator
from functools import reduce
from importlib.metadata import entry_points
from operator import or_
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from mpp.checks.reputation.names import read_code
from mpp.checks.scanners.settings import Scanner, Served, Signatures, SpamScanner, VirusScanner
from mpp.mail.escape import printable
from mpp.settings.explain import kind_of
from mpp.settings.problem import Path, Problem
from mpp.settings.values import Domain, Duration, Resolver, Server, Size

if TYPE_CHECKING:
    from mpp.checks.layers.judge import Check
    from mpp.checks.scanners.scanner import Tools

GROUP = "mpp.scanners"


class Spamd(SpamScanner, Served):
    """SpamAssassin's spamd."""

    kind: Literal["spamd"] = Field(examples=["spamd"], description="SpamAssassin's spamd")
    user: Literal["none", "recipient", "domain", "fixed"] = Field(
        "none", description="spamd's User: whose preferences hold; recipient and domain ask once for each"
    )
    shorten: Literal["never", "large", "always"] = Field(
        "large",
        description="Large attachments are left out of what it gets, texts never: not at all, of messages over max_size, of all",
    )
    user_name: str = Field("", pattern=r"^[!-~]{0,320}$", description="The name for user = fixed")

    def check(self, tools: "Tools") -> "Check":
        from mpp.checks.scanners.spamd import SpamdCheck

        return SpamdCheck(self, tools)

    def problems(self, path: Path) -> Iterator[Problem]:
        yield from super().problems(path)
        if (self.user == "fixed") != bool(self.user_name):
            what = 'goes with user = "fixed" and only with it'
            yield Problem((*path, "user_name"), what, "set both or none of them")


class Clamd(Signatures, Served):
    """ClamAV's clamd."""

    kind: Literal["clamd"] = Field(examples=["clamd"], description="ClamAV's clamd")
    speaks_tls = False

    def check(self, tools: "Tools") -> "Check":
        from mpp.checks.scanners.clamd import ClamdCheck

        return ClamdCheck(self, tools)


class Rspamd(SpamScanner, Served):
    """Rspamd, its normal worker. Its scores count on its own scale."""

    kind: Literal["rspamd"] = Field(examples=["rspamd"], description="Rspamd's normal worker (HTTP, port 11333)")
    on_reject: Literal["score", "spam"] = Field(
        "score", description="What rspamd's own reject means: its points alone, or spam whatever the points"
    )
    on_soft_reject: Literal["ignore", "defer"] = Field(
        "ignore", description="What its soft reject and greylist mean: nothing, or a 451"
    )
    pass_all: bool = Field(True, description="Have it run all of its filters, though the message is judged already")
    settings_id: str = Field("", pattern=r"^[!-~]{0,64}$", description="Settings-ID: a group of settings in rspamd")
    controllers: tuple[Server, ...] = Field(
        (), description='Where it is taught (port 11334): "HOST:PORT", "unix:PATH", "tls:HOST:PORT"'
    )
    password_file: FilePath | None = Field(
        None, examples=["/etc/mpp/rspamd.password"], description="File with the password of its controllers"
    )

    def check(self, tools: "Tools") -> "Check":
        from mpp.checks.scanners.rspamd import RspamdCheck

        return RspamdCheck(self, tools)


class Icap(Signatures, Served):
    """An ICAP service: the door to most commercial virus scanners and sandboxes."""

    kind: Literal["icap"] = Field(examples=["icap"], description="An ICAP service (RFC 3507, port 1344)")
    service: str = Field(
        pattern=r"^/[!-~]{0,200}$", examples=["/avscan"], description="Its path, as the vendor names it"
    )
    method: Literal["RESPMOD", "REQMOD"] = Field(
        "RESPMOD", description="How the message is shown to it: as a download or as an upload"
    )
    preview: bool = Field(True, description="Show it the first octets alone where it asks for that")
    unmarked: Literal["compare", "clean", "virus", "unchecked"] = Field(
        "compare",
        description="What an answer with content means that names no threat: clean where the content is what it was given, else virus; or always the same",
    )
    threat_fields: tuple[str, ...] = Field(
        ("X-Infection-Found", "X-Virus-ID", "X-Virus-Name", "X-Violations-Found"),
        description="Fields of an answer that name a threat, the most telling first",
    )
    tell_client: bool = Field(True, description="Tell it the address of the client (X-Client-IP)")

    def check(self, tools: "Tools") -> "Check":
        from mpp.checks.scanners.icap import IcapCheck

        return IcapCheck(self, tools)


class Http(SpamScanner, Served):
    """A service of one's own: it gets the message or its digests over HTTP and answers with findings as JSON."""

    kind: Literal["http"] = Field(examples=["http"], description="A service over HTTP that answers with JSON")
    path: str = Field("/", pattern=r"^/[!-~]{0,500}$", description="Where the service is: the path of its URL")
    host: str = Field("", pattern=r"^[!-~]{0,255}$", description="Its name in Host; empty: that of the server")
    send: Literal["message", "digests"] = Field(
        "message", description="What it gets: the message itself, or digests and names of its parts alone"
    )
    token_file: FilePath | None = Field(
        None,
        examples=["/etc/mpp/service.token"],
        description="File with the token that it wants (Authorization: Bearer)",
    )

    def check(self, tools: "Tools") -> "Check":
        from mpp.checks.scanners.http_service import HttpCheck

        return HttpCheck(self, tools)


class Hashes(VirusScanner):
    """Lists of digests of known attachments, followed while the gateway runs."""

    kind: Literal["hashes"] = Field(
        examples=["hashes"], description="Files of digests, an MD5, SHA-1 or SHA-256 a line"
    )
    files: tuple[FilePath, ...] = Field(
        min_length=1, examples=[["/var/lib/mpp/bad.sha256"]], description="The files; all of them are looked up"
    )
    found: Literal["virus", "banned", "score"] = Field("virus", description="What a digest that is listed means")
    score: float = Field(5.0, description="The score for found = score")

    def check(self, tools: "Tools") -> "Check":
        from mpp.checks.scanners.hashes import HashesCheck

        return HashesCheck(self, tools)


class Command(Signatures):
    """A program that looks at a message: the door to scanners that come as a command line."""

    kind: Literal["command"] = Field(examples=["command"], description="A program; node.programs must allow it")
    program: FilePath = Field(examples=["/usr/bin/clamscan"], description="Its absolute path")
    arguments: tuple[str, ...] = Field(
        (),
        description='Its arguments; "{file}" is the path of a file with the message, without it the message is its input',
    )
    mode: Literal["once", "lines"] = Field(
        "once",
        description="once: run for each message; lines: kept warm, it reads a path a line and answers each with a line that begins with it",
    )
    answers: Literal["text", "json"] = Field("text", description="What it says: text, or findings as JSON")
    found_pattern: str = Field(
        "", description="A regular expression for text that means found; its first group is the name"
    )
    clean_line: str = Field("OK", description="How a line ends that means clean, for mode = lines")
    clean_codes: tuple[int, ...] = Field((0,), description="Exit codes that mean clean")
    found_codes: tuple[int, ...] = Field((1,), description="Exit codes that mean found; any other is a failure")
    version: tuple[str, ...] = Field((), description="Arguments with which it tells its version, for mpp check")
    processes: int = Field(2, ge=1, le=64, description="How many run at a time for each worker")
    memory: Size = Field(2 << 30, ge=16 << 20, description="Address space of each of its processes")
    output: Size = Field(256 << 10, ge=1024, description="What it may say; more is a failure")
    file: Size = Field(256 << 20, ge=1 << 20, description="Largest file that it may write")
    children: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Processes that its user may have, all runs together; 0: any. For a user of its own",
    )
    user: str = Field("", pattern=r"^[A-Za-z0-9_.-]{0,32}$", description="User to run it as, where MPP runs as root")

    def check(self, tools: "Tools") -> "Check":
        from mpp.checks.scanners.command import CommandCheck

        return CommandCheck(self, tools)

    def problems(self, path: Path) -> Iterator[Problem]:
        yield from super().problems(path)
        if not self.program.is_absolute():
            yield Problem((*path, "program"), "is no absolute path", "write it from the root")
        try:
            re.compile(self.found_pattern.encode())
        except re.error as error:
            what = f"is no regular expression: {error.msg} at position {error.pos}"
            yield Problem((*path, "found_pattern"), what, "correct it")
        if both := sorted(set(self.clean_codes) & set(self.found_codes)):
            yield Problem(
                (*path, "found_codes"), f"has {both[0]}, which clean_codes has too", "remove it from one of them"
            )
        if self.mode == "lines" and any("{file}" in word for word in self.arguments):
            yield Problem((*path, "arguments"), 'name "{file}", which is known only line by line', 'remove "{file}"')
        if self.mode == "lines" and self.answers == "text" and not self.found_pattern:
            what = "is empty, so nothing it says could mean found"
            yield Problem((*path, "found_pattern"), what, 'write one such as ": (.+) FOUND$"')


def _read_code(text: str) -> str:
    read_code(text)
    return text


ListCode = Annotated[str, AfterValidator(_read_code)]


class DnsList(SpamScanner):
    """A DNS list of addresses, domains or hosts of links (RFC 5782)."""

    kind: Literal["dns-list"] = Field(examples=["dns-list"], description="A DNS list of addresses or domains")
    zone: Domain = Field(examples=["bl.example.org"], description="The zone of the list")
    ask: tuple[Literal["client", "helo", "from", "links"], ...] = Field(
        ("client",),
        min_length=1,
        description="What it is asked about: the client's address; the name it gives; domains of the sender and of From; hosts of links",
    )
    codes: tuple[ListCode, ...] = Field(
        (),
        examples=[["127.0.0.2 = 4.5", "127.0.0.4/30 = 3", "& 8 = 2"]],
        description="Points by answer: an address, a network, or a bit of the last octet; all that fit count",
    )
    score: float = Field(3.0, description="Points of a listing whose answer no code fits")
    symbol: str = Field("", pattern=r"^[A-Za-z0-9_.-]{0,64}$", description="Symbol of its findings; empty: LISTED")
    most_links: int = Field(20, ge=1, le=200, description="Hosts of links that are asked for in one message")
    at_rcpt: Literal["none", "refuse", "delay"] = Field(
        "none",
        description="What RCPT answers a listed client that is not trusted: nothing of it, 554, or only after delay",
    )
    delay: Duration = Field(10.0, gt=0, le=60, description="How long RCPT waits for at_rcpt = delay, once a connection")
    resolvers: tuple[Resolver, ...] = Field((), description="DNS servers for this list; none: node.resolvers")
    timeout: Duration = Field(5.0, gt=0, description="Time for one lookup")

    def check(self, tools: "Tools") -> "Check":
        from mpp.checks.reputation.dnslist import DnsListCheck

        return DnsListCheck(self, tools)

    def problems(self, path: Path) -> Iterator[Problem]:
        yield from super().problems(path)
        if self.at_rcpt != "none" and "client" not in self.ask:
            yield Problem((*path, "at_rcpt"), "judges clients, which ask does not name", 'add "client" to ask')


OURS: tuple[type[Scanner], ...] = (Spamd, Clamd, Rspamd, Icap, Http, Hashes, Command, DnsList)


def _theirs(broken: list[Problem]) -> Iterator[type[Scanner]]:
    """Yield the kinds that other packages bring, and note what is none: it must not take the others' mail down."""
    taken = {kind_of(model) for model in OURS}
    for point in entry_points(group=GROUP):
        where = f'has a broken extension: entry point "{point.name}" of {GROUP} ({point.value})'
        try:
            model = point.load()
        except Exception as error:  # noqa: BLE001  the edge to code of others
            what = f"{where} cannot be loaded: {printable(repr(error), 200)}"
            broken.append(Problem(("scanners",), what, "mend or uninstall its package", "warning"))
            continue
        if not (isinstance(model, type) and issubclass(model, Scanner) and kind_of(model)):
            what = f"{where} names no model with a kind of its own"
            broken.append(Problem(("scanners",), what, "write it as docs/scanners.md says", "warning"))
        elif kind_of(model) in taken:
            what = f'{where} brings kind "{kind_of(model)}", which there is already'
            broken.append(Problem(("scanners",), what, "rename that kind", "warning"))
        else:
            taken.add(kind_of(model))
            yield model


BROKEN: list[Problem] = []  # extensions that could not be taken, for the rules to tell
KINDS: tuple[type[Scanner], ...] = (*OURS, *_theirs(BROKEN))

if TYPE_CHECKING:
    AnyScanner = Scanner
else:
    AnyScanner = Annotated[reduce(or_, KINDS), Field(discriminator="kind")]
