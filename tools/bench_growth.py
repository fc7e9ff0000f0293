"""Whether the gateway grows: a day of 8 belts at 1 Hz on a clock that runs 300 times as fast, memory by the hour.

Everything of the gateway but the radio is real: rules, alerting, pages, store, night reports. Growth is the slope of a
line through the hours after the first eight (caches fill, the first night is computed), over 24 h.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from gateway.app import Gateway
from gateway.commands.run import one_heap
from gateway.config import BedConfig, Config
from gateway.metrics import rss_bytes
from gateway.radio import Heard, Opened
from protocol.clock_scale import ENVIRONMENT
from tests.gateway.cores.belt_talk import hello, report
from tests.gateway.small_gateway import SpokenRadio, configuration
from tools.bench_rows import Row, print_rows, row

BELTS = 8
SPEED = 300
HOURS, WARM_HOURS = 24, 8
BURST_S = 30
MIB = 1 << 20
PEERS = "facts/PEERS.md"
UP_S = 1_000


def ward(config: Config) -> Config:
    """Eight beds like the one of the configuration."""
    first = config.beds[0]
    assert first.serial is not None
    beds: list[BedConfig] = []
    for number in range(BELTS):
        beds.append(replace(first, label=f"bed-{number}", serial=first.serial[:-1] + bytes([number])))
    return replace(config, beds=tuple(beds))


def _occupancy(second: int, bed: int) -> tuple[str, int]:
    """In bed but for eight minutes every two hours: exits, returns and alarms all day."""
    since = (second + bed * 613) % 7_200
    return ("empty", since) if since < 480 else ("occupied", since - 480)


async def _day(config: Config) -> tuple[list[float], list[int], int, int]:
    """(MiB and living objects at each full hour, readings taken, alarms raised)."""
    radio = SpokenRadio()
    gateway = await Gateway.start(config, lambda *_: radio)
    task = asyncio.create_task(gateway.run())
    clock, begun_ms = gateway.clock, gateway.clock.elapsed_ms()
    serials = [bed.serial for bed in config.beds if bed.serial is not None]
    for serial in serials:
        radio.events.put_nowait(Opened(serial, begun_ms, hello(uptime_s=UP_S)))
    hours: list[float] = []
    living: list[int] = []
    spoken = 0
    while len(hours) < HOURS:
        # What a slow machine has not taken must not pile up here: it would be the test's memory, not the gateway's.
        due = min((clock.elapsed_ms() - begun_ms) // 1000, spoken + BURST_S)
        for second in range(spoken, due):
            for number, serial in enumerate(serials):
                state, age_s = _occupancy(second, number)
                message = report(UP_S + second, state, age_s)
                radio.events.put_nowait(Heard(serial, begun_ms + second * 1000, message))
        spoken = due
        while not radio.events.empty():  # noqa: ASYNC110 - a figure, polled
            await asyncio.sleep(0.001)
        if due >= (len(hours) + 1) * 3_600:
            radio.sent.clear()  # what the test remembers is not the gateway's
            hours.append(rss_bytes() / MIB)
            gc.collect()
            living.append(len(gc.get_objects()))
            print(f"bench: growth: {len(hours)} h: {hours[-1]:.1f} MiB", file=sys.stderr, flush=True)
        await asyncio.sleep(0.002)
    counters = gateway.room.counters
    gateway.stop()
    await task
    return hours, living, counters["readings_received"], counters["alarms_raised"]


def _slope(values: list[float]) -> float:
    """Least squares, per step."""
    middle = (len(values) - 1) / 2
    mean = sum(values) / len(values)
    above = sum((at - middle) * (value - mean) for at, value in enumerate(values))
    return above / sum((at - middle) ** 2 for at in range(len(values)))


def _measure() -> list[Row]:
    one_heap()  # as `sleepbelt run` does before anything else
    now_s = time.time()
    os.environ[ENVIRONMENT] = f"{now_s:.3f},{now_s:.3f},{SPEED}"
    with tempfile.TemporaryDirectory(prefix="sleepbelt-bench-") as name:
        config = ward(configuration(Path(name), "allowed_s = 300\nsettle_s = 60\n"))
        began = time.process_time()
        hours, living, readings, alarms = asyncio.run(_day(config))
        cpu_ms = 1000 * (time.process_time() - began)
    growth = _slope(hours[WARM_HOURS:]) * 24
    return [
        row("day_of_8_belts_growth_per_24_h", growth, "MiB", limit=1, source=f"{PEERS}: none; a slope within noise"),
        # A leak shows in objects first; what is left of growth in bytes is the allocator's.
        row("day_of_8_belts_objects_growth", 100 * (living[-1] / living[WARM_HOURS - 1] - 1), "%", limit=5),
        row("day_of_8_belts_rss_after_8_h", hours[WARM_HOURS - 1], "MiB", limit=64, source=PEERS),
        row("day_of_8_belts_rss_after_24_h", hours[-1], "MiB", limit=64, source=PEERS),
        row("day_of_8_belts_readings", readings, "", source=f"of {BELTS * HOURS * 3600}"),
        row("day_of_8_belts_alarms", alarms, ""),
        row("day_of_8_belts_cpu_per_reading", cpu_ms / max(1, readings), "ms", limit=1, source=PEERS),
    ]


if __name__ == "__main__":
    print_rows(_measure())
