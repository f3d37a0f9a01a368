"""`mpp scanners compare|victims` on what the gateway's log writes, in both of its forms."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mpp.checks.layers.comparison import compare
from mpp.checks.layers.engines import Opinion
from mpp.cli.app import app
from mpp.cli.log_lines import items, message
from mpp.gateway.log import Log
from mpp.store.trace import CopyTrace, Trace
from mpp.store.trace_line import write
from mpp.verdict.finding import Finding, Verdict

MESSAGES: list[dict[str, Any]] = [
    {"id": "m1", "sender": "a@x.example", "recipients": "r@y.example", "score": 12.0, "rules": "policies.default.reject_above", "findings": ["BAYES_99", "URIBL"], "engines": ["sa:clean:12:80.5", "new:clean:7:2.0:nothing"], "outcome": "refused", "reply": "554 5.7.1 spam"},
    {"id": "m2", "sender": "b@x.example", "recipients": ["r@y.example", "s, t@y.example"], "score": 1.0, "findings": "BAYES_00", "engines": ["sa:clean:-1.9:40.0", "new:clean:9:3.0:nothing"], "outcome": "accepted", "reply": "250 Ok"},
    {"id": "m3", "sender": "c@x.example", "recipients": "r@y.example", "score": 6.0, "findings": ["BAYES_99"], "engines": ["sa:clean:6:60.0", "new:clean:0:4.0:nothing"], "outcome": "accepted", "reply": "250 Ok"},
    {"id": "m4", "sender": "d@x.example", "recipients": "r@y.example", "score": 0.0, "findings": [], "engines": ["sa:failed:0:40000.0", "new:clean:0:4.0:nothing"], "outcome": "accepted", "reply": "250 Ok"},
    {"id": "m5", "sender": "e@x.example", "recipients": "r@y.example", "score": 0.0, "findings": ["Eicar"], "engines": ["av:virus:0:1.0"], "outcome": "refused", "reply": "554 5.7.1 virus"},
    {"id": "m6", "sender": "f@x.example", "recipients": "r@y.example", "score": 9.0, "rules": "policies.default.discard_above", "findings": ["BAYES_99"], "engines": ["sa:clean:9:60.0"], "outcome": "accepted", "reply": "250 Ok"},
]  # fmt: skip


@pytest.fixture(params=["json", "logfmt"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    writer = Log(request.param)
    lines = [
        writer.line("info", "connected", {"client": "192.0.2.1"}),
        b"Jan 31 host mpp[7]: half a line event=message",
    ]
    lines += [b"Jan 31 host mpp[7]: " + writer.line("info", "message", fields) for fields in MESSAGES]
    path = tmp_path / "log"
    path.write_bytes(b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines))
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["scanners", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_two_engines_side_by_side(log: Path) -> None:
    found = json.loads(run("compare", "sa", "new", str(log), "--json"))
    assert found["compared"] == 3
    assert (found["both_bad"], found["both_clean"], found["only_a_ids"], found["only_b_ids"]) == (1, 0, ["m3"], ["m2"])
    assert found["agreement"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["a"] == {"name": "sa", "asked": 5, "unanswered": 1, "cost_s": 40.24, "p50_ms": 60.0, "p95_ms": 40000.0, "p99_ms": 40000.0}  # fmt: skip
    assert found["b"]["p50_ms"] == 4.0
    text = run("compare", "sa", "new", str(log), "--spam-from", "100")
    assert "3 messages that both looked at, agreement 100.0 %" in text


def test_engines_that_never_met(log: Path) -> None:
    text = run("compare", "av", "nobody", str(log))
    assert "0 messages that both looked at, agreement 0.0 %" in text
    assert "nobody: asked 0, no answer 0, 0.0 s in all; never" in text


@pytest.mark.parametrize(
    ("name", "more", "ids"),
    [
        ("BAYES_99", (), ["m1", "m6"]),
        ("BAYES_99", ("--all",), ["m1", "m3", "m6"]),
        ("sa/BAYES_99", (), ["m1", "m6"]),
        ("av/BAYES_99", (), []),
        ("av", (), ["m5"]),
        ("sa", ("--all",), ["m1", "m3", "m4", "m6"]),
        ("sa", ("--all", "--since", "2999-01-01"), []),
    ],
)
def test_the_mail_that_something_decided(log: Path, name: str, more: tuple[str, ...], ids: list[str]) -> None:
    lines = run("victims", name, str(log), "--json", *more).splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids
    shown = run("victims", name, str(log), *more)
    assert [each for each in (f"m{number}" for number in range(1, 7)) if f"  {each}  " in shown] == ids


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["scanners", "compare", "a", "b", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "name a file of the gateway's log lines" in result.output


def test_a_line_of_logfmt_reads_back() -> None:
    line = (
        Log("logfmt")
        .line("info", "message", {"id": "x", "text": 'a "quoted" one', "list": ["a", "b"], "n": 1})
        .decode()
    )
    fields = message(line)
    assert fields is not None
    assert (fields["id"], fields["text"], items(fields, "list"), fields["n"]) == (
        "x",
        'a "quoted" one',
        ["a", "b"],
        "1",
    )
    assert message('{"time": broken "event":"message"') is None


def test_an_engine_that_fails_is_not_compared() -> None:
    told = [
        ("1", [Opinion("a", "failed", 0, 9.0), Opinion("b", "virus", 0, 1.0)]),
        ("2", [Opinion("a", "virus", 0, 9.0)]),
    ]
    found = compare(told, "a", "b", 5.0)
    assert (found.compared, found.first.unanswered, found.first.asked, found.second.asked) == (0, 1, 2, 1)


def test_traces_tell_the_same(tmp_path: Path) -> None:
    findings = (Finding("av", "Eicar", verdict=Verdict.VIRUS), Finding("sa", "BAYES_99", 7.0))
    copies = (CopyTrace("r@y.example", "refused", "reject", "policies.default.virus", "virus"),)
    trace = Trace("t1", 1_700_000_000_000, findings=findings, timings={"av": 1.5, "sa": 80.0}, copies=copies)
    log = tmp_path / "traces"
    log.write_text(
        write(trace) + "\n" + json.dumps({**json.loads(write(trace)), "id": "t2", "events": []}) + '\n{"v":99}\n'
    )
    found = json.loads(run("compare", "av", "sa", str(log), "--json"))
    assert (found["compared"], found["both_bad"], found["a"]["p50_ms"], found["b"]["p50_ms"]) == (2, 2, 1.5, 80.0)
    assert "2023-11-14T22:13:20.000+00:00  t1" in run("victims", "av/Eicar", str(log))
