"""The gateway's radio on real BlueZ, when nothing fails."""

from __future__ import annotations

import time

import pytest

from gateway.radio import BeaconHeard, Heard, Opened
from protocol.messages import LiveReport
from tests.hil_box.conftest import Ward


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
    steps = [after - before for before, after in zip(reports[1:], reports[2:], strict=False)]
    print(f"beacon {beacon - begun:.2f} s, session {opened - begun:.2f} s, report {first - begun:.2f} s")
    assert set(steps) == {1000}


@pytest.mark.parametrize("ward", [5], indirect=True)
async def test_five_belts_are_in_session_at_once(ward: Ward) -> None:
    begun = time.monotonic()
    ward.listen()
    for serial in ward.serials:
        at = await ward.until(Opened, lambda event, serial=serial: event.serial == serial)
    print(f"five sessions after {at - begun:.2f} s")
    now = time.monotonic()
    for serial in ward.serials:
        await ward.until(Heard, lambda event, serial=serial: event.serial == serial, since=now)
