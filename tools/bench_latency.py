"""From what the radio hands over to what people get: beacon -> alarm signal, notification -> page, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from tests.gateway.cores.belt_talk import beacon
from tests.gateway.small_gateway import Talk, configuration, running
from tools.bench_rows import Row, print_rows, row

ROUNDS = 25
LIMIT_S = 2.0


class _Watch:
    """The newest page snapshot and when it came."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._changed = asyncio.Condition()
        self.alarm = "none"
        self.armed = False
        self.at_s = 0.0

    async def run(self) -> None:
        async for snapshot in self._talk.gateway.port.changes():
            bed = snapshot["beds"][0]
            async with self._changed:
                self.alarm, self.armed, self.at_s = bed["alarm"]["state"], bed["armed"], time.monotonic()
                self._changed.notify_all()

    async def until(self, alarm: str) -> float:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.alarm == alarm)
            return self.at_s


async def _rounds(talk: Talk, watch: _Watch, say: Callable[[Any, int], None]) -> list[float]:
    """Seconds from the report that completes an exit (allowed 0) to the page's alarm, ROUNDS times."""
    found = []
    for _ in range(ROUNDS):
        while watch.alarm != "none" or not watch.armed:
            say("occupied", 100)
            await asyncio.sleep(0.5)
        began = time.monotonic()
        say("empty", 9)
        found.append(await watch.until("unacknowledged") - began)
        await talk.gateway.port.act(talk.gateway.config.beds[0].label, "acknowledge", "bench")
    return found


def _by_beacon(talk: Talk) -> Callable[[Any, int], None]:
    counters = itertools.count(1)
    return lambda occupancy, age_s: talk.beacon(next(counters), beacon(occupancy, age_s))


@contextlib.asynccontextmanager
async def _gateway() -> AsyncIterator[Talk]:
    overrides = "allowed_s = 0\nexit_confirm_s = 1\nentry_confirm_s = 1\nsettle_s = 1\nlatch = \"none\"\n"
    with tempfile.TemporaryDirectory(prefix="sleepbelt-bench-") as name:
        async with running(configuration(Path(name), overrides)) as talk:
            yield talk


async def _measure() -> list[Row]:
    async with _gateway() as talk:
        watch = _Watch(talk)
        watching = asyncio.create_task(watch.run())
        try:
            talk.open()
            by_notification = await _rounds(talk, watch, talk.report)
            talk.close()
            by_beacon = await _rounds(talk, watch, _by_beacon(talk))
        finally:
            watching.cancel()
    rows = []
    for name, seconds in (("beacon_to_alarm", by_beacon), ("notification_to_page", by_notification)):
        ordered = sorted(seconds)
        rows.append(row(f"{name}_p50", 1000 * statistics.median(ordered), "ms"))
        rows.append(row(f"{name}_max", 1000 * ordered[-1], "ms", limit=1000 * LIMIT_S, source="issue 2: within 2 s"))
    return rows


if __name__ == "__main__":
    print_rows(asyncio.run(_measure()))
