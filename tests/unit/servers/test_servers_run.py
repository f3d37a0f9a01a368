"""What a run of the tests says at its end, and whether it is a failure: skips in CI, tests left out for want of corpora."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers.gateway import ROOT

pytestmark = pytest.mark.slow  # three runs of pytest

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


NO_FAULT = {"expected": EXPECTED_TO_FAIL, "corpora": NEEDS_CORPORA}
ALL = {"skips": SKIPS, "skips_at_once": SKIPS_AT_ONCE, **NO_FAULT}


def run(folder: Path, sources: dict[str, str], **environment: str) -> tuple[int, str]:
    """Run them; return the exit code and what it said, with a line for each test."""
    for name, source in sources.items():
        (folder / f"test_{name}.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    corpus: as in the project\n")
    options = ["-v", "-p", "conftest", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def in_ci(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """Without corpora."""
    folder = tmp_path_factory.mktemp("in-ci")
    return run(folder, ALL, CI="true", MPP_CORPORA=str(folder / "none"))


@pytest.fixture(scope="module")
def in_ci_without_skips(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """Without corpora too."""
    folder = tmp_path_factory.mktemp("in-ci-without-skips")
    return run(folder, NO_FAULT, CI="true", MPP_CORPORA=str(folder / "none"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """With corpora."""
    folder = tmp_path_factory.mktemp("elsewhere")
    return run(folder, ALL, CI="", MPP_CORPORA=str(folder))


def test_a_skip_fails_in_ci(in_ci: tuple[int, str], elsewhere: tuple[int, str]) -> None:
    assert in_ci[0] == 1
    assert "test_skips.py::test_needs_a_peer FAILED" in in_ci[1]
    assert "test_skips.py::test_runs PASSED" in in_ci[1]
    assert re.search(
        r"^Skipped: exim is not installed\nWith CI=true a skipped test is a failure\.", in_ci[1], re.MULTILINE
    )
    assert elsewhere[0] == 0
    assert "test_skips.py::test_needs_a_peer SKIPPED" in elsewhere[1]
    assert "With CI=true" not in elsewhere[1]


def test_a_module_that_skips_itself_fails_in_ci(in_ci: tuple[int, str], elsewhere: tuple[int, str]) -> None:
    assert re.search(r"^ERROR test_skips_at_once.py - ", in_ci[1], re.MULTILINE)
    assert "ERROR" not in elsewhere[1]


def test_an_expected_failure_is_no_skip(in_ci_without_skips: tuple[int, str]) -> None:
    assert in_ci_without_skips[0] == 0
    assert "test_expected.py::test_known XFAIL" in in_ci_without_skips[1]


def test_without_corpora_their_tests_are_left_out_loudly(in_ci_without_skips: tuple[int, str]) -> None:
    assert in_ci_without_skips[0] == 0
    assert re.search(r"^NO CORPORA at .*none: 1 tests", in_ci_without_skips[1], re.MULTILINE)
    assert "test_corpora.py::test_runs PASSED" in in_ci_without_skips[1]
    assert "test_reads_them" not in in_ci_without_skips[1]


def test_with_corpora_they_run(elsewhere: tuple[int, str]) -> None:
    assert "test_corpora.py::test_reads_them PASSED" in elsewhere[1]
    assert "NO CORPORA" not in elsewhere[1]
