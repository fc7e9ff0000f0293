"""time_sync: wall time is believed when the system says that it is synchronised, never by its year."""

from __future__ import annotations

import asyncio

import pytest

from gateway import time_sync
from gateway.clock import GatewayClock
from gateway.time_sync import ntp_synchronized, watch_time


@pytest.fixture(autouse=True)
def untrusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.clock.wall_time_trusted", lambda: False)
    monkeypatch.setattr(time_sync, "ASK_EVERY_S", 0.0)


async def test_the_clock_is_believed_once_the_system_says_so() -> None:
    clock = GatewayClock(None, "auto")
    answers = iter([False, False, True])

    async def ask() -> bool:
        return next(answers)

    assert not clock.trusted()
    await watch_time(clock, ask)
    assert clock.trusted()
    assert list(answers) == []


async def test_a_year_that_looks_right_is_no_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's date after a boot without a clock: a plausible year, and nobody who vouches for it."""
    clock = GatewayClock(None, "auto")

    async def ask() -> bool:
        return False

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await watch_time(clock, ask)
    assert not clock.trusted()


async def test_a_clock_that_is_trusted_already_asks_nobody() -> None:
    async def ask() -> bool:
        raise AssertionError("asked")

    await watch_time(GatewayClock(None, "always"), ask)


async def test_without_a_system_bus_nobody_vouches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    assert not await ntp_synchronized()
