"""mpp settings show --for: the level and the revision of each value, as somebody's mail meets them."""

import json

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from mpp.gateway.load import load_settings
from mpp.gateway.revising import revise
from mpp.store.opening import open_store_catalog, prepare_store

BASE = """
[policies.strict]
reject_above = 9
[policies.acme]
virus = "quarantine"
[policies.mine]
report = true
[tenants.acme]
domains = ["acme.example", ".acme.example"]
policy = "acme"
[tenants.acme.keep]
spam = "3d"
[groups.staff]
tenant = "acme"
members = ["eve@acme.example"]
[[routes]]
domains = ["example.org", "acme.example"]
hosts = ["127.0.0.1:26"]
[[routes]]
domains = ["*"]
hosts = ["127.0.0.1:27"]
ours = false
"""
RULES = """
[[policy_rules]]
policy = "mine"
recipients = ["bob@example.org"]
[[policy_rules]]
policy = "strict"
recipients = ["example.org"]
[[policy_rules]]
policy = "strict"
groups = ["staff"]
"""


class Node:
    def __init__(self, folder):
        self.file = folder / "mpp.toml"
        self.head = f'[node]\ndata = "{folder}/data"\n[[listeners]]\nname = "mx"\naddress = "127.0.0.1:0"\n'
        self.write(BASE + RULES)

    def write(self, text):
        self.file.write_text(self.head + text, "utf-8")

    def serve(self):
        """What the gateway does at start and at reload."""
        settings = load_settings(self.file).settings
        prepare_store(settings.node.data, settings.store)
        catalog = open_store_catalog(settings.node.data, settings.store)
        try:
            return revise(catalog, settings, who="file", why="reload").revision.number
        finally:
            catalog.close()

    def show(self, recipient, *more, code=0):
        arguments = ["settings", "show", "--settings", str(self.file), "--for", recipient, *more]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == code, result.output + repr(result.exception)
        return result

    def objects(self, recipient, *more):
        lines = self.show(recipient, "--json", *more).stdout.splitlines()
        return {each["key"]: each for each in map(json.loads, lines)}


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


@pytest.mark.parametrize(
    ("recipient", "policy", "level", "by"),
    [
        ("bob@example.org", "mine", "user", "policy_rules[1]"),
        ("BOB@Example.org", "mine", "user", "policy_rules[1]"),
        ("eve@example.org", "strict", "domain", "policy_rules[2]"),
        ("eve@acme.example", "strict", "group", "policy_rules[3]"),
        ("zoe@sub.acme.example", "acme", "tenant", "tenants.acme.policy"),
        ("zoe@elsewhere.example", "default", "default", None),
    ],
)
def test_the_policy_and_the_level_that_chose_it(node, recipient, policy, level, by):
    node.serve()
    found = node.objects(recipient)["policy"]
    assert (found["value"], found["level"], found["by"]) == (policy, level, by)


def test_each_value_has_its_level(node):
    node.write(BASE + RULES + '[store]\nkeep_held = "20d"\n')
    node.serve()
    bob, zoe = node.objects("bob@example.org"), node.objects("zoe@acme.example")
    said = [(each["value"], each["level"], each["by"]) for each in (bob["policy.report"], bob["policy.reject_above"])]
    assert said == [(True, "user", "policies.mine.report"), (15.0, "default", None)]
    assert (bob["keep.spam"]["value"], bob["keep.spam"]["level"], bob["keep.spam"]["by"]) == (
        "20d",
        "file",
        "store.keep_held",
    )
    assert (zoe["keep.spam"]["value"], zoe["keep.spam"]["level"]) == ("3d", "tenant")
    assert (zoe["tenant"]["value"], zoe["tenant"]["by"]) == ("acme", "tenants.acme.domains")
    assert (zoe["policy.virus"]["value"], zoe["policy.virus"]["level"]) == ("quarantine", "tenant")
    assert (zoe["route.hosts"]["value"], zoe["route.hosts"]["level"]) == (["127.0.0.1:26"], "domain")
    assert node.objects("a@b.example")["route.hosts"]["level"] == "file"


def test_each_value_has_the_revision_that_set_it(node):
    node.serve()
    node.write(BASE.replace("reject_above = 9", "reject_above = 8") + RULES)
    assert node.serve() == 2
    # another rule before: places in the list change, and no value does
    node.write(
        BASE.replace("reject_above = 9", "reject_above = 8")
        + '[[policy_rules]]\npolicy = "acme"\ndirection = "outbound"\n'
        + RULES
    )
    assert node.serve() == 3
    node.write(BASE.replace("reject_above = 9", "reject_above = 8\nreport = true") + RULES)
    assert node.serve() == 4
    found = node.objects("eve@example.org")
    numbers = {
        key: found[key]["revision"] for key in ("policy", "policy.reject_above", "policy.report", "policy.virus")
    }
    assert numbers == {"policy": 1, "policy.reject_above": 2, "policy.report": 4, "policy.virus": None}
    assert found["policy.report"]["who"] == "file"
    line = next(line for line in node.show("eve@example.org").stdout.splitlines() if line.startswith("policy.report"))
    assert line.startswith("policy.report = true  # domain: policies.strict.report, revision 4 at 2")
    # back and forth: the last time counts
    node.write(BASE + RULES)
    assert node.serve() == 5
    assert node.objects("eve@example.org")["policy.reject_above"]["revision"] == 5


def test_the_catalog_holds_and_a_file_that_says_otherwise_is_told(node):
    node.serve()
    node.write(BASE.replace("reject_above = 9", "reject_above = 8") + RULES)
    result = node.show("eve@example.org")
    assert "policy.reject_above = 9.0" in result.stdout
    assert result.stderr == "revision 1 holds; the file says otherwise: mpp settings diff\n"


def test_without_a_catalog_the_file_is_shown(node):
    result = node.show("eve@example.org")
    assert "policy.reject_above = 9.0  # domain: policies.strict.reject_above\n" in result.stdout
    assert result.stderr.startswith("revisions are not known, the file's values are shown: ")


def test_listener_and_direction_have_a_say(node):
    node.write(BASE + '[[policy_rules]]\npolicy = "mine"\nlisteners = ["mx"]\ndirection = "outbound"\n')
    node.serve()
    assert node.objects("a@b.example")["policy"]["value"] == "default"
    found = node.objects("a@b.example", "--listener", "mx", "--direction", "outbound")["policy"]
    assert (found["value"], found["level"]) == ("mine", "file")


@pytest.mark.parametrize(
    ("recipient", "more", "words"),
    [
        ("a b@c", (), "--for: a b@c: "),
        ("a@b.example", ("--listener", "x"), "--listener: there is none of this name; there are: mx"),
    ],
)
def test_what_is_wrong_is_told(node, recipient, more, words):
    assert words in node.show(recipient, *more, code=1).stderr


def tenant(node, *arguments, code=0):
    result = CliRunner().invoke(app, ["settings", *arguments, "--settings", str(node.file), "--tenant", "acme"])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


def held(node):
    """What a gateway takes at its next look: the settings, and what of the tenants' is refused."""
    settings = load_settings(node.file).settings
    catalog = open_store_catalog(settings.node.data, settings.store)
    try:
        taken = revise(catalog, settings, who="file", why="reload")
    finally:
        catalog.close()
    return taken.settings.tenants["acme"], taken.tenants_refused


def test_a_tenant_has_revisions_of_its_own(node, tmp_path):
    text = BASE.replace('policy = "acme"\n', 'policy = "acme"\nmay_choose = ["strict", "acme"]\n')
    node.write(text + RULES)
    node.serve()
    own = tmp_path / "acme.toml"
    assert "There is no revision yet: the provider's settings hold." in tenant(node, "history")
    own.write_text('policy = "strict"\n[keep]\nspam = "5d"\n')
    assert tenant(node, "diff", str(own), code=1).splitlines() == [
        f'{own}:1: policy: "" -> "strict"', f'{own}:3: keep.spam: (not set) -> "5d"',
    ]  # fmt: skip
    assert tenant(node, "apply", str(own), "--why", "ours") == "revision 1 of acme holds\n"
    assert "says the same already" in tenant(node, "apply", str(own), "--why", "ours")
    acme, refused = held(node)
    assert (acme.policy, acme.keep.spam, refused) == ("strict", 5 * 86400.0, ())
    assert node.serve() == 1, "the provider's own revisions stay as they are"
    found = node.objects("zoe@acme.example")
    assert [(found[key]["value"], found[key]["level"], found[key]["revision"], found[key]["tenant"]) for key in ("keep.spam", "policy")] == [
        ("5d", "tenant", 1, "acme"), ("strict", "tenant", 1, "acme"),
    ]  # fmt: skip
    assert (found["policy.reject_above"]["value"], found["tenant"]["tenant"]) == (9.0, "default")
    own.write_text('[keep]\nspam = "6d"\n')
    tenant(node, "apply", str(own), "--why", "more")
    assert (held(node)[0].policy, held(node)[0].keep.spam) == ("acme", 6 * 86400.0)
    assert "says what revision 1 said" in tenant(node, "rollback", "1", "--why", "back")
    assert held(node)[0].keep.spam == 5 * 86400.0
    assert [json.loads(line)["revision"] for line in tenant(node, "history", "--json").splitlines()] == [3, 2, 1]


def test_what_a_tenant_may_not_say_is_refused_and_what_it_may_not_say_any_more_does_not_hold(node, tmp_path):
    text = BASE.replace('policy = "acme"\n', 'policy = "acme"\nmay_choose = ["strict"]\n')
    node.write(text + RULES)
    node.serve()
    own = tmp_path / "acme.toml"
    own.write_text('policy = "mine"\n[limits]\nrecipients = 1\n')
    told = tenant(node, "apply", str(own), "--why", "x", code=1)
    assert f'{own}:1: policy "mine" is not yours to choose; write one of: strict' in told
    assert f"{own}:2: limits is no setting" in told
    own.write_text('policy = "strict"\n')
    tenant(node, "apply", str(own), "--why", "x")
    node.write(BASE + RULES)  # the provider lets it choose no more
    acme, refused = held(node)
    assert acme.policy == "acme"
    assert refused == (
        'revision 1 of acme:1: policy "strict" is not yours to choose; write one of: none; the provider sets tenants.NAME.may_choose',
    )
