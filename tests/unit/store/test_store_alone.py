"""A data folder belongs to gateways, or to one command; the kernel says when that is over."""

import subprocess
import sys

import pytest

from mpp.store.alone import InUseError, alone, join


def test_several_gateways_and_no_command_beside_them(tmp_path):
    first, second = (subprocess.Popen(_holding(tmp_path), stdout=subprocess.PIPE, stdin=subprocess.PIPE) for _ in "ab")
    for each in (first, second):
        assert each.stdout.readline() == b"joined\n"
    for each in (first, second):
        with pytest.raises(InUseError, match="a gateway runs on"), alone(tmp_path):
            pass
        each.kill()
        each.communicate()
    with alone(tmp_path):
        pass


def _holding(folder):
    program = f"from pathlib import Path; from mpp.store.alone import join; join(Path({str(folder)!r})); print('joined', flush=True); input()"
    return [sys.executable, "-c", program]


def test_one_command_and_no_gateway_beside_it(tmp_path):
    with alone(tmp_path):
        with pytest.raises(InUseError, match="another command"), alone(tmp_path):
            pass
        with pytest.raises(InUseError, match="try again when that has ended"):
            join(tmp_path)
    with pytest.raises(ZeroDivisionError), alone(tmp_path):
        raise ZeroDivisionError
    with alone(tmp_path):
        pass
