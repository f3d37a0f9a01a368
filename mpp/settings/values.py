"""Types of single settings values that a file writes as text: sizes, durations, networks, endpoints.

Each is a plain Python type after reading (int octets, float seconds, ip_network, Endpoint); a value that cannot be
read raises ValueError with what to write instead.
"""

import ipaddress
import re
from dataclasses import dataclass
from fnmatch import translate
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def glob_pattern(glob: str) -> str:
    """Return the regular expression for text in lower case: * and ? stand for any, all else for itself."""
    return translate(glob.lower().replace("[", "[[]"))


def read_size(value: Any) -> Any:
    """Return octets of 52428800, "50M" or "50 MiB"; other types pass on for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+)\s*([bkmg]?)(?:i?b)?\s*", value, re.IGNORECASE)
    if not match:
        raise ValueError('is no size; write octets or a text such as "50M" or "256 MiB"')
    return int(match[1]) * _UNITS[match[2].lower()]


def read_duration(value: Any) -> Any:
    """Return seconds of 90, 1.5, "90s", "5m", "4h" or "5d"."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)\s*", value)
    if not match:
        raise ValueError('is no duration; write seconds or a text such as "45s", "5m" or "4h"')
    return float(match[1]) * _SECONDS[match[2]]


def read_threshold(value: Any) -> Any:
    """Return None of "off"; TOML has no null. Numbers pass on."""
    if isinstance(value, str):
        if value.lower() != "off":
            raise ValueError('is no threshold; write a number without quotes or "off"')
        return None
    return value


def read_limit(value: Any) -> Any:
    """Return seconds of a duration; "usual" and "off" stay as they are."""
    if value in ("usual", "off"):
        return value
    try:
        seconds = read_duration(value)
    except ValueError:
        raise ValueError('is no limit; write "usual", "off", or a duration such as "30m" or "4h"') from None
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and not seconds > 0:
        raise ValueError('must be more than 0; write "off" where nothing is to be said')
    return seconds


def read_network(value: Any) -> Any:
    """Return an ip_network of "192.0.2.0/24" or a single address; host bits set are an error."""
    if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return value
    if not isinstance(value, str):
        raise ValueError('is no network; write a text such as "192.0.2.0/24" or "2001:db8::/32"')
    try:
        return ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f'{error}; write a network such as "192.0.2.0/24" or "2001:db8::/32"') from None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen or connect: HOST:PORT, [v6]:PORT or unix:PATH, with the protocol spoken there."""

    protocol: Literal["smtp", "lmtp"]
    host: str  # "" where it is a unix socket
    port: int
    path: str = ""

    def __str__(self) -> str:
        prefix = "lmtp:" if self.protocol == "lmtp" else ""
        if self.path:
            return f"{prefix}unix:{self.path}"
        return f"{prefix}[{self.host}]:{self.port}" if ":" in self.host else f"{prefix}{self.host}:{self.port}"


_ENDPOINT = re.compile(
    r"(?:(smtp|lmtp):)?(?:unix:(?P<path>.+)|(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/\s]+)):(?P<port>\d+))"
)


def read_endpoint(value: Any) -> Any:
    """Return an Endpoint of [smtp:|lmtp:]HOST:PORT, [v6]:PORT or unix:PATH."""
    if isinstance(value, Endpoint):
        return value
    if not isinstance(value, str):
        raise ValueError('is no address; write a text such as "127.0.0.1:25"')
    match = _ENDPOINT.fullmatch(value)
    if match and match["path"] and not match["path"].isprintable():
        match = None
    if not match or (match["port"] and int(match["port"]) > 65535):
        raise ValueError(
            'is no address; write "HOST:PORT", "[IPv6]:PORT" or "unix:PATH", with "lmtp:" before it for LMTP'
        )
    protocol: Literal["smtp", "lmtp"] = "lmtp" if match[1] == "lmtp" else "smtp"
    return Endpoint(protocol, match["v6"] or match["host"] or "", int(match["port"] or 0), match["path"] or "")


def write_size(value: int) -> int | str:
    """Return "50 MiB" for what is a whole number of KiB, MiB or GiB, else the octets; read_size reads it back."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if value and not value % (1 << shift):
            return f"{value >> shift} {unit}"
    return value


def write_duration(value: float) -> float | str:
    """Return "4h" for whole hours, minutes or seconds, else the seconds; read_duration reads it back."""
    for seconds, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if value and not value % seconds and value < 1e15:  # exact as a whole number
            return f"{int(value) // seconds}{unit}"
    return value


def _write_limit(value: float | str) -> float | str:
    return value if isinstance(value, str) else write_duration(value)


def _write_threshold(value: float | None) -> float | str:
    return "off" if value is None else value


Size = Annotated[int, BeforeValidator(read_size), PlainSerializer(write_size, when_used="json")]
Duration = Annotated[float, BeforeValidator(read_duration), PlainSerializer(write_duration, when_used="json")]
Threshold = Annotated[
    float | None, BeforeValidator(read_threshold), PlainSerializer(_write_threshold, when_used="json")
]
Limit = Annotated[
    float | Literal["usual", "off"], BeforeValidator(read_limit), PlainSerializer(_write_limit, when_used="json")
]
NetworkValue = Annotated[Network, PlainValidator(read_network), PlainSerializer(str)]
EndpointValue = Annotated[Endpoint, PlainValidator(read_endpoint), PlainSerializer(str)]


def read_domain(value: str) -> str:
    """Return a domain in lower case: "example.org", or ".example.org" with its subdomains."""
    text = value.lower()
    if not _DOMAIN.fullmatch(text):
        raise ValueError('is no domain; write "example.org", or ".example.org" with its subdomains')
    return text


def read_recipient(value: str) -> str:
    """Return an address or a domain in lower case: recipients are compared so."""
    local, at, domain = value.rpartition("@")
    if at and not local:
        raise ValueError('is no address; write "user@example.org", "example.org" or ".example.org"')
    if local == "*":
        raise ValueError('is one address, that of "*"; write "example.org" for all of a domain')
    if at and not _LOCAL.fullmatch(local):
        raise ValueError('is no address, which has no blank, comma or bracket; write "user@example.org"')
    return f"{local.lower()}{at}{read_domain(domain)}"


def read_server(value: str) -> str:
    """Return a scanner's server as it came: "HOST:PORT", "[IPv6]:PORT", "unix:PATH" or "tls:HOST:PORT"."""
    endpoint = read_endpoint(value.removeprefix("tls:"))
    if value.startswith(("smtp:", "lmtp:")) or (endpoint.path and value.startswith("tls:")):
        raise ValueError('is no server; write "HOST:PORT", "[IPv6]:PORT", "unix:PATH" or "tls:HOST:PORT"')
    return value


def read_name(value: str) -> str:
    """Return the name of a listener or a scanner as it came; it stands in logs, metrics and policies."""
    if not _NAME.fullmatch(value):
        raise ValueError('is no name; write letters, digits, ".", "_" and "-", at most 64')
    return value


def read_hostname(value: str) -> str:
    """Return "", a name of DNS in lower case, or an address literal (RFC 5321, 4.1.3) as it came."""
    if value.startswith("[") and value.endswith("]"):
        ipaddress.ip_address(value[1:-1].removeprefix("IPv6:"))  # its ValueError says what is wrong
        return value
    if value and (not value.isascii() or value.startswith(".") or not _DOMAIN.fullmatch(value.lower())):
        raise ValueError('is no host name; write "mx.example.org" (in A-labels), or nothing for the machine\'s own')
    return value.lower()


def read_resolver(value: str) -> str:
    """Return a DNS server as it came: "ADDRESS", "ADDRESS:PORT" or "[IPv6]:PORT"."""
    try:
        ipaddress.ip_address(value if value.count(":") != 1 and "[" not in value else read_endpoint(value).host)
    except ValueError:
        raise ValueError('is no DNS server; write "192.0.2.53", "127.0.0.1:5353" or "[::1]:5353"') from None
    return value


def read_host_port(value: str) -> str:
    """Return "" or "HOST:PORT" as it came."""
    if value and (value.startswith(("smtp:", "lmtp:")) or read_endpoint(value).path):
        raise ValueError('is no address; write "HOST:PORT" or "[IPv6]:PORT"')
    return value


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DOMAIN = re.compile(r"\.?(?:(?!-)[^\s.@\x00-,/:-@\[-`{-\x7f]+\.)*(?!-)[^\s.@\x00-,/:-@\[-`{-\x7f]+")
_LOCAL = re.compile(r'[^\s<>()\[\],;:"]+|"(?:[^"\\]|\\.)*"')
Name = Annotated[str, AfterValidator(read_name)]
Domain = Annotated[str, AfterValidator(read_domain)]
Recipient = Annotated[str, AfterValidator(read_recipient)]
Server = Annotated[str, AfterValidator(read_server)]
HostName = Annotated[str, AfterValidator(read_hostname)]
Resolver = Annotated[str, AfterValidator(read_resolver)]
HostPort = Annotated[str, AfterValidator(read_host_port)]
