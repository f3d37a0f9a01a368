"""Sections that more than one package reads: the node, its networks, TLS material, logging."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from mpp.settings.model import Section
from mpp.settings.values import HostName, HostPort, Name, NetworkValue, Resolver


class Node(Section):
    """This machine and its processes. Read at start; a change needs a restart."""

    hostname: HostName = Field(
        "",
        description="Name in the greeting, in Received and as authserv-id; empty: the machine's own full name",
    )
    instance: Name = Field(
        "mpp", description="Tells apart several gateways of one hostname, in the comment of Received"
    )
    data: Path = Field(
        Path("/var/lib/mpp"), description="Folder for what must survive a restart (memo, last good settings)"
    )
    workers: int = Field(0, ge=0, le=256, description="Gateway workers; 0: one a core")
    pin: bool = Field(False, description="Pin each worker to a core of its own")
    user: str = Field("", description="User to become after the ports are bound; empty: stay")
    group: str = Field("", description="Group to become; empty: the user's own")
    status: HostPort = Field("", description='Where /metrics and /healthz answer, "127.0.0.1:9125"; empty: nowhere')
    resolvers: tuple[Resolver, ...] = Field(
        (), description='DNS servers, "192.0.2.53" or "127.0.0.1:5353"; none: those of the system'
    )
    programs: tuple[Path, ...] = Field(
        (), description="Programs that scanners of kind command may run; a scanner can name no other"
    )
    contact: str = Field("postmaster", description="Address of a person, for {contact} in reject texts")


class Networks(Section):
    """Who is trusted, and with what."""

    trusted: tuple[NetworkValue, ...] = Field(
        (), description="Clients that may relay to any domain; none by default, loopback neither"
    )
    relay_all: bool = Field(
        False,
        description="Relay any client to any domain; only where all listeners are on loopback or unix paths",
    )
    proxies: tuple[NetworkValue, ...] = Field(
        (), description="Clients that may speak PROXY, XCLIENT and XFORWARD; it allows no relaying"
    )


class Tls(Section):
    """Certificates: ours, and those by which next hops and scanners are verified."""

    certificate: Path | None = Field(
        None, examples=["/etc/mpp/tls/fullchain.pem"], description="PEM file with our certificate and its chain"
    )
    key: Path | None = Field(
        None, examples=["/etc/mpp/tls/privkey.pem"], description="PEM file with its key, readable by node.user"
    )
    minimum: Literal["TLSv1.2", "TLSv1.3"] = Field("TLSv1.2", description="Lowest version accepted")
    ca: Path | None = Field(
        None,
        examples=["/etc/mpp/tls/next-hops.pem"],
        description="PEM file with the authorities that next hops and scanners are verified by; empty: the system's",
    )


class Log(Section):
    """Log lines on stderr, one a message."""

    format: Literal["logfmt", "json"] = Field("logfmt", description="Form of a log line")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level written")
    amavis: bool = Field(
        False,
        description='Write a line in amavisd\'s form ("Passed CLEAN ...", "Blocked SPAM ...") as well, for tools that read it',
    )
