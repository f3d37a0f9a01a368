"""Programs that look at mail: what they are given, what they may do, and what is made of what they say."""

import asyncio
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mpp.checks.scanners.command import CommandCheck
from mpp.checks.scanners.kinds import Command
from mpp.checks.scanners.scanner import Tools
from mpp.gateway.rules import RULES
from mpp.gateway.settings import Settings
from mpp.mail.message import Message
from mpp.net.program import Limits, ProgramError, limited
from mpp.settings.read import SettingsError, load
from mpp.verdict.finding import SCANNER_FAILED, SPAM_SCANNED, TOO_LARGE, VIRUS_SCANNED, Finding, OnFailure, Verdict
from servers.transactions import a_transaction

RAW = b"Subject: hi\r\n\r\nhello\r\n"
Make = Callable[..., CommandCheck]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A check of a shell script; its temporary folders are below `tmp_path`/tmp."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

    def made(script: str, interpreter: str = "/bin/sh", **more: Any) -> CommandCheck:
        program = tmp_path / "program"
        program.write_text(f"#!{interpreter}\n{script}\n")
        program.chmod(0o755)
        return CommandCheck(Command(name="cmd", kind="command", program=program, **more), Tools())

    return made


async def found(check: CommandCheck, raw: bytes = RAW) -> list[Finding]:
    return await check.examine(Message(raw), a_transaction())


async def failure(check: CommandCheck, raw: bytes = RAW) -> str:
    started = time.monotonic()
    (finding,) = await found(check, raw)
    assert time.monotonic() - started < 20
    assert (finding.symbol, finding.failure) == (SCANNER_FAILED, OnFailure.DEFER)
    assert finding.evidence.startswith(f"{check.settings.program}: ")
    return finding.evidence.partition(": ")[2]


def left(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "tmp")


async def gone(mark: str) -> bool:
    """True as soon as no process has the mark in its command line; a killed one takes a moment."""
    for _ in range(500):
        if not alive(mark):
            return True
        await asyncio.sleep(0.01)
    return False


def alive(mark: str) -> list[str]:
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in line:
            lines.append(line.decode(errors="replace"))
    return lines


# What it gets and what its answer means


@pytest.mark.parametrize(
    ("script", "more"),
    [
        ("cmp - {copy}", {}),
        ("cmp {copy} $1", {"arguments": ("{file}",)}),
        ('test "$1" = -f && cmp {copy} "${{2#--in=}}"', {"arguments": ("-f", "--in={file}")}),
    ],
    ids=["input", "file", "file within an argument"],
)
@pytest.mark.parametrize("raw", [RAW, b"", b"x" * 3_000_000], ids=["small", "empty", "large"])
async def test_it_gets_the_message_as_it_came(
    make: Make, tmp_path: Path, script: str, more: dict[str, Any], raw: bytes
) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(raw)
    assert await found(make(script.format(copy=copy), **more), raw) == [Finding("cmd", VIRUS_SCANNED)]
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("script", "more", "symbol", "verdict"),
    [
        ("exit 0", {}, None, None),
        ("exit 1", {}, "found", Verdict.VIRUS),
        ("exit 7", {"found_codes": (7,)}, "found", Verdict.VIRUS),
        ("echo 'x: Eicar FOUND'; exit 1", {"found_pattern": r": (.+) FOUND"}, "Eicar", Verdict.VIRUS),
        ("echo 'x: Eicar FOUND'; exit 0", {"found_pattern": r": (.+) FOUND"}, "Eicar", Verdict.VIRUS),
        ("echo 'x: Eicar FOUND'; exit 9", {"found_pattern": r": (.+) FOUND"}, "Eicar", Verdict.VIRUS),
        ("echo 'x: Eicar FOUND' >&2; exit 1", {"found_pattern": r": (.+) FOUND"}, "Eicar", Verdict.VIRUS),
        ("echo infected", {"found_pattern": "infected"}, "found", Verdict.VIRUS),
        ("echo ': PUA.X FOUND'", {"found_pattern": r": (.+) FOUND"}, "PUA.X", None),
        ("echo ': Heuristics.Encrypted.Zip FOUND'", {"found_pattern": r": (.+) FOUND"}, "Heuristics.Encrypted.Zip", Verdict.UNCHECKED),
        (r"printf ': \033[31m FOUND'", {"found_pattern": r": (.+) FOUND"}, r"\x1b[31m", Verdict.VIRUS),
    ],
)  # fmt: skip
async def test_what_its_end_and_its_words_mean(
    make: Make, script: str, more: dict[str, Any], symbol: str | None, verdict: Verdict | None
) -> None:
    note, *rest = await found(make(script, **more))
    assert note.symbol == VIRUS_SCANNED
    assert [(each.symbol, each.verdict) for each in rest] == ([(symbol, verdict)] if symbol else [])


async def test_findings_as_json(make: Make) -> None:
    said = '{"scanned": ["spam", "virus"], "findings": [{"symbol": "A", "score": 2.5, "text": "t"}, {"symbol": "B", "class": "virus"}]}'
    findings = await found(make(f"echo '{said}'; echo noise >&2", answers="json"))
    assert findings == [
        Finding("cmd", SPAM_SCANNED),
        Finding("cmd", VIRUS_SCANNED),
        Finding("cmd", "A", 2.5, "t"),
        Finding("cmd", "B", verdict=Verdict.VIRUS),
    ]


async def test_its_environment_is_its_own(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s")
    script = 'test -z "$SECRET" && test "$TMPDIR" = "$PWD" && test "$HOME" = "$PWD" && test -z "$(ls -A)"'
    assert await found(make(script)) == [Finding("cmd", VIRUS_SCANNED)]


async def test_only_so_many_run_at_a_time(make: Make, tmp_path: Path) -> None:
    (tmp_path / "now").mkdir()
    script = (
        f"mkdir {tmp_path}/now/$$; ls {tmp_path}/now | wc -l >>{tmp_path}/seen; sleep 0.05; rmdir {tmp_path}/now/$$"
    )
    check = make(script, processes=2)
    await asyncio.gather(*(found(check) for _ in range(6)))
    assert max(int(line) for line in (tmp_path / "seen").read_text().split()) <= 2


async def test_too_large(make: Make) -> None:
    (finding,) = await found(make("exit 0", max_size=1024), RAW * 100)
    assert finding.symbol == TOO_LARGE


# What it may not do


async def test_it_never_ends(make: Make, tmp_path: Path) -> None:
    assert await failure(make("exec sleep 4711.1", timeout=0.3)) == "no end within 0.3 s"
    assert await gone("4711.1")
    assert left(tmp_path) == []


async def test_it_forks_and_never_ends(make: Make, tmp_path: Path) -> None:
    assert await failure(make("sleep 4711.2 & sleep 4711.2 & wait", timeout=0.3)) == "no end within 0.3 s"
    assert await gone("4711.2")
    assert left(tmp_path) == []


async def test_it_forks_and_ends(make: Make) -> None:
    """What it leaves behind holds its output open, and is ended with it."""
    assert await found(make("sleep 4711.3 & exit 0", timeout=10)) == [Finding("cmd", VIRUS_SCANNED)]
    assert await gone("4711.3")


async def test_what_gets_away_is_a_failure(make: Make) -> None:
    try:
        assert "left a process behind" in await failure(make("setsid sleep 2.4711 & sleep 0.3; exit 0", timeout=10))
    finally:
        assert await gone("2.4711")  # a session of its own, so it ends by itself


async def test_it_ignores_its_input(make: Make) -> None:
    assert await found(make("exit 0"), b"x" * 5_000_000) == [Finding("cmd", VIRUS_SCANNED)]


async def test_it_closes_its_output_and_goes_on(make: Make) -> None:
    assert await failure(make("exec >&- 2>&-; sleep 4711.5", timeout=0.3)) == "no end within 0.3 s"
    assert await gone("4711.5")


async def test_it_says_100_mib(make: Make) -> None:
    assert await failure(make("head -c 104857600 /dev/zero", timeout=10)) == "said more than 262144 octets"


async def test_it_fills_the_disk(make: Make, tmp_path: Path) -> None:
    cause = await failure(make("exec head -c 2000000 /dev/zero >big", file=1 << 20))
    assert "SIGXFSZ" in cause or "exit code" in cause
    assert left(tmp_path) == []


async def test_it_takes_more_memory_than_it_may(make: Make) -> None:
    script = "try:\n    bytearray({} << 20)\nexcept MemoryError:\n    raise SystemExit(9)"
    assert "exit code 9" in await failure(make(script.format(300), sys.executable, memory=200 << 20))
    assert await found(make(script.format(10), sys.executable, memory=200 << 20)) == [Finding("cmd", VIRUS_SCANNED)]


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("exit 3", "ended by exit code 3: it said nothing"),
        ("echo cannot load; exit 2", "ended by exit code 2: cannot load"),
        ("kill -SEGV $$", "SIGSEGV"),
        (r"printf '\033\n'; exit 2", r"ended by exit code 2: \x1b"),
    ],
)
async def test_ends_without_a_meaning(make: Make, script: str, cause: str) -> None:
    assert cause in await failure(make(script))


async def test_a_program_that_there_is_not(make: Make) -> None:
    check = make("exit 0")
    check.settings.program.unlink()
    assert "failed to execute" in await failure(check)
    (problem,) = await check.told(("scanners", 0))
    assert (problem.path, problem.severity) == (("scanners", 0, "program"), "error")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a program to another user")
async def test_it_runs_as_another_user(make: Make, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    script = 'test "$(id -un)" = nobody && test -r "$1" && touch here && ! touch /etc/of-the-tests'
    assert await found(make(script, arguments=("{file}",), user="nobody")) == [Finding("cmd", VIRUS_SCANNED)]


async def test_its_version_is_told(make: Make) -> None:
    (note,) = await make('test "$1" = -V && echo "Tool 1.2"', version=("-V",)).told(("scanners", 0))
    assert (note.severity, note.what) == ("note", "is Tool 1.2")


# Kept warm

WARM = """
import sys
for number, line in enumerate(sys.stdin):
    name = line.rstrip("\\n")
    text = open(name, "rb").read()
    {answer}
    sys.stdout.flush()
"""


def warm(make: Make, answer: str, **more: Any) -> CommandCheck:
    usual = {"mode": "lines", "found_pattern": r"^: (.+) FOUND$", "processes": 1, "timeout": 10}
    return make(WARM.format(answer=answer), sys.executable, **usual | more)


async def test_a_warm_program_looks_at_one_after_the_other(make: Make, tmp_path: Path) -> None:
    answer = 'print(f"{name}: " + ("Bad FOUND" if b"bad" in text else "OK")); open("/dev/null" if number else COUNT, "a").write("x")'
    check = warm(make, answer.replace("COUNT", repr(str(tmp_path / "starts"))))
    for raw, count in [(RAW, 1), (b"bad", 2), (RAW, 1)]:
        assert len(await found(check, raw)) == count
    assert (tmp_path / "starts").read_text() == "x"
    for each in check._warm:
        each.close()
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ("pass", "no end within 0.5 s"),
        ("sys.exit()", "ended without an answer"),
        ('print("other: OK")', "does not begin with the file's name"),
        ('print(f"{name}: what?")', "says neither clean nor found"),
        ('print(name + ": " + "x" * 999_999)', "said more than 262144 octets"),
        ('print(f"{name}: OK\\nsecond: OK")', ""),
    ],
    ids=["silent", "ends", "another file", "neither", "endless line", "one line too many"],
)
async def test_a_warm_program_that_fails_is_not_kept(make: Make, tmp_path: Path, answer: str, cause: str) -> None:
    check = warm(make, answer, timeout=0.5 if answer == "pass" else 10)
    if not cause:  # what it said too much is no answer to the next message
        assert await found(check) == [Finding("cmd", VIRUS_SCANNED)]
        cause = "does not begin with the file's name"
    assert cause in await failure(check)
    assert check._warm == []
    assert left(tmp_path) == []


async def test_warm_json_must_name_its_file(make: Make) -> None:
    good = 'import json; print(json.dumps({"id": name, "findings": []}))'
    assert await found(warm(make, good, answers="json")) == [Finding("cmd", SPAM_SCANNED)]
    assert "another message" in await failure(warm(make, "print('{\"findings\": []}')", answers="json"))


# Settings

ALLOWED = '[node]\nprograms = ["/bin/true"]\n'
TABLE = '[[scanners]]\nname = "c"\nkind = "command"\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TABLE + 'program = "/bin/true"\n', 'f:4: scanners[1].program "/bin/true" is not among node.programs'),
        (ALLOWED + TABLE + 'program = "true"\n', "f:6: scanners[1].program is no absolute path"),
        (ALLOWED + TABLE + 'program = "/bin/true"\nfound_pattern = "("\n', "f:7: scanners[1].found_pattern is no regular expression"),
        (ALLOWED + TABLE + 'program = "/bin/true"\nfound_codes = [0]\n', "f:7: scanners[1].found_codes has 0, which clean_codes has too"),
        (ALLOWED + TABLE + 'program = "/bin/true"\nmode = "lines"\n', "f:3: scanners[1].found_pattern is empty"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line_and_cure(text: str, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(text, "f", Settings, RULES)
    assert caught.value.lines[0].startswith(line)


def test_where_a_program_is_limited_is_looked_up_once_and_a_failure_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    found: dict[str, str] = {}
    monkeypatch.setattr("shutil.which", lambda name: (asked.append(name), found.get(name))[1])
    limits = Limits(1 << 20, 7, 7, 7)
    for _ in range(2):
        with pytest.raises(ProgramError, match="install util-linux"):
            limited(["x"], limits)
    found |= {"setpriv": "/bin/setpriv", "prlimit": "/bin/prlimit"}
    asked.clear()
    one, other = limited(["x", "y"], limits), limited(["z"], limits)
    assert (one[0], one[-2:], other[:-1]) == ("/bin/setpriv", ["x", "y"], one[:-2])
    assert asked == ["setpriv", "prlimit"]
