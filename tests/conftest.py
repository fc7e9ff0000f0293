"""Event loops for tests: the real one by default, `virtual` on request (tests/sim/loop.py)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import pytest

from tests.sim.loop import VirtualTimeLoop
from tests.ward import add_options

os.environ["LC_ALL"] = "C.UTF-8"  # commands speak the locale's language; what tests read is English


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which radio tests/radio runs on."""
    add_options(parser)


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops a test may run on; one that names none gets the real one only (all listed ones would be tried)."""
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "loop_factories" in marker.kwargs:
        return {"real": asyncio.new_event_loop, "virtual": VirtualTimeLoop}
    return {"real": asyncio.new_event_loop}
