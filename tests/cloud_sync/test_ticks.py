"""clock: what looks around in turns wakes the process together."""

from __future__ import annotations

import asyncio

import pytest

from cloud_sync.clock import until_tick_s

virtual = pytest.mark.asyncio(loop_factories=["virtual"])


@virtual
async def test_turns_of_one_period_come_at_the_same_time_and_none_is_longer() -> None:
    woken: dict[str, list[float]] = {"slow": [], "fast": []}
    loop = asyncio.get_running_loop()

    async def turns(name: str, period_s: float, offset_s: float) -> None:
        await asyncio.sleep(offset_s)
        while len(woken[name]) < 5:
            wait_s = until_tick_s(period_s)
            assert 0 < wait_s <= period_s
            await asyncio.sleep(wait_s)
            woken[name].append(loop.time())

    await asyncio.gather(turns("slow", 1.0, 0.13), turns("fast", 0.5, 0.77))
    assert {at % 1.0 for at in woken["slow"]} == {0.0}
    assert {at % 0.5 for at in woken["fast"]} == {0.0}


@virtual
async def test_the_tick_after_a_while_is_the_first_that_does_not_come_before_it() -> None:
    await asyncio.sleep(0.375)
    now_s = asyncio.get_running_loop().time()
    for after_s in (0.125, 1.0, 4.875):
        wait_s = until_tick_s(0.5, after_s)
        assert after_s < wait_s <= after_s + 0.5
        assert (now_s + wait_s) % 0.5 == 0
