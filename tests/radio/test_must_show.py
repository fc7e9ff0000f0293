"""What the radio must show, with the whole gateway: an hour out of range, lost frames, reboots, a swap."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.cores.labels import BeltLabel, belt_label_text
from tests.asleep import alarms_of
from tests.hil_box.failure_table import MUST_SHOW, add_row
from tests.radio.house import check_each_arrived_once, house, written_by
from tests.ward import Tier

SPEEDS = {"box": 20, "bumble": 40}  # of the night; what each tier's radio keeps up with on two cores
OFF_S = 0.3


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_an_hour_out_of_range_costs_no_record_and_no_deadline(
    tier: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late_real_s: float
) -> None:
    """The bed was left before its belt was out of range, and is allowed half an hour."""
    if tier.dongles:
        pytest.skip("nobody can be put out of range of a real dongle by a program")
    speed = SPEEDS[tier.name]
    async with house(tier, tmp_path, monkeypatch, speed, [[("00:04", 7200)]], allowed_s=1800) as home:
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
        await home.until_all_records_are_here()
        caught_up = home.minute()
        await home.sleep_until(68)
        records = await home.until_all_records_are_here()
        assert counters["alarms_raised"] == 1
        begin_ms, belt = home.begin_ms, home.ward.fleet.belts[0]
    minutes = check_each_arrived_once(tmp_path, belt, "B0", records)
    events = [
        (event.event, (event.at.elapsed_ms - begin_ms) / 1000) for event in alarms_of(tmp_path)
        if event.event in ("exit", "alarm_raise")
    ]  # fmt: skip
    assert [event for event, _ in events] == ["exit", "alarm_raise"]
    late_s = events[1][1] - (4 * 60 + 1800)
    assert 0 <= late_s < late_real_s * speed
    add_row(MUST_SHOW, f"1 h out of range ({tier.name})", f"belt hidden from minute 7 to 67 of a night at {speed}x",
            f"{records} records of the belt's flash ({minutes} minutes) are in the store, each once, "
            f"{60 * (caught_up - back) / speed:.1f} s (real) after it was back; "
            f"the alarm of an absence begun before came unheard, {late_s:.0f} s (of the night) after its deadline")


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_belt_that_nobody_gets_a_session_with_has_its_alarm_in_time(
    tier: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late_real_s: float
) -> None:
    """From now on its table asks for encryption, which no gateway of ours does: only its beacons are left."""
    if tier.dongles:
        pytest.skip("a compressed clock needs the virtual air")
    speed = SPEEDS[tier.name]
    async with house(tier, tmp_path, monkeypatch, speed, [[("00:05", 1200)]], allowed_s=300) as home:
        counters, belt = home.gateway.room.counters, home.ward.fleet.belts[0]
        belt.radio.wants_pairing = True
        await home.ward.fleet.power_cut(belt, off_s=OFF_S)
        sessions = belt.radio.reports_sent
        await home.sleep_until(9)
        assert counters["alarms_raised"] == 0
        await home.sleep_until(13)
        assert counters["alarms_raised"] == 1
        assert belt.radio.reports_sent == sessions
        begin_ms = home.begin_ms
    (raised,) = [event for event in alarms_of(tmp_path) if event.event == "alarm_raise"]
    late_s = (raised.at.elapsed_ms - begin_ms) / 1000 - (5 * 60 + 300)
    assert 0 <= late_s < late_real_s * speed
    add_row(MUST_SHOW, f"no session at all ({tier.name})", f"the belt's table asks for encryption; a night at {speed}x",
            f"beacons alone: the alarm {late_s:.0f} s (of the night) after its deadline, no report was sent")


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_lost_frames_and_a_reboot_cost_no_record_and_no_exit(
    tier: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tier.dongles:
        pytest.skip("the real air loses what it loses")
    speed = SPEEDS[tier.name]
    async with house(tier, tmp_path, monkeypatch, speed, [[("00:12", 240)]], allowed_s=3600) as home:
        counters = home.gateway.room.counters
        await home.until(lambda: home.gateway.room.counters["readings_received"] > 60, "a session")
        for minute, share in ((4, 0.1), (10, 0.3), (18, 0.0)):
            await home.sleep_until(minute)
            home.ward.link.lose(share, seed=minute)
        cut = time.monotonic()
        await home.ward.fleet.power_cut(home.ward.fleet.belts[0], off_s=OFF_S)
        heard = counters["readings_received"]
        await home.until(lambda: counters["readings_received"] > heard + 1, "reports after the reboot")
        back_s = time.monotonic() - cut
        await home.sleep_until(22)
        records = await home.until_all_records_are_here()
        lost, sent = home.ward.link.frames_lost, home.ward.link.frames_sent
        belt = home.ward.fleet.belts[0]
    minutes = check_each_arrived_once(tmp_path, belt, "B0", records)
    events = [event.event for event in alarms_of(tmp_path) if event.event in ("exit", "alarm_raise")]
    assert events == ["exit"]
    add_row(MUST_SHOW, f"10 % and 30 % frame loss ({tier.name})",
            f"6 min and 8 min of loss of a night at {speed}x",
            f"{records} records ({minutes} minutes), each once; the one exit once; {lost} of about {sent} frames and "
            "beacons lost")
    add_row(MUST_SHOW, f"belt reboot ({tier.name})", f"its power is cut for {OFF_S:g} s in minute 18 of the same night",
            f"reports again {back_s:.1f} s (real) after the cut; no record lost or doubled, no exit made up")


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_belt_is_swapped_at_its_bed_and_the_old_one_moves_it_no_more(
    tier: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late_real_s: float
) -> None:
    """Both belts are heard all the time. The old one leaves its bed for good in minute 40, the new one in minute 50."""
    if tier.dongles:
        pytest.skip("a compressed clock needs the virtual air")
    speed, outs = SPEEDS[tier.name], [[("00:40", 7200)], [("00:50", 7200)]]
    async with house(tier, tmp_path, monkeypatch, speed, outs, allowed_s=300, spares=1) as home:
        counters, (old, new) = home.gateway.room.counters, home.ward.fleet.belts
        await home.until(lambda: counters["readings_received"] > 60, "a session")
        await home.sleep_until(4)
        before = await home.until_all_records_are_here([old])
        label = belt_label_text(BeltLabel(new.identity.serial, 1, new.identity.claim_secret))
        asked = home.minute()
        said = await home.gateway.operations.call("scan", {"text": label, "bed": "B0"}, "tina")
        assert (said["bound"], said["replaced"]) == (True, old.identity.serial.hex())
        unbound = len(written_by(new))
        from_old, heard = counters["records_received"], counters["readings_received"]
        await home.until(lambda: counters["readings_received"] > heard + 10, "a session with the new belt")
        took_s = 60 * (home.minute() - asked) / speed
        assert home.minute() < 38, "this machine is too slow for the story"
        await home.sleep_until(49)
        assert counters["alarms_raised"] == 0  # nine minutes after the old belt's bed was left
        now_ms, sightings = home.gateway.clock.elapsed_ms(), home.gateway.provisioner.sightings()
        lately = {sighting.serial for sighting in sightings if now_ms - sighting.heard_ms < 60_000}
        assert lately == set(home.ward.serials)
        await home.sleep_until(58)
        assert counters["alarms_raised"] == 1
        records = await home.until_all_records_are_here([new], from_old - unbound)
        begin_ms = home.begin_ms
    kept = check_each_arrived_once(tmp_path, old, "B0", before)
    minutes = check_each_arrived_once(tmp_path, new, "B0", records, unbound)
    events = [event for event in alarms_of(tmp_path) if event.event in ("exit", "alarm_raise")]
    assert [event.event for event in events] == ["exit", "alarm_raise"]
    assert {event.belt for event in events} <= {"", new.identity.serial.hex()}
    late_s = (events[1].at.elapsed_ms - begin_ms) / 1000 - (50 * 60 + 300)
    assert 0 <= late_s < late_real_s * speed
    add_row(MUST_SHOW, f"belt swapped at its bed ({tier.name})",
            "the new one's label is scanned for the bed in minute 4; the old one leaves its bed in minute 40",
            f"{took_s:.1f} s (real) to reports of the new belt; what the old one says moves nothing; the bed keeps its "
            f"{kept} minutes and has {minutes} of the new one; its own alarm {late_s:.0f} s after its deadline")
