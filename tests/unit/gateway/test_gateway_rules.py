"""mpp.gateway.rules: each contradiction and each value that can never hold is one line, with its place and its cure."""

import pytest

from mpp.gateway.rules import RULES, on_loopback
from mpp.gateway.settings import Settings
from mpp.settings.problem import SettingsError
from mpp.settings.read import load
from mpp.settings.values import read_endpoint

GOOD = """\
[[listeners]]
name = "mx"
address = "0.0.0.0:25"
[[routes]]
domains = ["example.org"]
hosts = ["10.0.0.1:25"]
"""
AFTER_QUEUE = GOOD.replace("[[routes]]", 'stage = "after-queue"\n[[routes]]', 1)


def told(text):
    try:
        return list(load(text, "f", Settings, RULES).warnings)
    except SettingsError as error:
        return str(error).split("\n")


def listener(more, name="mx", address="0.0.0.0:25"):
    return f'[[routes]]\ndomains = ["example.org"]\nhosts = ["10.0.0.1:25"]\n[[listeners]]\nname = "{name}"\naddress = "{address}"\n{more}'


def route(more, domains='["example.net"]'):
    return GOOD + f"[[routes]]\ndomains = {domains}\n{more}"


def scanner(more, servers='["h:783"]', kind="spamd"):
    return GOOD + f'[[scanners]]\nname = "s"\nkind = "{kind}"\nservers = {servers}\n{more}'


def test_good_settings_hold():
    assert told(GOOD) == []
    assert told("") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # listeners
        pytest.param(listener("") + '[[listeners]]\nname = "mx"\naddress = "0.0.0.0:26"', "f:8: listeners[2].name is a name that listeners[1].name has already; write another, or remove one", id="two of a name"),
        pytest.param(listener("") + '[[listeners]]\nname = "b"\naddress = "lmtp:0.0.0.0:25"', "f:9: listeners[2].address is an address that listeners[1].address has already; write another, or remove one", id="two on an address"),
        pytest.param(listener('tls = "starttls"'), 'f:7: listeners[1].tls "starttls" needs a certificate, and there is none; write certificate and key under [tls], or tls = "none"', id="tls without certificate"),
        pytest.param(listener("proxy_protocol = true"), "f:7: listeners[1].proxy_protocol requires PROXY of every client, and networks.proxies allows it to nobody; name your load balancers in networks.proxies", id="PROXY from nobody"),
        pytest.param(listener('direction = "outbound"'), 'f:7: listeners[1].direction "outbound" serves only networks.trusted, and there is none; name your own networks in networks.trusted', id="outbound for nobody"),
        pytest.param(listener('patience = "54s"'), "f:7: listeners[1].patience (54 s) less 10 s for delivery ends before limits.checks_timeout (45 s); write at least 55, or lower checks_timeout", id="patience below the checks"),
        pytest.param("limits.checks_timeout = 81\n" + listener('stage = "proxy"'), "f:5: listeners[1].patience (90 s) less 10 s for delivery ends before limits.checks_timeout (81 s); write at least 91, or lower checks_timeout", id="default patience below the checks"),
        # relaying
        pytest.param("networks.relay_all = true\n" + route("ours = false\nmx = true", '["*"]'), "f:1: networks.relay_all would make an open relay: 0.0.0.0:25 is reached from outside; name the domains that are ours instead, or listen on 127.0.0.1", id="relay_all from outside"),
        pytest.param('networks.trusted = [\n"10.0.0.0/8",\n"::/0"]\n' + route("ours = false\nmx = true", '["*"]'), "f:3: networks.trusted[2] ::/0 is as good as the whole Internet, which makes an open relay; name your own networks", id="the Internet is trusted"),
        pytest.param('networks.proxies = ["fc00::/7", "64.0.0.0/2"]\n' + GOOD, "f:1: networks.proxies[2] 64.0.0.0/2 is as good as the whole Internet, which lets anybody pass for a trusted client; name your own networks", id="anybody may speak XCLIENT"),
        pytest.param(GOOD + "ours = false", "f:3: listeners[1].address is reached from outside, but no domain is ours and nobody is trusted, so every recipient is refused; add a route with the domains that are ours", id="outside without a domain"),
        pytest.param('networks.trusted = ["10.0.0.0/8"]\n' + GOOD, 'f:1: warning: networks.trusted lets clients relay, but no route has domains = ["*"], so other domains are refused; add a route with domains = ["*"] and ours = false', id="trusted without a way out"),
        pytest.param('[[listeners]]\nname = "a"\naddress = "127.0.0.1:25"', "f:1: routes is missing: mail that comes in goes nowhere; add [[routes]] with domains and hosts", id="no route"),
        # routes
        pytest.param(route("mx = true", '["a.example", "EXAMPLE.org"]'), "f:8: routes[2].domains[2] is a domain that routes[1].domains[1] has already; write another, or remove one", id="domain twice"),
        pytest.param(route(""), 'f:7: routes[2] for example.net names neither hosts nor mx, so nothing can be delivered; write hosts = ["10.0.0.1:25"] or mx = true', id="no way"),
        pytest.param(route('mx = true\nhosts = ["h:25"]'), "f:9: routes[2].mx asks DNS, and hosts names servers: only one can hold; remove one of the two", id="two ways"),
        pytest.param(route("mx = true", '["a.example", "*"]'), 'f:8: routes[2].domains[2] "*" with ours = true accepts mail for every domain from anyone, which makes an open relay; write ours = false, or name the domains', id="everything is ours"),
        pytest.param(route('mx = true\nrecipients = "table"'), 'f:10: routes[2].recipients is no table; write "file:" and an absolute path', id="recipients"),
        pytest.param(route('hosts = ["h:25", "smtp:h:25"]'), "f:9: warning: routes[2].hosts names a server twice; name it once", id="server twice"),
        pytest.param(route('mx = true\ntimeout = 2\nconnect_timeout = 3'), "f:11: warning: routes[2].connect_timeout 3 s is longer than timeout (2 s); write a shorter time", id="connect longer than answer"),
        # scanners
        pytest.param(scanner("") + '[[scanners]]\nname = "s"\nkind = "clamd"\nservers = ["h:1"]', "f:12: scanners[2].name is a name that scanners[1].name has already; write another, or remove one", id="two scanners of a name"),
        pytest.param(scanner("", '["tls:h:1"]', "clamd"), 'f:10: scanners[1].servers[1] asks for TLS, which clamd does not speak; remove "tls:"', id="tls to clamd"),
        pytest.param(scanner("", '["h:1", "h:1"]'), "f:10: scanners[1].servers[2] is a server that scanners[1].servers[1] has already; write another, or remove one", id="scanner's server twice"),
        pytest.param(scanner("timeout = 46"), "f:11: warning: scanners[1].timeout 46 s is never reached: limits.checks_timeout (45 s) ends it first; lower it, or raise checks_timeout", id="timeout never reached"),
        pytest.param(scanner("timeout = 2"), "f:7: warning: scanners[1].connect_timeout 3 s is never reached: timeout (2 s) ends it first; write a shorter time", id="connect never reached"),
        pytest.param(scanner('user = "fixed"'), 'f:7: scanners[1].user_name goes with user = "fixed" and only with it; set both or none of them', id="fixed user without a name"),
        pytest.param(scanner('user = "domain"', kind="clamd"), 'f:11: scanners[1].user is no setting of kind "clamd"; remove it; kind "spamd" has one of that name', id="user of clamd"),
        pytest.param("checks = false\n" + scanner(""), "f:1: warning: checks is false, so no scanner is ever asked; remove it, or the scanners", id="scanners without checks"),
        # limits
        pytest.param("limits.connections_by_host = 2001", "f:1: warning: limits.connections_by_host 2001 is never reached: connections (2000) ends it first; write at most 2000", id="host above the whole"),
        pytest.param("limits.errors = 201", "f:1: warning: limits.errors 201 is never reached: errors_by_host (200) ends it first; write at most 200", id="errors above those of the host"),
        pytest.param("memory.in_flight = '99M'", "f:1: memory.in_flight is less than two messages of limits.message_size (52428800 octets); write at least 104857600, or lower message_size", id="no room for two"),
        pytest.param("memory.in_flight = '199M'", "f:1: warning: memory.in_flight gives one client network a quarter, which is less than one message of limits.message_size; write at least 209715200", id="no room for one client"),
        # tls
        pytest.param("tls.certificate = '/c'", "f:1: tls.certificate is of no use without tls.key; add key", id="no key"),
        pytest.param("tls.key = '/c'", "f:1: tls.key is of no use without tls.certificate; add certificate", id="no certificate"),
        pytest.param("tls = { certificate = '/c', key = '/k' }\n" + GOOD, 'f:1: warning: tls.certificate is used by no listener; write tls = "starttls" in the listeners', id="unused certificate"),
        # policies
        pytest.param("policies.default.tag_above = 7", 'f:1: policies.default.tag_above 7 is above mark_above (6.2), so mail would get the second without the first; write 6.2 or less, or "off"', id="tag above mark"),
        pytest.param("[policies.default]\nmark_above = 16", 'f:2: policies.default.mark_above 16 is above reject_above (15), so mail would get the second without the first; write 15 or less, or "off"', id="mark above reject"),
        pytest.param("[policies.default]\ndiscard_above = 6", 'f:1: policies.default.mark_above 6.2 is above discard_above (6), so mail would get the second without the first; write 6 or less, or "off"', id="discard below mark"),
        pytest.param("[policies.default]\ndiscard_above = 15", "f:2: policies.default.discard_above 15 is reject_above too, which wins, so it never holds; write another number: the highest one that is reached holds", id="discard at reject"),
        pytest.param("[policies.a]\n", "f:1: warning: policies.a is named by no policy rule, so it never holds; add a rule", id="policy without a rule"),
        pytest.param("[[policy_rules]]\npolicy = 'b'\n", 'f:2: policy_rules[1].policy "b" is no policy; add [policies.b] or name one of: "default"', id="rule without a policy"),
        pytest.param(GOOD + "[[policy_rules]]\npolicy = 'default'\nlisteners = ['mx', 'my']", 'f:9: policy_rules[1].listeners[2] "my" is no listener; name one of: "mx"', id="rule for no listener"),
        pytest.param("[[policy_rules]]\npolicy = 'default'\n[[policy_rules]]\npolicy = 'default'\nrecipients = ['a@b.c']", "f:3: policy_rules[2] never holds: whatever fits it fits policy_rules[1] before it; put it before that rule or remove it", id="shadowed"),
        # after-queue
        pytest.param(AFTER_QUEUE, 'f:4: warning: listeners[1].stage "after-queue": whatever is to be refused is held in quarantine here, or the MTA would bounce it; look into the quarantine, or use stage = "proxy" (smtpd_proxy_filter), which may refuse', id="behind a queue"),
    ],
)  # fmt: skip
def test_one_line(text, line):
    assert told(text) == [line]


def test_relay_all_on_loopback_holds():
    loopback = GOOD.replace("0.0.0.0:25", "127.0.0.1:25").replace("example.org", "*") + "ours = false\n"
    assert told("networks.relay_all = true\n" + loopback) == []


@pytest.mark.parametrize(
    ("first", "second", "shadows"),
    [
        ({}, {"recipients": ["a@b.example"]}, True),
        ({"recipients": ["b.example"]}, {"recipients": ["A@b.example"]}, True),
        ({"recipients": [".example"]}, {"recipients": ["a@b.example", "b.example", ".b.example"]}, True),
        ({"recipients": [".b.example"]}, {"recipients": ["b.example"]}, True),
        ({"recipients": ["b.example"]}, {"recipients": [".b.example"]}, False),
        ({"recipients": ["b.example"]}, {"recipients": ["a@c.b.example"]}, False),
        ({"recipients": ["b.example"]}, {}, False),
        ({"recipients": ["b.example"]}, {"recipients": ["b.example", "c.example"]}, False),
        ({"direction": "inbound"}, {}, False),
        ({"direction": "inbound"}, {"direction": "inbound"}, True),
        ({"listeners": ["x"]}, {}, False),
        ({"listeners": ["x", "y"]}, {"listeners": ["y"]}, True),
        ({"listeners": ["x"]}, {"listeners": ["x", "y"]}, False),
    ],
)
def test_shadowed_rules(first, second, shadows):
    from mpp.verdict.contradictions import covers
    from mpp.verdict.policy import PolicyRule

    assert covers(PolicyRule(policy="p", **first), PolicyRule(policy="p", **second)) is shadows


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("unix:/x", True),
     ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("host:1", False)],
)  # fmt: skip
def test_loopback(text, expected):
    assert on_loopback(read_endpoint(text)) is expected


def attachment(more, name="a"):
    return f'[[attachments]]\nname = "{name}"\n{more}\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            attachment("") + attachment('names = ["*.exe"]'),
            'attachments[2].name "a" is the name of attachments[1] too',
        ),
        (attachment('policies = ["strict"]'), 'attachments[1].policies[1] "strict" is no policy'),
        (attachment('lists = ["usual"]'), "add [attachment_lists.usual]"),
        (attachment('lists = ["usal"]') + "[attachment_lists.usual]\nentries = ['ban x']\n", 'did you mean "usual"?'),
        (
            attachment('flags = ["macro"]') + attachment('flags = ["macro"]\nabove = 5', "b"),
            "never holds: attachments[1]",
        ),
        (
            attachment('recipients = [".example.org"]') + attachment('recipients = ["x@a.example.org"]', "b"),
            "never holds",
        ),
        ("[attachment_lists.usual]\nentries = ['ban x']\n", "is named by no rule, so it bans nothing"),
        (attachment('text = "x"'), 'is of no use with action = "ban"'),
        (attachment('above = "100M"'), "f:9: attachments[1].above never holds"),
        (attachment('above = "60M"\nnested = "outer"'), "never holds: no file that is looked into has more than"),
        (
            attachment('types = ["image/*",\n"executable"]'),
            'f:10: attachments[1].types[2] "executable" is no type but a flag; write flags = ["executable"]',
        ),
        (attachment('types = ["Macros"]'), 'write flags = ["macro"]'),
        (attachment('types = [".exe"]'), 'write names = ["*.exe"]'),
        (attachment('types = ["text/html; charset=utf-8"]'), "is no type, which has neither blanks nor parameters"),
        (attachment('types = ["image"]'), 'fits no type; write "application/pdf"'),
        (attachment('types = ["app/pdf"]'), "fits no type"),
        (attachment('types = ["zip*"]'), "fits no type"),
        (attachment('types = ["application/x-msdownload"]'), 'write "application/vnd.microsoft.portable-executable"'),
        (attachment('names = ["exe"]'), 'write "*.exe" for an end of names'),
        (attachment('names = [".EXE"]'), 'write "*.exe" for an end of names'),
        (attachment('names = ["image/png"]'), "write types = [...]"),
        (attachment(r"names = ['.*\.exe$']"), "is a regular expression"),
        (attachment('names = ["*.exe|*.scr"]'), "is a regular expression"),
        (attachment('names = ["*.exe "]'), "ends with a blank"),
        (attachment('senders = ["*@example.org"]'), 'write "example.org" for all of a domain'),
    ],
)
def test_rules_for_attachments_that_cannot_be_meant_are_told(text, line):
    assert any(line in str(each) for each in told(GOOD + text)), told(GOOD + text)


@pytest.mark.parametrize(
    "what",
    ['types = ["*"]', 'types = ["*/x-tar", "im*", "*zip", "?mage/png", "application/*", "IMAGE/PNG", "x-epoc/x-sisx-app"]',
     'names = ["README", ".htaccess", "winmail.dat", "*.docm", "invoice*", "copy (1).*", "~$*"]', 'above = "51M"'],
)  # fmt: skip
def test_patterns_that_files_can_fit_are_good(what):
    assert told(GOOD + attachment(what)) == []


def test_rules_for_attachments_that_differ_are_good():
    text = (
        attachment('flags = ["macro"]\nabove = 5')
        + attachment('flags = ["macro"]', "b")
        + attachment("nested = 'inside'", "c")
    )
    assert told(GOOD + text + attachment("", "d")) == []
