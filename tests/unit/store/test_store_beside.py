"""What runs beside is waited for, its fault is told, and the next call is run all the same."""

import os
import threading

import pytest

from mpp.store.beside import Beside


def fail():
    raise OSError("the disk is gone")


def test_what_was_begun_is_done_after_waiting():
    beside, ran = Beside("test"), []
    for n in range(3):
        beside.begin(lambda n=n: ran.append((n, threading.current_thread().name)))
        beside.wait()
        assert ran[-1] == (n, "test")
    beside.close()


def test_a_fault_is_told_once_and_the_thread_goes_on():
    beside, ran = Beside("test"), []
    beside.begin(fail)
    with pytest.raises(OSError, match="the disk is gone"):
        beside.wait()
    beside.begin(lambda: ran.append(1))
    beside.wait()
    beside.close()
    assert ran == [1]


def test_both_run_at_the_same_time():
    """Each end of the pipes waits for the other."""
    (here, there), (back, forth) = os.pipe(), os.pipe()
    beside = Beside("test")
    beside.begin(lambda: os.write(forth, os.read(here, 1)))
    os.write(there, b"x")
    assert os.read(back, 1) == b"x"
    beside.wait()
    beside.close()
    for descriptor in (here, there, back, forth):
        os.close(descriptor)
