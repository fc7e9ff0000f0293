"""The gateway's radio when nothing fails, on every tier."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.radio import BeaconHeard, Heard, Opened
from protocol.messages import LiveReport
from tests.ward import Ward


async def test_a_beacon_is_heard_a_session_opened_and_sealed_reports_come_each_second(ward: Ward) -> None:
    begun = time.monotonic()
    ward.listen()
    beacon = await ward.until(BeaconHeard)
    opened = await ward.until(Opened)
    first = await ward.until(Heard, lambda event: isinstance(event.message, LiveReport))
    await ward.until(Heard, lambda event: isinstance(event.message, LiveReport), since=first + 3)
    reports = [
        e.message.uptime_ms for _, e in ward.events if isinstance(e, Heard) and isinstance(e.message, LiveReport)
    ]
    steps = [after - before for before, after in itertools.pairwise(reports[1:])]
    print(f"beacon {beacon - begun:.2f} s, session {opened - begun:.2f} s, report {first - begun:.2f} s")
    assert set(steps) == {1000}


@pytest.mark.parametrize("ward", [5], indirect=True)
async def test_five_belts_are_in_session_at_once(ward: Ward) -> None:
    begun = time.monotonic()
    ward.listen()
    opened = [await ward.until(Opened, _of(serial)) for serial in ward.serials]
    print(f"five sessions after {max(opened) - begun:.2f} s")
    now = time.monotonic()
    for serial in ward.serials:
        await ward.until(Heard, _of(serial), since=now)


def _of(serial: bytes) -> Callable[[Any], bool]:
    return lambda event: bool(event.serial == serial)
