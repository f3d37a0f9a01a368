"""The locked requirements: everything with hashes, from no particular index, and nothing that pyproject names left out."""

import re
import tomllib

import pytest

from servers.gateway import ROOT

FILES = ["requirements.txt", "requirements-build.txt", "requirements-dev.txt", "requirements-bench.txt"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NAME = re.compile(r"^([a-z0-9][a-z0-9.-]*)==\S+", re.MULTILINE)


def locked(file: str) -> set[str]:
    return set(NAME.findall((ROOT / file).read_text("utf-8")))


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", each)[0].lower() for each in requirements}


@pytest.mark.parametrize("file", FILES)
def test_every_requirement_has_a_version_and_hashes(file: str) -> None:
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / file).read_text("utf-8"))
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert NAME.match(requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


@pytest.mark.parametrize("file", FILES)
def test_no_index_is_named(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert not re.search(r"://|^\s*-", re.sub(r"(?m)^\s*--hash=.*$|^\s*#.*$", "", text), re.MULTILINE)
    assert "://" not in text


def test_what_the_project_names_is_locked() -> None:
    assert named(PROJECT["project"]["dependencies"]) <= locked("requirements.txt")
    assert named(PROJECT["dependency-groups"]["build"]) <= locked("requirements-build.txt")
    assert named(PROJECT["project"]["optional-dependencies"]["dev"]) <= locked("requirements-dev.txt")


def test_the_files_agree_on_versions() -> None:
    versions: dict[str, set[str]] = {}
    for file in FILES:
        for line in re.findall(r"^[a-z0-9][a-z0-9.-]*==\S+", (ROOT / file).read_text("utf-8"), re.MULTILINE):
            name, _, version = line.partition("==")
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
