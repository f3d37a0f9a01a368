"""mpp.cli: the command as a user runs it."""

import os
import signal
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mpp import __version__
from mpp.cli.app import app

run = CliRunner().invoke


def mpp(*arguments, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "mpp", *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more
    )


def test_version():
    assert run(app, ["--version"]).output == f"mpp {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["serve", "-h"], ["scan", "--help"], ["check", "--help"], ["settings", "--help"]]
)
def test_help(arguments):
    result = run(app, arguments)
    assert result.exit_code == 0
    assert "Usage: " in result.output


def test_a_fault_in_the_use_is_told_on_stderr():
    result = run(app, ["serve", "--lisen", "x"])
    assert result.exit_code == 2
    assert "--listen" in result.stderr
    assert result.stdout == ""


def test_the_version_needs_no_model():
    code = "import sys; from mpp.cli.app import app; print(*sorted({'pydantic', 'asyncio', 'rich.table', 'uvloop'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_ctrl_c_is_quiet(tmp_path):
    fifo = tmp_path / "mail"
    os.mkfifo(fifo)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background has it ignored, and children too
    process = mpp("scan", str(fifo))
    signal.signal(signal.SIGINT, before)
    with process:
        writer = os.open(fifo, os.O_WRONLY)  # returns when mpp reads the file
        process.send_signal(signal.SIGINT)
        try:
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            os.close(writer)
    assert (process.returncode, output, errors) == (130, "", "")


def test_a_closed_pipe_is_quiet():
    with mpp("settings", "example") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


def commands(group, name="mpp"):
    yield name, group
    for each in getattr(group, "commands", {}).items():
        yield from commands(each[1], f"{name} {each[0]}")


def test_json_means_the_same_to_every_command():
    told = {
        name: option.help
        for name, command in commands(get_command(app))
        for option in command.params
        if "--json" in option.opts
    }
    assert len(told) > 20
    assert set(told.values()) == {"One JSON object a line."}, told
