"""DNS lists: what is asked, what the answers mean, and lists that fail; with a DNS server of the test's own."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mpp.checks.reputation.clients import ClientLists, Standing
from mpp.checks.reputation.dnslist import DnsListCheck
from mpp.checks.reputation.names import address_name, domain_names, points_of, read_code
from mpp.checks.scanners.kinds import DnsList
from mpp.checks.scanners.scanner import Tools
from mpp.gateway.rules import RULES
from mpp.gateway.settings import Settings
from mpp.mail.envelope import Client
from mpp.mail.message import Message
from mpp.settings.read import SettingsError, load
from mpp.verdict.finding import SCANNER_FAILED, SPAM_SCANNED, Finding, OnFailure
from servers.transactions import a_transaction
from servers.zone import FAILS, GARBAGE, SILENT, Zone

CLIENT = Client("203.0.113.9", 25, "mail.example.org", "helo.example.org", "ESMTP")
ENTRY = "9.113.0.203.bl.test"
RAW = b"From: Ann <ann@sub.from.example>\r\nSubject: x\r\n\r\nsee http://www.links.example/x\r\n"

MakeZone = Callable[..., Zone]


@pytest.fixture(autouse=True)
def documentation_is_global(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses for documentation count as those of the Internet here; private and loopback ones do not."""
    monkeypatch.setattr(
        "mpp.checks.reputation.names.is_asked_for", lambda ip: not ip.is_loopback and str(ip)[:3] != "10."
    )


@pytest.fixture
def zone() -> Iterator[MakeZone]:
    made: list[Zone] = []

    def make(names: dict[str, Any] | None = None, **options: Any) -> Zone:
        made.append(Zone(names or {}, **options))
        return made[-1]

    yield make
    for each in made:
        each.__exit__()


def settings(zone: Zone, **more: Any) -> DnsList:
    usual = {"name": "bl", "kind": "dns-list", "zone": "bl.test", "resolvers": (zone.address,), "timeout": 1.0}
    return DnsList(**usual | more)


async def found(zone: Zone, raw: bytes = RAW, **more: Any) -> list[Finding]:
    transaction = a_transaction(
        reverse_path="s@sender.example", client=more.pop("client", CLIENT), trusted=more.pop("trusted", False)
    )
    return await DnsListCheck(settings(zone, **more), Tools()).examine(Message(raw), transaction)


async def test_a_listed_client(zone: MakeZone) -> None:
    note, hit = await found(zone({ENTRY: ("127.0.0.2",)}), symbol="BL")
    assert note == Finding("bl", SPAM_SCANNED)
    assert hit == Finding("bl", "BL", 3.0, "client 203.0.113.9 is listed by bl.test", "client 203.0.113.9")


async def test_a_client_that_is_not_listed(zone: MakeZone) -> None:
    server = zone()
    assert await found(server) == [Finding("bl", SPAM_SCANNED)]
    assert server.asked == [ENTRY]


@pytest.mark.parametrize("client", ["", "127.0.0.1", "10.1.2.3", "::1"])
async def test_clients_that_no_list_knows_are_not_asked_for(zone: MakeZone, client: str) -> None:
    server = zone()
    assert await found(server, client=Client(client)) == [Finding("bl", SPAM_SCANNED)]
    assert server.asked == []


async def test_a_trusted_client_is_not_asked_for(zone: MakeZone) -> None:
    server = zone({ENTRY: ("127.0.0.2",)})
    assert await found(server, ask=("client", "helo"), trusted=True) == [Finding("bl", SPAM_SCANNED)]
    assert server.asked == []


@pytest.mark.parametrize(
    ("ask", "entry", "evidence"),
    [
        ("helo", "helo.example.org", "HELO helo.example.org"),
        ("helo", "example.org", "HELO helo.example.org"),
        ("from", "sender.example", "sender sender.example"),
        ("from", "from.example", "From sub.from.example"),
        ("links", "links.example", "link to www.links.example"),
        ("links", "www.links.example", "link to www.links.example"),
    ],
)
async def test_domains(zone: MakeZone, ask: str, entry: str, evidence: str) -> None:
    hits = (await found(zone({f"{entry}.bl.test": ("127.0.0.2",)}), ask=(ask,)))[1:]
    assert [hit.evidence for hit in hits] == [evidence]


@pytest.mark.parametrize(
    ("field", "domains"),
    [
        (b"Ann <e@bad.example>", ["bad.example"]),
        (b"<e@bad.example> (x)", ["bad.example"]),
        (b"e@bad.example (x)", ["bad.example"]),
        (b"(x@bad.example) <e@good.example>", []),
        (b'"x@bad.example" <e@good.example>', []),
        (b"x@bad.example <e@good.example>", ["bad.example"]),  # a mail program shows it
        (b"e@good.example, <f@bad.example>", ["bad.example"]),
        (b"e@bad.example, <f@good.example>", ["bad.example"]),
        (b"<e@bad.example>, <f@worse.example>", ["bad.example", "worse.example"]),
        (b"<e@bad.example>\r\nFrom: <f@worse.example>", ["bad.example", "worse.example"]),
        (b"<e@BAD.example>, <f@bad.example>", ["bad.example"]),
        (b"none", []),
    ],
)
async def test_every_address_of_from_is_asked_for_however_it_is_written(
    zone: MakeZone, field: bytes, domains: list[str]
) -> None:
    listed = {f"{each}.example.bl.test": ("127.0.0.2",) for each in ("bad", "worse")}
    hits = (await found(zone(listed), b"From: " + field + b"\r\n\r\n", ask=("from",)))[1:]
    assert [hit.evidence for hit in hits] == [f"From {domain}" for domain in domains]


async def test_so_many_addresses_of_from_are_asked_for(zone: MakeZone) -> None:
    server = zone()
    raw = b"".join(b"From: %s\r\n" % b",".join(b"a@f%dx%d.example" % (n, m) for m in range(30)) for n in range(9))
    await found(server, raw + b"\r\n", ask=("from",))
    assert len([name for name in server.asked if name.startswith("f")]) == 20


async def test_links_in_html_and_to_addresses(zone: MakeZone) -> None:
    html = (
        b"Content-Type: text/html\r\n\r\n<a href='https://bad.example/x'>good.example</a> <img src=http://198.51.100.7/p.png>"
        b" <p>www.seen.example</p>"
    )
    listed = {"bad.example": 1, "7.100.51.198": 1, "seen.example": 1}
    hits = await found(zone({f"{each}.bl.test": ("127.0.0.2",) for each in listed}), html, ask=("links",))
    assert {hit.evidence for hit in hits[1:]} == {
        "link to bad.example",
        "link to 198.51.100.7",
        "link to www.seen.example",
    }


async def test_so_many_links_are_asked_for(zone: MakeZone) -> None:
    server = zone()
    raw = b"\r\n" + b" ".join(b"http://host%d.example/" % number for number in range(500))
    await found(server, raw, ask=("links",), most_links=5)
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("answers", "codes", "points"),
    [
        (("127.0.0.2",), (), 3.0),
        (("127.0.0.2",), ("127.0.0.2 = 4.5",), 4.5),
        (("127.0.0.9",), ("127.0.0.2 = 4.5",), 3.0),
        (("127.0.0.2", "127.0.0.4"), ("127.0.0.2 = 4.5", "127.0.0.4/30 = 2"), 6.5),
        (("127.0.0.10",), ("& 8 = 2", "& 2 = 1", "& 4 = 9"), 3.0),
        (("127.0.0.2", "127.0.0.3"), (), 3.0),
        (("127.0.0.2",), ("127.0.0.2 = -1",), -1.0),
    ],
)
def test_what_answers_mean(answers: tuple[str, ...], codes: tuple[str, ...], points: float) -> None:
    assert points_of(answers, [read_code(code) for code in codes], 3.0) == points


@pytest.mark.parametrize("answer", ["127.255.255.254", "198.51.100.1", "0.0.0.0"])
async def test_answers_that_are_no_listing_are_failures(zone: MakeZone, answer: str) -> None:
    """Lists that refuse a resolver, and resolvers that answer for everything, must not refuse everybody."""
    _, failed = await found(zone({ENTRY: (answer,)}))
    assert (failed.symbol, failed.failure, failed.score) == (SCANNER_FAILED, OnFailure.CONTINUE, 0)
    assert f"bl.test: the answer {answer} is no listing" in failed.evidence


@pytest.mark.parametrize("fault", [FAILS, SILENT, GARBAGE])
async def test_a_lookup_that_fails_is_a_failure_and_never_a_hit(zone: MakeZone, fault: str) -> None:
    names = {ENTRY: fault, "helo.example.org.bl.test": ("127.0.0.2",)}
    _, *hits, failed = await found(zone(names), ask=("client", "helo"), on_failure="defer")
    # after octets that are no DNS the resolver gives up what else it asked that server, so the other may fail too
    assert [hit.evidence for hit in hits] == ["HELO helo.example.org"] or (fault == GARBAGE and not hits)
    assert (failed.symbol, failed.failure, failed.score) == (SCANNER_FAILED, OnFailure.DEFER, 0)
    assert failed.evidence.startswith("bl.test: ")
    assert "bl.test" in failed.evidence.partition(": ")[2]


async def test_answers_are_kept_and_one_question_serves_many(zone: MakeZone) -> None:
    server = zone({ENTRY: ("127.0.0.2",)})
    check = DnsListCheck(settings(server), Tools())
    results = await asyncio.gather(*(check.examine(Message(RAW), a_transaction(client=CLIENT)) for _ in range(20)))
    assert [len(findings) for findings in results] == [2] * 20
    assert server.asked == [ENTRY]
    await check.examine(Message(RAW), a_transaction(client=CLIENT))
    assert server.asked == [ENTRY]


async def test_a_failure_is_not_kept(zone: MakeZone) -> None:
    server = zone({ENTRY: FAILS})
    check = DnsListCheck(settings(server), Tools())
    assert (await check.examine(Message(RAW), a_transaction(client=CLIENT)))[1].failure is not None
    server.names[ENTRY] = ("127.0.0.2",)
    assert (await check.examine(Message(RAW), a_transaction(client=CLIENT)))[1].score == 3


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("203.0.113.9", "9.113.0.203.z"),
        ("::ffff:203.0.113.9", "9.113.0.203.z"),
        ("2a00::1", "1." + "0." * 27 + "0.0.a.2.z"),
        ("127.0.0.1", ""),
        ("nonsense", ""),
    ],
)
def test_names_of_addresses(address: str, name: str) -> None:
    assert address_name(address, "z") == name


@pytest.mark.parametrize(
    ("domain", "names"),
    [
        ("a.example", ["a.example.z"]),
        ("x.a.example", ["a.example.z", "x.a.example.z"]),
        ("w.v.u.x.a.example", ["a.example.z", "x.a.example.z", "u.x.a.example.z", "w.v.u.x.a.example.z"]),
        ("localhost", []),
        ("x" * 250 + ".org", []),
    ],
)
def test_names_of_domains(domain: str, names: list[str]) -> None:
    assert domain_names(domain, "z") == names


async def test_what_mpp_check_says(zone: MakeZone) -> None:
    for names, severity in [
        ({"2.0.0.127.bl.test": ("127.0.0.2",)}, "note"),
        ({}, "warning"),
        ({"2.0.0.127.bl.test": FAILS}, "error"),
    ]:
        (problem,) = await DnsListCheck(settings(zone(names)), Tools()).told(("scanners", 0))
        assert problem.severity == severity


# At RCPT


@pytest.mark.parametrize(
    ("entry", "at_rcpt", "standing"),
    [
        (("127.0.0.2",), "refuse", Standing("bl.test")),
        (("127.0.0.2",), "delay", Standing("", 7.0)),
        ((), "refuse", Standing()),
        (FAILS, "refuse", Standing()),
        (SILENT, "refuse", Standing()),
        (("127.255.255.1",), "refuse", Standing()),
    ],
)
async def test_how_a_client_stands(zone: MakeZone, entry: Any, at_rcpt: str, standing: Standing) -> None:
    lists = ClientLists([settings(zone({ENTRY: entry}), at_rcpt=at_rcpt, delay=7)], Tools())
    assert lists
    assert await lists.ask("203.0.113.9") == standing


def test_lists_that_rcpt_does_not_heed() -> None:
    assert not ClientLists([DnsList(name="bl", kind="dns-list", zone="bl.test")], Tools())


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ('codes = ["2 = 3"]', 'f:5: scanners[1].codes[1] "2 = 3" is no code; write "127.0.0.2 = 4.5"'),
        ('at_rcpt = "refuse"\nask = ["helo"]', "f:5: scanners[1].at_rcpt judges clients, which ask does not name; add"),
        ("ask = []", "f:5: scanners[1].ask is an empty list; name at least one"),
        ('resolvers = ["x"]', 'f:5: scanners[1].resolvers[1] "x" is no DNS server'),
    ],
)
def test_a_fault_is_told_with_its_line_and_cure(more: str, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(f'[[scanners]]\nname = "b"\nkind = "dns-list"\nzone = "bl.test"\n{more}\n', "f", Settings, RULES)
    assert caught.value.lines[0].startswith(line)
