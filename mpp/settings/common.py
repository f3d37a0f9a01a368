"""Sections that more than one package reads: the node, its networks, TLS material, logging."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from mpp.settings.model import Section
from mpp.settings.values import NetworkValue


class Node(Section):
    hostname: str = Field(
        "",
        description="Name in the greeting, in Received and as authserv-id; empty: the machine's own full name",
    )
    data: Path = Field(
        Path("/var/lib/mpp"), description="Folder for what must survive a restart (memo, last good settings)"
    )
    workers: int = Field(0, ge=0, le=256, description="Gateway workers; 0: one a core")
    pin: bool = Field(False, description="Pin each worker to a core of its own")
    user: str = Field("", description="User to become after the ports are bound; empty: stay")
    group: str = Field("", description="Group to become; empty: the user's own")
    status: str = Field("", description='Where /metrics and /healthz answer, "127.0.0.1:9125"; empty: nowhere')
    contact: str = Field("postmaster", description="Address of a person, for {contact} in reject texts")


class Networks(Section):
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
    certificate: Path | None = Field(None, description="PEM file with our certificate and its chain")
    key: Path | None = Field(None, description="PEM file with its key, readable by node.user")
    minimum: Literal["TLSv1.2", "TLSv1.3"] = Field("TLSv1.2", description="Lowest version accepted")
    ca: Path | None = Field(
        None, description="PEM file with the authorities that next hops are verified by; empty: the system's"
    )


class Log(Section):
    format: Literal["logfmt", "json"] = Field("logfmt", description="Form of a log line")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level written")
