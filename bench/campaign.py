"""Campaign memory at work: the same stream through spamc alone and through the gateway, with one spamd of two children.

Who is right is known, since the stream is made (bench.campaign_mail): a campaign and single spam are spam, newsletters and
letters are not. spamc calls spam what reaches the gateway's mark_above. Both have four messages on their way at a time, and
stand on the same core; spamd has the other.
"""

import json
import shutil
import smtplib
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from bench.campaign_mail import Mail, Mix, stream
from bench.peers import Sink, start_mpp, start_spamd
from bench.relay import left_out
from bench.results import Row, at_least, at_most, short
from bench.stand import HOST, BenchError, MissingError, Program, Stand

_AT_A_TIME = 4
_SPAM_FROM = 6.2
_SETTINGS = f"""
[node]
workers = 1
data = "{{data}}"
[log]
format = "json"
[[listeners]]
name = "bench"
address = "{HOST}:{{port}}"
[[routes]]
domains = ["example.org"]
hosts = ["{HOST}:{{sink}}"]
ask = false
[[scanners]]
name = "spamd"
kind = "spamd"
servers = ["{HOST}:SPAMD"]
connections = 2
[policies.default]
reject_above = "off"
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One way through the stream: messages a second, wrong decisions, and what memory decided of it."""

    rate: float
    missed: int  # spam taken for ham
    false_alarms: int
    recalled: float = 0.0  # share of the stream
    cpu_ms: float = 0.0  # of the gateway, a message


def campaign(stand: Stand) -> list[Row]:
    """40 % campaigns, 40 % newsletters; then the same without campaigns."""
    try:
        spamd = start_spamd(stand)
        if shutil.which("spamc") is None:
            raise MissingError("no spamc: apt-get install spamc")
    except MissingError as missing:
        return [left_out("campaign memory beside spamc", missing)]
    sink, count, pairs = Sink(stand), 100 if stand.quick else 400, 1 if stand.quick else 3
    mixed = [_pair(stand, sink, spamd, stream(seed, Mix(count))) for seed in range(pairs)]
    plain = [_pair(stand, sink, spamd, stream(seed, Mix(count // 2, campaigns=0.0))) for seed in range(pairs)]
    saved = [mpp.recalled for _, mpp in mixed]
    wrong = sum(mpp.missed + mpp.false_alarms for _, mpp in [*mixed, *plain])
    wrong_spamc = sum(spamc.missed + spamc.false_alarms for spamc, _ in [*mixed, *plain])
    alarms = sum(mpp.false_alarms for _, mpp in [*mixed, *plain])
    return [
        Row("campaigns: decided by memory", f"{short(100 * min(saved))} to {short(100 * max(saved))} % of the stream"),
        at_least(
            "campaigns: messages a second, x spamc alone", [mpp.rate / spamc.rate for spamc, mpp in mixed], 1 + min(saved), "x"
        ),
        at_most("campaigns: wrong decisions beside spamc's", wrong - wrong_spamc, 0, "", mpp=wrong, spamc=wrong_spamc, false_alarms=alarms),
        at_least("no campaigns: messages a second, x spamc alone", [mpp.rate / spamc.rate for spamc, mpp in plain], 1.0, "x"),
        at_most("campaigns: CPU of the gateway a message", max(mpp.cpu_ms for _, mpp in mixed), 1.0, "ms"),
    ]  # fmt: skip


def _pair(stand: Stand, sink: Sink, spamd: Program, mails: Sequence[Mail]) -> tuple[Run, Run]:
    """Run both over the same mails, spamc first; the gateway is a fresh one, which remembers nothing."""
    with stand.server.on():
        alone = _through_spamc(spamd.port, mails)
    mpp = start_mpp(stand, sink, settings=_SETTINGS.replace("SPAMD", str(spamd.port)))
    try:
        return alone, _through_mpp(mpp, mails)
    finally:
        mpp.stop()


def _through_spamc(port: int, mails: Sequence[Mail]) -> Run:
    def score(mail: Mail) -> float:
        command = ["spamc", "-d", HOST, "-p", str(port), "-c", "-x", "-t", "120"]
        ended = subprocess.run(command, input=mail.raw, capture_output=True, check=False)
        if ended.returncode > 1:
            raise BenchError(f"spamc ended with {ended.returncode}")
        return float(ended.stdout.split(b"/")[0])

    seconds, scores = _timed(score, mails)
    return _run(mails, [score >= _SPAM_FROM for score in scores], len(mails) / seconds)


def _through_mpp(mpp: Program, mails: Sequence[Mail]) -> Run:
    clients: SimpleQueue[smtplib.SMTP] = SimpleQueue()
    for _ in range(_AT_A_TIME):
        clients.put(smtplib.SMTP(HOST, mpp.port, timeout=120))

    def send(mail: Mail) -> None:
        client = clients.get()
        client.sendmail(mail.sender, mail.recipient, mail.raw)
        clients.put(client)

    cpu = mpp.cpu_s()
    seconds, _ = _timed(send, mails)
    used = mpp.cpu_s() - cpu
    while not clients.empty():
        clients.get().quit()
    lines = {}
    for line in mpp.log().splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "message":
            lines[event["recipients"]] = event
    ours = [lines[mail.recipient] for mail in mails]
    if any("scanner-failed" in (event["findings"] or "") for event in ours):
        raise BenchError("spamd gave no answer to some message")
    recalled = sum("CAMPAIGN" in (event["findings"] or "") for event in ours) / len(ours)
    return _run(
        mails, [event["verdict"] == "spam" for event in ours], len(mails) / seconds, recalled, used / len(mails)
    )


def _timed(work: Callable[[Mail], float | None], mails: Sequence[Mail]) -> tuple[float, list[float]]:
    began = time.monotonic()
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        answers = [answer or 0.0 for answer in threads.map(work, mails)]
    return time.monotonic() - began, answers


def _run(mails: Sequence[Mail], spam: Sequence[bool], rate: float, recalled: float = 0.0, cpu_s: float = 0.0) -> Run:
    truth = [mail.kind in ("campaign", "spam") for mail in mails]
    missed = sum(is_spam and not said for is_spam, said in zip(truth, spam, strict=True))
    alarms = sum(said and not is_spam for is_spam, said in zip(truth, spam, strict=True))
    return Run(rate, missed, alarms, recalled, cpu_s * 1000)
