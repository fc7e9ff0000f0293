"""The virtual-time loop keeps its promises, so that tests on it mean something."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from tests.sim.loop import LoopClock, VirtualTimeError, VirtualTimeLoop

virtual = pytest.mark.asyncio(loop_factories=["virtual"])


@virtual
async def test_a_night_of_timers_takes_no_time() -> None:
    began = time.monotonic()
    await asyncio.sleep(10 * 3600)
    assert asyncio.get_running_loop().time() == 36_000
    assert time.monotonic() - began < 5


@virtual
async def test_timers_fire_in_order_and_never_early() -> None:
    loop = asyncio.get_running_loop()
    fired: list[tuple[int, float]] = []
    for delay in (30, 10, 20):
        loop.call_later(delay, lambda d: fired.append((d, loop.time())), delay)
    await asyncio.sleep(60)
    assert fired == [(10, 10.0), (20, 20.0), (30, 30.0)]


@virtual
async def test_executor_jobs_run_inline() -> None:
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, threading.get_ident) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(None, lambda: 1 // 0)


@virtual
async def test_real_sockets_are_refused() -> None:
    left, right = socket.socketpair()
    try:
        with pytest.raises(VirtualTimeError):
            asyncio.get_running_loop().add_reader(left, print)
    finally:
        left.close()
        right.close()


@virtual
async def test_foreign_threads_are_refused() -> None:
    loop = asyncio.get_running_loop()
    seen: list[BaseException] = []

    def intrude() -> None:
        try:
            loop.call_soon_threadsafe(print)
        except VirtualTimeError as refused:
            seen.append(refused)

    thread = threading.Thread(target=intrude)
    thread.start()
    thread.join()
    assert len(seen) == 1


def test_waiting_for_nothing_is_an_error_not_a_hang() -> None:
    loop = VirtualTimeLoop()
    try:
        with pytest.raises(VirtualTimeError, match="deadlock"):
            loop.run_until_complete(asyncio.Event().wait())
    finally:
        loop.close()


@virtual
async def test_a_step_of_the_wall_clock_moves_no_monotonic_time() -> None:
    clock = LoopClock(asyncio.get_running_loop(), 1_000_000)
    await clock.sleep(5)
    clock.step_utc(3_600_000)
    assert (clock.mono_ms(), clock.utc_ms()) == (5_000, 4_605_000)
