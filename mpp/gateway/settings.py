"""The whole settings file as one typed value: the common sections and those that each package brings (design, rule 8).

`listeners`, `node` are read at start; everything else is taken by running workers at the next transaction.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from mpp.checks.attachments.settings import AttachmentList, AttachmentRule, Inspection
from mpp.checks.campaigns.settings import Campaigns
from mpp.checks.content.samples import Sample
from mpp.checks.content.settings import Content, Filter
from mpp.checks.guards.settings import Guards
from mpp.checks.layers.settings import Layer, Vote
from mpp.checks.scanners.kinds import AnyScanner
from mpp.checks.structure.settings import Structure
from mpp.mail.address import a_labels
from mpp.settings.common import Log, Networks, Node, Tls
from mpp.settings.model import Section
from mpp.settings.tenants import Group, Tenant
from mpp.settings.values import Duration, EndpointValue, Limit, Name, Size, read_domain
from mpp.store.settings import Store
from mpp.verdict.policy import Marks, Policy, PolicyRule
from mpp.verdict.roles import ReleaseRule

_FIELD = re.compile(r"[!-9;-~]{1,70}: [ -~]{1,200}")
PATIENCE_S = {"edge": 540.0, "proxy": 90.0, "after-queue": 90.0}  # of the client, where the listener sets none


class Listener(Section):
    """A place where mail comes in. Address and TLS are read at start; a change needs a restart."""

    name: Name = Field(examples=["mx"], description="Its name in policies, logs and metrics")
    address: EndpointValue = Field(
        examples=["0.0.0.0:25"], description='"0.0.0.0:25", "[::]:25", "lmtp:127.0.0.1:24", "unix:/run/mpp/smtp"'
    )
    stage: Literal["edge", "proxy", "after-queue"] = Field(
        "edge",
        description="edge: from the Internet; proxy: smtpd_proxy_filter of an MTA; after-queue: content_filter of an MTA, where a refusal would bounce",
    )
    direction: Literal["inbound", "outbound"] = Field(
        "inbound", description="outbound listeners serve only networks.trusted"
    )
    proxy_protocol: bool = Field(
        False, description="PROXY v1/v2 is required (true) or absent (false), never guessed; only from networks.proxies"
    )
    tls: Literal["none", "starttls", "required", "wrapped"] = Field(
        "none", description="none; STARTTLS offered; MAIL only after it; TLS from the first octet"
    )
    bare_line_ends: Literal["refuse", "normalise"] | None = Field(
        None,
        examples=["refuse"],
        description="A bare CR or LF in data; default: refuse, from networks.trusted normalise",
    )
    nul: Literal["pass", "refuse"] = Field("pass", description="NUL octets in data")
    patience: Duration | None = Field(
        None,
        gt=0,
        examples=["300s"],
        description="Time from end of data to our reply; default 540 s edge, 90 s proxy and after-queue",
    )
    dsn: bool = Field(False, description="Offer DSN (RFC 3461) where every route's next hop has it")


class Limits(Section):
    """What one client, connection or message may take; alike for all workers of the node."""

    connections: int = Field(2000, ge=1, description="Connections at a time, whole node")
    connections_by_host: int = Field(50, ge=1, description="Of them by one client address (an IPv6 /64)")
    recipients: int = Field(100, ge=1, description="Recipients a transaction; more: 452")
    message_size: Size = Field(50 << 20, ge=1024, description="Octets of a message; told in EHLO and refused at MAIL")
    line_length: Size = Field(0, ge=0, description="Longest data line in octets; 0: any")
    commands: int = Field(1000, ge=10, description="Commands a connection without a message accepted between; then 421")
    errors: int = Field(20, ge=1, description="Refused commands a connection; then 421")
    errors_by_host: int = Field(
        200,
        ge=1,
        description="Refused commands by a client address in ten minutes; then 421 at connect for the rest of them",
    )
    command_timeout: Duration = Field(300.0, gt=0, description="Wait for a command")
    data_timeout: Duration = Field(180.0, gt=0, description="Wait for the next octets of data")
    handshake_timeout: Duration = Field(30.0, gt=0, description="TLS handshake, PROXY header")
    min_rate: Size = Field(1024, ge=0, description="Octets a second that data must come with, after 30 s; 0: any")
    parts: int = Field(2000, ge=10, description="MIME parts looked at; more: unchecked")
    depth: int = Field(50, ge=2, description="MIME levels looked at; more: unchecked")
    header_fields: int = Field(2000, ge=50, description="Header fields looked at in one header; more: 554")
    header_size: Size = Field(1 << 20, ge=65536, description="Octets of the top header; more: 554")
    checks_timeout: Duration = Field(45.0, gt=0, description="From end of data to the end of all checks")
    received: int = Field(50, ge=5, description="Received fields; more: 554 5.4.6")
    deferrals: Duration = Field(
        4 * 3600.0,
        ge=0,
        description="Time from which a message that failing scanners deferred at least three times is held in quarantine; 0: never",
    )


class Recipients(Section):
    """Several recipients in one transaction."""

    mixed: Literal["quarantine", "split"] = Field(
        "quarantine",
        description="Where some are to be refused beside others that are not: hold the copies of these; or have a recipient of "
        "another policy or next hop than the first one's come in a message of its own (452)",
    )


class Memory(Section):
    """Budgets. Data of a transaction stay in memory until its reply."""

    in_flight: Size = Field(256 << 20, ge=1 << 20, description="Octets of messages in work, a worker; over it 452")


def _route_domain(value: str) -> str:
    """Routes are looked up by A-labels (RFC 5890), so that both spellings of a domain find them."""
    return value if value == "*" else a_labels(read_domain(value))


RouteDomain = Annotated[str, AfterValidator(_route_domain)]


class Route(Section):
    """How to reach the servers of some domains."""

    domains: tuple[RouteDomain, ...] = Field(
        examples=[["example.org"]],
        min_length=1,
        description='"example.org", ".example.org" (with subdomains), "*" for every other (relay of trusted clients only)',
    )
    hosts: tuple[EndpointValue, ...] = Field(
        (), description='Servers, tried in order: "10.0.0.1:25", "lmtp:10.0.0.2:24", "unix:/run/dovecot/lmtp"'
    )
    mx: bool = Field(False, description="Ask DNS for the domain's MX instead of hosts")
    tls: Literal["none", "may", "must", "verify"] = Field(
        "may",
        description="STARTTLS to the next hop: never; where offered; else 451; with a certificate that fits its name",
    )
    ours: bool = Field(True, description="These domains are ours: accepted from anyone, marks are put")
    ask: bool = Field(True, description="Ask the next hop at RCPT whether the recipient exists")
    recipients: str = Field(
        "", description='"file:PATH": a table of recipients, an address a line, asked instead of the next hop'
    )
    forward: Literal["xforward", "xclient", "none"] = Field(
        "xforward", description="How the next hop is told who the client was, where it offers it"
    )
    eight_bit: Literal["send", "refuse"] = Field(
        "send", description="8-bit data to a next hop without 8BITMIME: as is, or 554; never recoded"
    )
    connections: int = Field(20, ge=1, description="Delivering connections a worker to one host")
    connect_timeout: Duration = Field(5.0, gt=0, description="Time for one connect")
    timeout: Duration = Field(300.0, gt=0, description="Time for one answer of the next hop")


class Release(Section):
    """What is added to a message that leaves the quarantine; all else of it stays as it came."""

    mark: str = Field(
        "",
        examples=["X-Released: 3f9c"],
        description="A header field put on top, that a filter behind us lets pass; keep its value to yourself; empty: none",
    )

    @field_validator("mark")
    @classmethod
    def _mark_is_a_field(cls, text: str) -> str:
        if text and not _FIELD.fullmatch(text):
            raise ValueError('is no header field; write one line of ASCII such as "X-Released: 3f9c"')
        return text


class Silence(Section):
    """When it is told (`mpp check`, log, metrics) that something has been silent for too long. "usual" is learned from what was before; a duration is a
    limit of yours, kept to within ten minutes.
    """

    mail: Limit = Field("usual", description="No message came")
    quarantine: Limit = Field("usual", description="No message was held")
    signatures: Limit = Field("usual", description="A server of a scanner has no newer signatures or rules")
    background: Limit = Field("usual", description="A task of the background process was not done")
    least: int = Field(
        20,
        ge=1,
        description="As usual counts what came at least so often by the same time of each of the last weeks; less is never missed",
    )


class Settings(Section):
    """Everything. Immutable: a reload makes a new one."""

    node: Node = Field(default_factory=Node, description="This machine")
    networks: Networks = Field(default_factory=Networks, description="Who is trusted")
    listeners: tuple[Listener, ...] = Field((), description="Where mail comes in")
    tls: Tls = Field(default_factory=Tls, description="Certificates")
    log: Log = Field(default_factory=Log, description="Log lines")
    limits: Limits = Field(default_factory=Limits, description="What one client, connection or message may take")
    recipients: Recipients = Field(default_factory=Recipients, description="Several recipients in one transaction")
    memory: Memory = Field(default_factory=Memory, description="Budgets")
    store: Store = Field(default_factory=Store, description="Quarantine, archive and trace")
    routes: tuple[Route, ...] = Field((), description="Where mail goes")
    scanners: tuple[AnyScanner, ...] = Field((), description="Pools of scanners")
    layers: tuple[Layer, ...] = Field(
        (), description="Scanners in ordered groups; none: by the number `layer` of each scanner"
    )
    votes: tuple[Vote, ...] = Field((), description="Findings that need the agreement of several scanners")
    structure: Structure = Field(default_factory=Structure, description="Mail that can be read in several ways")
    filters: tuple[Filter, ...] = Field((), description="Rules of the content filter")
    attachments: tuple[AttachmentRule, ...] = Field((), description="What becomes of attached files, in this order")
    attachment_lists: dict[Name, AttachmentList] = Field(
        default_factory=dict, description="Ban lists that rules for attachments name"
    )
    inspection: Inspection = Field(default_factory=Inspection, description="How attached files are looked into")
    samples: tuple[Sample, ...] = Field((), description="Mails with the fate that they must have")
    content: Content = Field(default_factory=Content, description="What the rules of the content filter share")
    campaigns: Campaigns = Field(default_factory=Campaigns, description="What was spam again and again")
    guards: Guards = Field(default_factory=Guards, description="What keeps one message or one bad rule from much harm")
    policies: dict[Name, Policy] = Field(
        default_factory=dict, description="Named policies; `default` holds where no rule fits"
    )
    policy_rules: tuple[PolicyRule, ...] = Field((), description="Which policy for whom; the first that fits")
    tenants: dict[Name, Tenant] = Field(default_factory=dict, description="Customers, by name")
    groups: dict[Name, Group] = Field(default_factory=dict, description="Groups of addresses, by name")
    release_rules: tuple[ReleaseRule, ...] = Field(
        (), description="Who may release what; the first that fits, else what is built in"
    )
    silence: Silence = Field(default_factory=Silence, description="What is told when nothing comes")
    release: Release = Field(default_factory=Release, description="What leaves the quarantine")
    marks: Marks = Field(default_factory=Marks, description="Header fields that we put and remove")
    checks: bool = Field(True, description="false: no parsing and no edit but Received")

    def policy(self, name: str) -> Policy:
        """Return the named policy; `default` always exists."""
        return self.policies.get(name) or Policy()
