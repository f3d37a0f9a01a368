"""mpp.settings.values: what a file writes as text."""

import pytest

from mpp.settings.values import (
    Endpoint,
    read_domain,
    read_duration,
    read_endpoint,
    read_host_port,
    read_hostname,
    read_name,
    read_recipient,
    read_resolver,
    read_server,
    read_size,
    write_duration,
    write_size,
)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("0", 0), ("512", 512), ("50M", 50 << 20), ("256 MiB", 256 << 20), ("1k", 1024), (" 2 GB ", 2 << 30), ("7b", 7)],
)
def test_sizes(text, octets):
    assert read_size(text) == octets


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5M", "1 MMiB", "1e3", "1,5"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="write octets"):
        read_size(text)


@pytest.mark.parametrize(
    ("octets", "text"), [(50 << 20, "50 MiB"), (1536, 1536), (1 << 10, "1 KiB"), (0, 0), (1 << 40, "1024 GiB")]
)
def test_sizes_written(octets, text):
    assert write_size(octets) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("200ms", 0.2), ("45s", 45), ("5m", 300), ("4 h", 14400), ("5d", 432000)],
)
def test_durations(text, seconds):
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(14400, "4h"), (90, "90s"), (300, "5m"), (0.2, 0.2), (86400, "1d"), (0, 0)]
)
def test_durations_written(seconds, text):
    assert write_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:25", Endpoint("smtp", "127.0.0.1", 25)),
        ("smtp:mx.example.org:25", Endpoint("smtp", "mx.example.org", 25)),
        ("lmtp:[::1]:24", Endpoint("lmtp", "::1", 24)),
        ("lmtp:unix:/run/a b", Endpoint("lmtp", "", 0, "/run/a b")),
        ("host:65535", Endpoint("smtp", "host", 65535)),
    ],
)
def test_endpoints(text, endpoint):
    assert read_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":25", "::1:25", "[::1]", "host:65536", "unix:", "a b:1", "unix:/a\x1b", "x:y:1"]
)
def test_no_endpoints(text):
    with pytest.raises(ValueError, match="is no address; write"):
        read_endpoint(text)


@pytest.mark.parametrize(("read", "text", "value"), [
    (read_domain, "Example.ORG", "example.org"),
    (read_domain, ".Example.org", ".example.org"),
    (read_domain, "bücher.example", "bücher.example"),
    (read_domain, "localhost", "localhost"),
    (read_recipient, "User@Example.org", "user@example.org"),
    (read_recipient, ".example.org", ".example.org"),
    (read_recipient, '"A b"@example.org', '"a b"@example.org'),
    (read_server, "unix:/run/c.ctl", "unix:/run/c.ctl"),
    (read_server, "tls:[::1]:783", "tls:[::1]:783"),
    (read_host_port, "", ""),
    (read_host_port, "[::1]:9125", "[::1]:9125"),
    (read_name, "mx-1.a_b", "mx-1.a_b"),
    (read_hostname, "MX.example.org", "mx.example.org"),
    (read_hostname, "", ""),
    (read_hostname, "[IPv6:::1]", "[IPv6:::1]"),
    (read_resolver, "::1", "::1"),
    (read_resolver, "127.0.0.1:5353", "127.0.0.1:5353"),
    (read_resolver, "[::1]:53", "[::1]:53"),
])  # fmt: skip
def test_texts(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(("read", "text"), [
    (read_domain, ""), (read_domain, "."), (read_domain, "a..b"), (read_domain, "a b"), (read_domain, "u@a.b"),
    (read_domain, "-a.b"), (read_domain, "a.b."), (read_domain, "*.b"), (read_domain, "a/b"),
    (read_recipient, "@example.org"), (read_recipient, "user@"), (read_recipient, "user@a b"), (read_recipient, "*@example.org"), (read_recipient, "<user@example.org"),
    (read_recipient, "a b@example.org"), (read_recipient, "a@example.org, b@example.org"),
    (read_server, "lmtp:h:1"), (read_server, "tls:unix:/x"), (read_server, "h"), (read_server, "tls:"),
    (read_host_port, "unix:/x"), (read_host_port, "lmtp:h:1"), (read_host_port, "9125"),
    (read_hostname, "a b"), (read_hostname, ".a"), (read_hostname, "bücher.example"), (read_hostname, "a(b"),
    (read_resolver, ""), (read_resolver, "localhost"), (read_resolver, "1.2.3.4:x"),
    (read_name, ""), (read_name, "a b"), (read_name, "-a"), (read_name, "a" * 65), (read_name, "é"),
])  # fmt: skip
def test_no_texts(read, text):
    with pytest.raises(ValueError, match="; write"):
        read(text)
