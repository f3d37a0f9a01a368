"""The doors, what of them can be seen without a client: a pause for want of descriptors."""

import asyncio
import errno

import pytest

from mpp.gateway import doors as doors_module
from mpp.gateway.doors import Doors
from mpp.gateway.settings import Listener
from mpp.settings.values import Endpoint


class FullSocket:
    """A listening socket in a process without descriptors."""

    asked = 0

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def setblocking(self, _flag: bool) -> None:
        pass

    def accept(self):
        self.asked += 1
        raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize(("closed", "asked"), [(False, True), (True, False)])
async def test_a_door_that_was_closed_in_the_pause_stays_closed(closed, asked, monkeypatch):
    monkeypatch.setattr(doors_module, "PAUSE_S", 0.01)
    loop, readers = asyncio.get_running_loop(), set()
    monkeypatch.setattr(loop, "add_reader", lambda number, *_: readers.add(number))
    monkeypatch.setattr(loop, "remove_reader", readers.discard)
    doors = Doors(None, None, None, None)
    listener, full = Listener(name="in", address=Endpoint("smtp", "127.0.0.1", 25)), FullSocket(7)
    doors.open(listener, full)
    doors._accept(listener, full)
    assert (full.asked, readers) == (1, set())
    if closed:
        doors.close()
    await asyncio.sleep(0.03)
    assert (7 in readers) is asked
