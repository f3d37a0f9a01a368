"""The content filter: what 1,000 header and 1,000 body patterns add to a message, beside Postfix with the same tables.

The tables are seeded, patterns as operators write them. Whole programs are measured with and without tables, for each shape; a
mixed message is 80 small ones, 18 newsletters and 2 with an attachment. Below that what the parts cost by themselves.
"""

import random
import string
import time
from collections.abc import Callable

from bench.messages import shapes
from bench.peers import Sink, start_mpp, start_postfix
from bench.relay import left_out
from bench.results import Row, at_least, at_most, short
from bench.stand import MissingError, Program, Stand
from bench.timed import Load, in_turn, middle
from mpp.checks.content import html
from mpp.checks.content.compiled import Shelf
from mpp.checks.content.engine import Expression, Patience, Search
from mpp.checks.content.normalise import normalised
from mpp.checks.content.pcre import CASELESS, DOTALL
from mpp.checks.content.postfix.gate import Gate
from mpp.checks.content.postfix.keys import body_keys, body_text, header_keys, header_text
from mpp.checks.content.postfix.read import read_table
from mpp.gateway.settings import Settings
from mpp.gateway.trial import Trial, message_of
from mpp.mail.message import Message

_MIX = {"2k": 0.80, "20k": 0.18, "300k": 0.02}
_SETTINGS = """
[node]
workers = 1
data = "{data}"
hostname = "bench.example.net"
[[listeners]]
name = "edge"
address = "127.0.0.1:{port}"
[[routes]]
domains = ["example.org"]
hosts = ["127.0.0.1:{sink}"]
"""
_MAPS = """
[[filters]]
name = "head"
where = "header"
map = "pcre:%s"
[[filters]]
name = "body"
where = "line"
map = "pcre:%s"
"""


def tables(count: int, seed: int = 11) -> tuple[str, str]:
    """Return header_checks and body_checks of `count` rules each."""
    draw = random.Random(seed)

    def word() -> str:
        return "".join(draw.choices(string.ascii_lowercase, k=draw.randint(5, 9)))

    body = [
        draw.choice(
            (
                f"/\\b{word()}\\s+{word()}\\b/",
                f"/{word()}[0-9]{{2,4}}{word()}/",
                f"/^{word()}.*{word()}/",
                f"/https?:\\/\\/[a-z0-9.]*{word()}\\./",
                f"/({word()}|{word()}|{word()})/",
            )
        )
        + " REJECT body\n"
        for _ in range(count)
    ]
    head = [
        draw.choice(
            (
                f"/^Subject:.*\\b{word()}\\b/",
                f"/^From:.*@{word()}\\.(com|net|biz)/",
                f"/^Received:.*\\[{draw.randint(1, 223)}\\.{draw.randint(0, 255)}\\./",
                f"/^X-Mailer: {word()}/",
            )
        )
        + " REJECT header\n"
        for _ in range(count)
    ]
    return "".join(head), "".join(body)


def filters(stand: Stand) -> list[Row]:
    """Whole programs with and without 1,000 + 1,000 patterns, then the parts."""
    head, body = tables(1000)
    (stand.folder / "head.pcre").write_text(head)
    (stand.folder / "body.pcre").write_text(body)
    rows = _beside_postfix(stand)
    with stand.server.on():
        return [*rows, *_parts(stand), *_text(stand), *_catastrophic(), _replay(stand)]


def _beside_postfix(stand: Stand) -> list[Row]:
    sink = Sink(stand)
    head, body = stand.folder / "head.pcre", stand.folder / "body.pcre"
    programs: dict[str, Program] = {
        "mpp": start_mpp(stand, sink, settings=_SETTINGS),
        "mpp+": start_mpp(stand, sink, settings=_SETTINGS + _MAPS % (head, body), name="mpp-filters"),
    }
    try:
        programs["postfix"] = start_postfix(stand, sink)
        checks = {"header_checks": f"pcre:{head}", "body_checks": f"pcre:{body}"}
        programs["postfix+"] = start_postfix(stand, sink, name="postfix-filters", more=checks)
    except MissingError as missing:
        return [left_out("Postfix with 1,000 + 1,000 patterns", missing)]
    cost: dict[str, float] = dict.fromkeys(programs, 0.0)
    for shape, share in _MIX.items():
        runs = in_turn(stand, sink, {name: (program, Load(shape)) for name, program in programs.items()})
        for name in programs:
            cost[name] += share * middle(runs[name], "cpu_us")
    ours, theirs = cost["mpp+"] - cost["mpp"], cost["postfix+"] - cost["postfix"]
    row = at_least("added CPU, Postfix's 1,000 + 1,000", [theirs / max(ours, 1.0)], 100, "x ours", **cost)
    return [
        Row(
            row.name,
            f"{row.measured}; {short(ours)} us and {short(theirs)} us a mixed message",
            row.target,
            row.met,
            row.values,
        )
    ]


def _parts(stand: Stand) -> list[Row]:
    costs, rows = {}, []
    for count in (1000, 10_000):
        head, body = (read_table(each.encode(), "pcre") for each in tables(count))
        gates = Gate(head, Shelf(stand.folder / "shelf")), Gate(body, Shelf(stand.folder / "shelf"))
        costs[count] = sum(share * _asked(gates, shape, stand) for shape, share in _MIX.items())
        rows.append(Row(f"{count:,} + {count:,} patterns, a mixed message", f"{short(costs[count])} us"))
    rows.append(at_most("10,000 beside 1,000", costs[10_000] / costs[1000], 5, "x"))
    return [*rows, *_compiling(stand)]


def _asked(gates: tuple[Gate, Gate], shape: str, stand: Stand) -> float:
    raw = shapes()[shape].with_token(b"0123456789abcdef")

    def ask() -> None:
        message, patience = Message(raw), Patience()
        text = body_text(message)
        list(gates[0].answers(header_text(message), header_keys(message), patience))
        list(gates[1].answers(text, body_keys(text), patience))

    def parse() -> None:
        message = Message(raw)
        message.root  # noqa: B018
        message.fields  # noqa: B018

    rounds = 20 if stand.quick else 100
    return _best_us(ask, rounds) - _best_us(parse, rounds)


def _compiling(stand: Stand) -> list[Row]:
    expressions = [
        Expression(line.split("/", 1)[1].rpartition("/")[0].encode(), CASELESS | DOTALL)
        for line in tables(10_000, seed=12)[1].splitlines()
    ]
    shelf = Shelf(stand.folder / "fresh")
    began = time.process_time()
    Search(expressions, shelf=shelf)
    compiled = time.process_time() - began
    loaded = min(_once_s(lambda: Search(expressions, shelf=shelf)) for _ in range(3))
    return [
        at_most("10,000 patterns compiled", compiled, 15, "s"),
        at_most("10,000 patterns loaded", loaded * 1000, 20, "ms"),
    ]


def _text(stand: Stand) -> list[Row]:
    page = next(
        part.text() for part in Message(shapes()["20k"].with_token(b"0" * 16)).leaves() if part.type == "text/html"
    )
    page = (page * 3)[: 20 << 10]

    def normalise() -> None:
        tree = html.parsed(page)
        assert tree is not None
        normalised(html.visible_text(tree, page)).encode()

    return [at_most("20 KiB of HTML normalised", _best_us(normalise, 50 if stand.quick else 200), 300, "us")]


def _catastrophic() -> list[Row]:
    """Patterns that never end, each by each way, on a text that makes them so."""
    sources = [
        rb"^(a+)+$",
        rb"^(a+)+\K$",
        rb"(a|aa)+\K$",
        rb"(?=a)(a*)*\Kb$",
        rb"(.*)*\K!$",
        rb"(x+x+)+\Ky",
        rb"(a+)+(?<!b)$",
    ]
    text = b"a" * 5000 + b"x" * 2000 + b"b"
    worst = 0.0
    for source in sources:
        search = Search([Expression(source, 0)])
        search.hits(text, Patience())  # its machine code is made
        worst = max(worst, min(_once_s(lambda search=search: search.hits(text, Patience())) for _ in range(3)))
    return [at_most("the worst of 7 catastrophic patterns, a message", worst * 1000, 5, "ms")]


def _replay(stand: Stand) -> Row:
    """Old and new filters on small mails, as `mpp filters replay` judges them."""
    rule = {"name": "a", "where": "body", "match": [f"word{n} [a-z]+ing" for n in range(200)], "action": "quarantine"}
    old, new = (
        Trial(Settings.model_validate({"node": {"data": stand.folder / "replay"}, "filters": each}))
        for each in ([rule], [rule, {"name": "b", "match": ["Monday"], "action": "tag"}])
    )
    raw, count = shapes()["2k"].with_token(b"0" * 16), 300 if stand.quick else 2000

    def judge() -> None:
        message = message_of(raw)
        assert old.judge(message).plan.fates != new.judge(message).plan.fates

    seconds = _best_us(judge, count) * 0.1  # of 100,000
    return at_most("replay of 100,000 small mails", seconds, 60, "s")


def _best_us(work: Callable[[], None], rounds: int) -> float:
    """CPU time of one round: the best of five."""

    def measured() -> float:
        began = time.thread_time()
        for _ in range(rounds):
            work()
        return (time.thread_time() - began) / rounds * 1e6

    return min(measured() for _ in range(5))


def _once_s(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began
