import json
import tomllib

import pytest
from typer.testing import CliRunner

from mpp.cli.workbench import app
from mpp.gateway.load import load_settings
from mpp.gateway.trial import Trial, message_of, sample_problems

SPAM = b"Received: x\r\nFrom: a@b.example\r\nTo: r@c.example\r\nMessage-ID: <%d@b>\r\nX-Mailer: Bulk 1.0\r\nSubject: offer %d\r\n\r\nbuy our fine pills now, number %d\r\n"
HAM = b"From: h@b.example\r\nTo: r@c.example\r\nMessage-ID: <h%d@b>\r\nX-Mailer: Good\r\nSubject: lunch %d\r\n\r\nsee you now, number %d\r\n"


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def box(tmp_path):
    path = tmp_path / "spam.mbox"
    mails = [
        b"From a@b.example Mon Jan  1 00:00:00 2024\n" + (SPAM % (n, n, n)).replace(b"\r\n", b"\n") for n in range(5)
    ]
    path.write_bytes(b"\n".join(mails))
    return path


@pytest.fixture
def ham(tmp_path):
    folder = tmp_path / "ham"
    folder.mkdir()
    for n in range(5):
        (folder / f"{n}.eml").write_bytes(HAM % (n, n, n))
    return folder


@pytest.fixture
def settings(tmp_path):
    def write(text):
        path = tmp_path / f"{abs(hash(text))}.toml"
        path.write_text(f'[node]\ndata = "{tmp_path / "data"}"\n{text}')
        return path

    return write


PILLS = '[[filters]]\nname = "pills"\nwhere = "body"\nmatch = ["(pills)"]\naction = "quarantine"\n'


def test_a_rule_shows_what_it_would_match(box, ham, settings):
    result = run("test", "pills", "--on", box, "--on", ham, "--settings", settings(PILLS), "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["mail"], row["matched"], row["disposition"]) for row in rows[:1]] == [
        (f"{box}:1", "pills", "quarantine")
    ]
    assert (len(rows), result.exit_code) == (5, 0)


def test_a_pattern_can_be_tried_without_settings(ham):
    assert run("test", "subject=^lunch [0-3]", "--on", ham).stdout.count("lunch") == 4
    assert run("test", "subject=a(b", "--on", ham).exit_code == 2
    assert run("test", "nothing", "--on", ham).exit_code == 2
    assert run("test", "subject=never", "--on", ham).exit_code == 1


def test_replay_names_the_mails_that_would_fare_differently(box, ham, settings):
    result = run("replay", "--on", box, "--on", ham, "--settings", settings(""), "--new", settings(PILLS), "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["message_id"] for row in rows] == [f"<{n}@b>" for n in range(5)]
    assert {(row["was"], row["becomes"], row["by"]) for row in rows} == {("deliver", "quarantine", "filters.pills")}
    assert "5 of 10" in result.stderr
    assert result.exit_code == 1
    same = settings(PILLS + "score = 1\n")
    assert run("replay", "--on", box, "--settings", settings(PILLS), "--new", same).exit_code == 0


def test_what_mails_have_in_common_is_suggested(box, ham):
    result = run("suggest", "--these", box, "--not", ham, "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert (rows[0]["hits"], rows[0]["false"]) == (5, 0)
    tried = run("test", f"{rows[0]['where']}={rows[0]['pattern']}", "--on", box, "--on", ham, "--json")
    assert len(tried.stdout.splitlines()) == 5


def test_stats_tell_what_never_held_what_is_slow_and_what_is_alike(tmp_path, settings):
    data = tmp_path / "data" / "filters"
    data.mkdir(parents=True)
    (data / "0.json").write_text('{"since": 1, "messages": 10, "rules": {"pills": [4, 0.001, 1, 5.0]}}')
    alike = '[[filters]]\nname = "s"\nwhere = "body"\nmatch = ["x\\\\Ky"]\n[[filters]]\nname = "t"\nwhere = "body"\nmatch = ["(pills)"]\n'
    (tmp_path / "table").write_text("/plain/ REJECT\n/a\\Kb/i REJECT\n")
    alike += f'[[filters]]\nname = "m"\nwhere = "header"\nmap = "pcre:{tmp_path / "table"}"\n'
    result = run("stats", "--settings", settings(PILLS + alike), "--json")
    rows = {row["rule"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert (rows["pills"]["hits"], rows["pills"]["share"], rows["pills"]["cost_us"]) == (4, 0.4, 250.0)
    assert rows["pills"]["like"] == ["t"]
    assert rows["s"]["slow"] == ["x\\Ky"]
    assert rows["m"]["slow"] == ["/a\\Kb/i"]
    assert "t: 0 (0.00%); never held" in run("stats", "--settings", settings(PILLS + alike)).stdout


TWO = """
[[filters]]
name = "early"
where = "subject"
match = ["pills"]
action = "reject"
[[filters]]
name = "late"
where = "subject"
match = ["cheap pills"]
action = "quarantine"
[[filters]]
name = "copies"
where = "subject"
match = ["cheap pills"]
action = ["quarantine", "copy"]
to = ["ann@example.org"]
[[filters]]
name = "tries"
where = "subject"
match = ["cheap pills"]
action = "quarantine"
dry_run = true
"""


def test_stats_tell_which_rules_never_decide(tmp_path, settings):
    folder = tmp_path / "data" / "filters"
    folder.mkdir(parents=True, exist_ok=True)
    mail = b"To: bob@example.org\r\nSubject: %s\r\n\r\n"
    trial = Trial(load_settings(settings(TWO)).settings)
    for subject in (b"cheap pills", b"cheap pills", b"pills"):
        trial.judge(message_of(mail % subject))
    trial.rules.count.write(folder / "0.json")
    rows = {
        row["rule"]: row
        for row in map(json.loads, run("stats", "--settings", settings(TWO), "--json").stdout.splitlines())
    }
    assert {name: row["shadowed_by"] for name, row in rows.items()} == {
        "early": None, "late": "early", "copies": None, "tries": None,
    }  # fmt: skip
    told = run("stats", "--settings", settings(TWO)).stdout
    assert "late: 2 (66.67%)" in told
    assert "shadowed: whenever it held, early decided" in told


TABLE = """/^Subject: (.*) pills$/ REJECT 5.7.1 no $1
/^X-Spam: yes/i HOLD
if /^Received/
/bad/ REJECT
endif
!/^[A-Z]/ REJECT
/^X-Old/ IGNORE
/^From: a/ REDIRECT x@y.example
/broken( REJECT
/x/ FILTER smtp:y
"""


def test_a_table_becomes_rules_and_the_rest_is_told(tmp_path, settings):
    table = tmp_path / "header_checks"
    table.write_text(TABLE)
    result = run("import", "header_checks", table)
    rules = tomllib.loads(result.stdout)["filters"]
    assert [(rule["action"], rule.get("case", False)) for rule in rules] == [
        (["reject"], False),
        (["quarantine"], True),
        (["redirect"], False),
    ]
    assert rules[0]["text"] == "554 5.7.1 no ${1}"
    for line in (4, 6, 7, 9, 10):
        assert f"line {line}: " in result.stderr
    assert load_settings(settings(result.stdout)).settings.filters[2].to == ("x@y.example",)
    live = run("import", "header_checks", f"regexp:{table}", "--live")
    assert tomllib.loads(live.stdout)["filters"][0]["map"] == f"regexp:{table}"
    assert run("import", "nonsense", table).exit_code == 2


def test_samples_that_would_break_are_named(tmp_path, settings):
    (tmp_path / "a.eml").write_bytes(SPAM % (1, 1, 1))
    text = f'{PILLS}[[samples]]\nname = "a"\nfile = "{tmp_path}/a.eml"\nmust = "arrive"\n'
    (problem,) = sample_problems(load_settings(settings(text)).settings)
    assert problem.path == ("samples", 0, "must")
    assert "quarantine by filters.pills" in problem.what
    assert list(sample_problems(load_settings(settings(text.replace('"arrive"', '"be-held"'))).settings)) == []
    (problem,) = sample_problems(load_settings(settings(text.replace("a.eml", "none"))).settings)
    assert problem.path == ("samples", 0, "file")
