"""`mpp check` on the background process: what fails and what is late is told, and nothing where there is nothing to tell."""

import json
from pathlib import Path

import pytest

from mpp.gateway.settings import Settings
from mpp.gateway.work import LATE_S, background
from mpp.settings.common import Node
from mpp.store.background import open_tasks
from mpp.store.clock import now_ms
from mpp.store.settings import Store


def told(folder: Path, work: dict[str, dict[str, object]], now: float) -> list[str]:
    tasks = open_tasks(Store(), folder, "node")
    tasks.tell(json.dumps(work))
    tasks.close()
    return [problem.text for problem in background(Settings(node=Node(data=folder)), now)]


def test_a_node_that_never_ran_has_no_problems(tmp_path: Path):
    assert list(background(Settings(node=Node(data=tmp_path)), 0.0)) == []


@pytest.mark.parametrize(
    ("ago", "error", "words"),
    [(1.0, "", ""), (1.0, "disk\x1b full", "fails: disk\\x1b full"), (LATE_S + 60, "", "was last done 960 s ago")],
)
def test_what_fails_or_is_late_is_told(tmp_path: Path, ago: float, error: str, words: str):
    now = now_ms() / 1000
    found = told(tmp_path, {"load traces": {"last": int((now - ago) * 1000), "error": error}}, now)
    assert (found == []) == (not words)
    assert all(words in text and "load traces" in text for text in found)
