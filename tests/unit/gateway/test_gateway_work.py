"""`mpp check` on the background process: what fails, what is silent and what says nothing is told, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from mpp.gateway.settings import Settings
from mpp.gateway.silence import LATE_S
from mpp.gateway.work import GONE_S, background
from mpp.settings.common import Node
from mpp.store.background import open_tasks
from mpp.store.clock import now_ms
from mpp.store.settings import Store


def told(folder: Path, work: dict[str, Any], now: float, node: str = "node", **more: Any) -> list[str]:
    tasks = open_tasks(Store(), folder, node)
    tasks.tell(json.dumps(work))
    tasks.close()
    settings = Settings.model_validate({"node": {"data": str(folder), "hostname": "node"}, **more})
    return [problem.text for problem in background(settings, now)]


def test_a_node_that_never_ran_has_no_problems(tmp_path: Path):
    assert list(background(Settings(node=Node(data=tmp_path)), 0.0)) == []


@pytest.mark.parametrize(("error", "words"), [("", ""), ("disk\x1b full", "fails: disk\\x1b full")])
def test_what_fails_is_told(tmp_path: Path, error: str, words: str):
    found = told(tmp_path, {"tasks": {"load traces": {"last": 1, "error": error}}}, now_ms() / 1000)
    assert (found == []) == (not words)
    assert all(words in text and "load traces" in text for text in found)


SILENT = {"tasks": {}, "silent": [{"of": "mail", "text": "no message\x1b came for 2 h"}]}


def test_an_alarm_is_told_with_its_cure(tmp_path: Path):
    (text,) = told(tmp_path, SILENT, now_ms() / 1000)
    assert text.startswith("silence.mail has an alarm of node node: no message\\x1b came for 2 h; see that mail")


def test_a_process_that_says_nothing_is_told_instead_of_what_it_said_then(tmp_path: Path):
    now = now_ms() / 1000 + LATE_S + 3630
    (text,) = told(tmp_path, SILENT, now)
    assert "has an alarm: the background process of node node has said nothing for 1 h 15 min; start the" in text
    assert told(tmp_path, SILENT, now, silence={"background": "off"}) != [text]


@pytest.mark.parametrize(("node", "lines"), [("node", 1), ("other", 0)])
def test_another_node_that_was_taken_away_is_forgotten(tmp_path: Path, node: str, lines: int):
    assert len(told(tmp_path, SILENT, now_ms() / 1000 + GONE_S + 1, node)) == lines


def test_what_an_earlier_version_wrote_hinders_nothing(tmp_path: Path):
    assert told(tmp_path, {"load traces": {"last": 1, "error": "x"}}, now_ms() / 1000) == []
