"""What a run of the tests says at its end: skips in CI, tests left out for want of corpora."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers.gateway import ROOT

pytestmark = pytest.mark.slow  # each starts a pytest of its own

SKIPS = """
import pytest

def test_runs():
    pass

def test_needs_a_peer():
    pytest.skip("exim is not installed")
"""
SKIPS_AT_ONCE = """
import pytest

pytest.skip("exim is not installed", allow_module_level=True)
"""
EXPECTED_TO_FAIL = """
import pytest

@pytest.mark.xfail
def test_known():
    assert False
"""
NEEDS_CORPORA = """
import pytest

def test_runs():
    pass

@pytest.mark.corpus
def test_reads_them(corpora):
    assert corpora.is_dir()
"""


def run(folder: Path, source: str, **environment: str) -> tuple[int, str]:
    (folder / "test_small.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    corpus: as in the project\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "CI": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(("ci", "code", "closing"), [("", 0, "1 passed, 1 skipped"), ("true", 1, "1 failed, 1 passed")])
def test_a_skip_fails_in_ci(tmp_path: Path, ci: str, code: int, closing: str) -> None:
    ended, output = run(tmp_path, SKIPS, CI=ci)
    assert ended == code
    assert closing in output
    assert ("With CI=true a skipped test is a failure." in output) is (ci == "true")


def test_a_module_that_skips_itself_fails_in_ci(tmp_path: Path) -> None:
    ended, output = run(tmp_path, SKIPS_AT_ONCE, CI="true")
    assert ended != 0
    assert "exim is not installed" in output


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    ended, output = run(tmp_path, EXPECTED_TO_FAIL, CI="true")
    assert ended == 0
    assert "1 xfailed" in output


def test_without_corpora_their_tests_are_left_out_loudly(tmp_path: Path) -> None:
    ended, output = run(tmp_path, NEEDS_CORPORA, CI="true", MPP_CORPORA=str(tmp_path / "none"))
    assert ended == 0
    assert re.search(r"^NO CORPORA at .*none: 1 tests", output, re.MULTILINE)
    assert "1 passed, 1 deselected" in output


def test_with_corpora_they_run(tmp_path: Path) -> None:
    ended, output = run(tmp_path, NEEDS_CORPORA, CI="true", MPP_CORPORA=str(tmp_path))
    assert ended == 0
    assert "2 passed" in output
    assert "NO CORPORA" not in output
