"""What the radio must show, with the whole gateway: an hour out of range, lost frames, reboots.

An hour of a compressed clock needs a machine to itself: collected by `make hil` and by name, not by `make test`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.asleep import alarms_of
from tests.hil_box.failure_table import MUST_SHOW, add_row
from tests.radio.house import house
from tests.ward import Tier

SPEED = 40
LATE_S = 90  # of the night: one real second; nothing may be early


@pytest.mark.slow
async def test_an_hour_out_of_range_costs_no_record_and_no_deadline(
    tier: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bed was left before its belt was out of range, and is allowed half an hour."""
    if tier.dongles:
        pytest.skip("nobody can be put out of range of a real dongle by a program")
    async with house(tier, tmp_path, monkeypatch, SPEED, [("00:04", 7200)], allowed_s=1800) as home:
        counters = home.gateway.room.counters
        await home.until(lambda: counters["readings_received"] > 60, "a session")
        await home.sleep_until(7)
        address = home.ward.fleet.belts[0].radio.address
        home.ward.link.hide(address)
        before = counters["records_received"]
        await home.sleep_until(67)
        assert counters["alarms_raised"] == 1  # in time, and unheard
        assert counters["records_received"] <= before + 1
        home.ward.link.show(address)
        back = home.minute()
        await home.sleep_until(68)
        records = await home.until_all_records_are_here()
        caught_up = home.minute()
        assert counters["alarms_raised"] == 1
        begin_ms = home.begin_ms
    events = [
        (event.event, (event.at.elapsed_ms - begin_ms) / 1000) for event in alarms_of(tmp_path)
        if event.event in ("exit", "alarm_raise")
    ]  # fmt: skip
    assert [event for event, _ in events] == ["exit", "alarm_raise"]
    late_s = events[1][1] - (4 * 60 + 1800)
    assert 0 <= late_s < LATE_S
    add_row(MUST_SHOW, f"1 h out of range ({tier.name})", f"belt hidden from minute 7 to 67 of a night at {SPEED}x",
            f"{records} records, each once, {60 * (caught_up - back) / SPEED:.1f} s (real) after it was back; "
            f"the alarm of an absence begun before came unheard, {late_s:.0f} s (of the night) after its deadline")


@pytest.mark.slow
async def test_lost_frames_and_a_reboot_cost_no_record_and_no_exit(
    tier: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tier.dongles:
        pytest.skip("the real air loses what it loses")
    async with house(tier, tmp_path, monkeypatch, SPEED, [("00:12", 240)], allowed_s=3600) as home:
        await home.until(lambda: home.gateway.room.counters["readings_received"] > 60, "a session")
        for minute, share in ((4, 0.1), (10, 0.3), (18, 0.0)):
            await home.sleep_until(minute)
            home.ward.link.lose(share, seed=minute)
        await home.ward.fleet.power_cut(home.ward.fleet.belts[0], off_s=0.3)
        await home.sleep_until(22)
        records = await home.until_all_records_are_here()
        lost, sent = home.ward.link.frames_lost, home.ward.link.frames_sent
    events = [event.event for event in alarms_of(tmp_path) if event.event in ("exit", "alarm_raise")]
    assert events == ["exit"]
    add_row(MUST_SHOW, f"10 % and 30 % frame loss, reboot ({tier.name})",
            f"6 min and 8 min of loss at {SPEED}x, then the belt's power cut",
            f"{records} records, each once; the one exit once; {lost} of about {sent} frames and beacons lost")
