"""What the bench can be asked for: each module starts by itself, each name is described, and what is missing is left out."""

import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench import postgresql, quarantine, trace
from bench.run import BENCHES
from bench.stand import Stand

ROOT = Path(bench.__file__).parent.parent


@pytest.mark.parametrize("module", ["bench.quarantine", "bench.trace", "bench.run"])
def test_a_module_finds_the_servers_of_the_tests_by_itself(module: str) -> None:
    ended = subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_every_name_is_in_the_page() -> None:
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    listed = page.partition("Names: ")[2].partition(". ")[0].split()
    assert listed == [f"`{name}`" for name in BENCHES]
    assert "quarantine" in BENCHES


def test_without_postgresql_its_rows_alone_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "binaries", lambda: None)
    monkeypatch.setattr(quarantine, "QUICK", 40)
    monkeypatch.setattr(trace, "QUICK", 2 * trace.DAYS)
    for name in ("quarantine", "trace"):
        with Stand(quick=True) as stand:
            *rows, last = BENCHES[name](stand)
        assert last.measured == "left out: no postgresql: packaging/apt.sh peers"
        assert any(row.target and "SQLite" in row.name for row in rows)
        assert not any("PostgreSQL" in row.name for row in rows)
