"""Kinds of scanners: told apart in the settings, with faults in the operator's words; and kinds that others bring."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mpp.checks.scanners.kinds import KINDS, OURS
from mpp.gateway.rules import RULES
from mpp.gateway.settings import Settings
from mpp.settings.explain import kind_of
from mpp.settings.read import SettingsError, load

DOCS = Path(__file__).parents[3] / "docs/scanners.md"


def faults(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(text, "f", Settings, RULES)
    return list(caught.value.lines)


SPAMD = '[[scanners]]\nname = "s"\nkind = "spamd"\nservers = ["h:783"]\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SPAMD.replace('"spamd"', '"spamdd"'), 'f:3: scanners[1].kind "spamdd" is not one of its values; did you mean "spamd"?'),
        (SPAMD.replace('kind = "spamd"\n', ""), "f:1: scanners[1].kind is missing and has no default; add it"),
        (SPAMD.replace('kind = "spamd"', "kind = 3"), 'f:3: scanners[1].kind "3" is not one of its values; write one of'),
        (SPAMD + "spam_signatures = []\n", 'f:5: scanners[1].spam_signatures is no setting of kind "spamd"; remove it; kind "clamd"'),
        (SPAMD + "userr = 1\n", 'f:5: scanners[1].userr is no setting; did you mean "user"?'),
        (SPAMD + "hosts = 1\n", "f:5: scanners[1].hosts is no setting here; write it as routes.hosts"),
        (SPAMD + "spamd = 1\n", "f:5: scanners[1].spamd is no setting; "),
        (SPAMD + "layer = 10\n", "f:5: scanners[1].layer 10 is out of range; write at most 9"),
        (SPAMD.replace('"h:783"', '"h:783", "x"'), 'f:4: scanners[1].servers[2] "x" is no address'),
        (SPAMD.replace('servers = ["h:783"]\n', ""), "f:1: scanners[1].servers is missing and has no default; add it"),
        (SPAMD + 'user = "fixed"\n', 'f:1: scanners[1].user_name goes with user = "fixed" and only with it'),
        (SPAMD.replace("spamd", "clamd").replace("h:", "tls:h:"), "f:4: scanners[1].servers[1] asks for TLS, which clamd does not speak"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line_and_cure(text, line):
    (told,) = faults(text)
    assert told.startswith(line)
    assert "; " in told


def test_every_kind_has_a_name_of_its_own():
    names = [kind_of(kind) for kind in KINDS]
    assert all(names)
    assert len(set(names)) == len(names)


def installed(folder: Path, module: str, value: str = "loud:Loud") -> dict[str, str]:
    """What `pip install` leaves of a package with that module; the environment in which it is found."""
    (folder / "loud.py").write_text(module)
    (folder / "loud-1.0.dist-info").mkdir()
    (folder / "loud-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (folder / "loud-1.0.dist-info/entry_points.txt").write_text(f"[mpp.scanners]\nloud = {value}\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


def mpp(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mpp", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_examples_of_the_documentation_hold():
    examples = re.findall(r"```toml\n(\[\[scanners.*?)```", DOCS.read_text(), re.DOTALL)
    loaded = [load(text, "docs", Settings) for text in examples]
    assert [each.warnings for each in loaded] == [()] * len(examples)
    assert {scanner.kind for each in loaded for scanner in each.settings.scanners} == {kind_of(kind) for kind in OURS}


def example() -> str:
    found = re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    return found[1]


def test_the_example_of_the_documentation_is_a_kind_like_any_other(tmp_path):
    environment = installed(tmp_path, example())
    settings, mail = tmp_path / "mpp.toml", tmp_path / "mail.eml"
    settings.write_text('[[scanners]]\nname = "l"\nkind = "loud"\npoints = 2\n')
    mail.write_bytes(b"Subject: Buy! Now!\r\n\r\ntext\r\n")
    scanned = mpp(environment, "scan", "--json", "--settings", settings, mail)
    findings = json.loads(scanned.stdout)["findings"]
    assert [(each["check"], each["symbol"], each["score"]) for each in findings] == [("l", "LOUD", 4.0)]
    assert "Points for each exclamation mark" in mpp(environment, "settings", "docs").stdout
    settings.write_text('[[scanners]]\nname = "l"\nkind = "loud"\npoints = "2"\n')
    told = mpp(environment, "settings", "check", settings).stderr
    assert 'scanners[1].points is the text "2", not a number' in told


@pytest.mark.parametrize(
    ("module", "value", "cause"),
    [
        ("import no_such_module", "loud:Loud", "cannot be loaded: ModuleNotFoundError(\"No module named 'no_such_module'\")"),
        ("1 / 0", "loud:Loud", "cannot be loaded: ZeroDivisionError("),
        ("", "loud:Loud", "cannot be loaded: AttributeError(\"module 'loud' has no attribute 'Loud'\")"),
        ("Loud = 3", "loud:Loud", "names no model with a kind of its own"),
        ("from mpp.checks.scanners.kinds import Spamd", "loud:Spamd", 'brings kind "spamd", which there is already'),
    ],
)  # fmt: skip
def test_an_extension_that_is_none_is_named_and_the_rest_holds(tmp_path, module, value, cause):
    settings = tmp_path / "mpp.toml"
    settings.write_text(SPAMD)
    told = mpp(installed(tmp_path, module, value), "settings", "check", settings)
    assert (
        f'warning: scanners has a broken extension: entry point "loud" of mpp.scanners ({value}) {cause}' in told.stderr
    )
    assert told.returncode == 0
