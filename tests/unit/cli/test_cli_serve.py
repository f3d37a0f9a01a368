"""mpp serve: which settings the supervisor gets, and what is printed instead."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpp.cli.app import app
from mpp.gateway import supervisor
from mpp.gateway.worker import run_worker

LEAST = ["serve", "--listen", "127.0.0.1:2525", "--next-hop", "127.0.0.1:10026", "--data", "/data"]
run = CliRunner().invoke


@pytest.fixture
def supervised(monkeypatch):
    calls = []

    def supervise(settings, path, worker, background):
        calls.append((settings, path, worker))
        return 3

    monkeypatch.setattr(supervisor, "supervise", supervise)
    return calls


def test_options_reach_the_supervisor_and_its_status_is_ours(supervised):
    result = run(app, [*LEAST, "--workers", "2", "--domain", "example.org", "--trust", "::1", "--trust", "10.0.0.0/8"])
    assert result.exit_code == 3
    ((settings, path, worker),) = supervised
    assert (path, worker) == (None, run_worker)
    assert settings.node.workers == 2
    assert [str(network) for network in settings.networks.trusted] == ["::1/128", "10.0.0.0/8"]


def test_a_file_reaches_the_supervisor_with_its_path(supervised, tmp_path):
    file = tmp_path / "m.toml"
    file.write_text(run(app, [*LEAST, "--print-settings"]).stdout)
    assert run(app, ["serve", "--settings", str(file)]).exit_code == 3
    ((settings, path, _),) = supervised
    assert path == file
    assert settings.node.data == Path("/data")


def test_print_settings_starts_nothing(supervised):
    result = run(app, [*LEAST, "--no-checks", "--print-settings"])
    assert (result.exit_code, supervised) == (0, [])
    assert result.stdout == (
        "checks = false\n"
        "\n[node]\n"
        'data = "/data"\n'
        "\n[networks]\n"
        "relay_all = true\n"
        "\n[[listeners]]\n"
        'name = "listener"\n'
        'address = "127.0.0.1:2525"\n'
        "\n[[routes]]\n"
        'domains = ["*"]\n'
        'hosts = ["127.0.0.1:10026"]\n'
        "ours = false\n"
    )


def test_relative_files_are_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = run(app, [*LEAST[:-1], "d", "--print-settings"])
    assert f'data = "{tmp_path}/d"' in result.stdout


def test_faults_start_nothing(supervised):
    result = run(app, [*LEAST, "--trust", "x"])
    assert (result.exit_code, supervised) == (1, [])
    assert result.stderr.startswith('--trust "x" ')


def test_without_data_a_folder_here_is_taken_and_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*LEAST[:-2], "--print-settings"])
    assert result.exit_code == 0
    assert f'data = "{tmp_path}/mpp-data"' in result.stdout
    assert "./mpp-data" in result.stderr
