"""Which loops unit tests run on: what opens sockets itself is tried on uvloop, where it runs, and on asyncio's own."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

_ON_BOTH = {"test_checks_command.py", "test_net_connect.py", "test_checks_scanners.py"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name in _ON_BOTH else {"asyncio": asyncio.new_event_loop}
