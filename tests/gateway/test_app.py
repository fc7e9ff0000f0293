"""app: readings become alarms, records, acks and pages; restarts, faults and bad starts."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.request
from pathlib import Path

import pytest

from cloud_sync.pages.server import ListenError
from gateway.app import Gateway
from gateway.radio import RadioError
from gateway.store_files import StoreFiles
from gateway.store_repair import StoreBusyError
from protocol.batch import AlarmEvent, BeltEventItem, DeviceState, VitalsChunk, decode_item
from protocol.wire import frames
from tests.gateway.cores.belt_talk import beacon, minute, occupancy_record
from tests.gateway.small_gateway import SpokenRadio, Talk, compressed_clock, configuration, running


@pytest.fixture(autouse=True)
def compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compressed_clock().items():
        monkeypatch.setenv(name, value)


async def armed(talk: Talk) -> None:
    talk.open()
    await talk.until(lambda bed: bed["armed"], keep=lambda: talk.report("occupied", 500))


async def alarmed(talk: Talk) -> None:
    await armed(talk)
    await talk.until(lambda bed: bed["alarm"]["state"] == "unacknowledged", keep=lambda: talk.report("empty", 6))


def stored(config_file: Path, lane: str) -> list[object]:
    files = StoreFiles(config_file.parent / "data")
    try:
        return [decode_item(item.body) for item in files.pending(lane, 0, 10**7)]
    finally:
        files.close()


async def test_an_exit_alarms_at_its_deadline_and_the_answer_silences_it(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as talk:
        await alarmed(talk)
        assert (await talk.gateway.port.act("A", "acknowledge", "carer-1")) == {"ok": True, "reason": None}
        bed = talk.gateway.port.snapshot()["beds"][0]
        assert bed["alarm"]["state"] == "acknowledged"
        assert bed["outcome_due"]
        assert (await talk.gateway.port.act("A", "outcome_real", "carer-1"))["ok"]
    events = [item for item in stored(config.file, "alarm") if isinstance(item, AlarmEvent)]
    assert [e.event for e in events] == ["exit", "alarm_raise", "audio_on", "ack", "audio_off", "outcome"]
    raised = events[1]
    out_for_s = (raised.at.elapsed_ms - events[0].at.elapsed_ms) / 1000
    assert out_for_s < 20
    assert len({e.alarm_id for e in events if e.alarm_id}) == 1
    assert all(e.who == "" for e in events)


async def test_an_answer_without_an_alarm_is_told_as_ignored(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as talk:
        await armed(talk)
        assert (await talk.gateway.port.act("A", "acknowledge", "x")) == {"ok": False, "reason": "ack_ignored"}
        assert not (await talk.gateway.port.act("B", "acknowledge", "x"))["ok"]
        assert not (await talk.gateway.port.act("A", "outcome_real", "x"))["ok"]


async def test_an_alarm_reaches_its_channels_although_the_disk_hangs(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as talk:
        await armed(talk)
        released = threading.Event()
        stuck = asyncio.create_task(talk.gateway._store.call(lambda _: released.wait(20)))
        try:
            await talk.until(
                lambda _: all(c.deliveries and c.deliveries[-1].signal.sound == "medium" and not c.deliveries[-1].error
                              for c in talk.gateway._alerting.alerter.channels),
                keep=lambda: talk.report("empty", 6),
            )  # fmt: skip
            assert not stuck.done()
        finally:
            released.set()
            await stuck


async def test_beacons_alone_raise_the_alarm(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as talk:
        counter = 0

        def say(occupancy: str) -> None:
            nonlocal counter
            counter += 1
            talk.beacon(counter, beacon(occupancy, 6, exit_count_low=int(occupancy == "empty")))

        await talk.until(lambda bed: bed["armed"], keep=lambda: say("occupied"))
        await talk.until(lambda bed: bed["alarm"]["state"] == "unacknowledged", keep=lambda: say("empty"))


async def test_cut_off_with_an_alarm_it_sounds_again_at_once_after_the_restart(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config, in_order=False) as talk:
        await alarmed(talk)
        await talk.gateway._store.flushed()
    async with running(config) as talk:
        await talk.until(lambda bed: bed["alarm"]["state"] == "unacknowledged")
        (buzzer,) = [c for c in talk.gateway._alerting.alerter.channels if c.name == "buzzer"]
        await talk.until(lambda _: bool(buzzer.deliveries))
        assert buzzer.deliveries[-1].signal.sound == "medium"


async def test_cut_off_during_an_absence_it_alarms_after_the_restart(tmp_path: Path) -> None:
    config = configuration(tmp_path, "allowed_s = 60\nsettle_s = 2\n")
    async with running(config, in_order=False) as talk:
        await armed(talk)
        await talk.until(lambda bed: bed["deadline_ms"] is not None, keep=lambda: talk.report("empty", 6))
        before = talk.gateway.port.snapshot()["beds"][0]
        await talk.gateway._store.flushed()
    async with running(config) as talk:
        after = talk.gateway.port.snapshot()["beds"][0]
        assert (after["out_since_ms"], after["deadline_ms"]) == (before["out_since_ms"], before["deadline_ms"])
        # Nobody hears the belt any more: the absence goes on and alarms (rule 16).
        await talk.until(lambda bed: bed["alarm"]["state"] == "unacknowledged")


async def test_every_reading_is_stored_once_and_records_are_acked_after_the_commit(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as talk:
        talk.open()
        for _ in range(90):
            talk.report("occupied", 500)
        talk.hear(minute(1, talk.uptime_s))
        talk.hear(occupancy_record(2, talk.uptime_s, "empty", "occupied"))
        talk.hear(occupancy_record(2, talk.uptime_s, "empty", "occupied"))
        for _ in range(30):
            talk.report("occupied", 500)
        await talk.until(lambda _: talk.radio.acked() == [1, 2] or talk.radio.acked() == [2])
        spoken = talk.spoken
    summary = talk.gateway.summary()
    assert summary["readings_received"] == summary["readings_stored"] == spoken == 120
    items = stored(config.file, "vitals")
    chunks = [item for item in items if isinstance(item, VitalsChunk)]
    assert sum(len(chunk.readings) for chunk in chunks) == spoken
    assert sum(chunk.minute is not None for chunk in chunks) == 1
    assert [item.event for item in items if isinstance(item, BeltEventItem)] == ["occupancy"]
    assert sum(isinstance(item, DeviceState) for item in items) == 1


async def test_records_taken_before_the_cut_are_not_asked_for_again(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config, in_order=False) as talk:
        talk.open(record_seq=1)
        talk.hear(occupancy_record(1, talk.uptime_s, "empty", "occupied"))
        await talk.until(lambda _: talk.radio.acked() == [1])
    async with running(config) as talk:
        talk.open(record_seq=1)
        talk.report("occupied", 5)
        await talk.until(lambda bed: not bed["silent"])
        assert frames.HISTORY not in [kind for kind, _ in talk.radio.sent]


async def test_settings_changed_while_it_was_down_hold_after_the_restart(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, "allowed_s = 600\nsettle_s = 2\n"), in_order=False) as talk:
        await armed(talk)
        bed = await talk.until(lambda bed: bed["deadline_ms"] is not None, keep=lambda: talk.report("empty", 6))
        await talk.gateway._store.flushed()
    async with running(configuration(tmp_path, "allowed_s = 900\nsettle_s = 2\n")) as talk:
        later_ms = (bed["deadline_ms"] or 0) + 300_000
        await talk.until(lambda bed: bed["deadline_ms"] == later_ms)


async def test_what_the_belt_still_has_is_asked_for_and_time_is_told(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as talk:
        talk.open(record_seq=9)
        await talk.until(lambda _: len(talk.radio.sent) >= 2)
        assert [kind for kind, _ in talk.radio.sent] == [frames.TIME, frames.HISTORY]


async def test_stats_and_metrics_are_served_beside_the_board(tmp_path: Path) -> None:
    def get(path: str) -> str:
        with urllib.request.urlopen(talk.gateway.page.rstrip("/") + path, timeout=5) as answer:
            return str(answer.read().decode())

    async with running(configuration(tmp_path)) as talk:
        talk.open()
        talk.report("occupied", 5)
        await talk.until(lambda bed: not bed["silent"])
        loop = asyncio.get_running_loop()
        assert json.loads(await loop.run_in_executor(None, get, "/api/stats"))["readings_received"] == 1
        assert "sleepbelt_readings_received_total 1.0" in await loop.run_in_executor(None, get, "/metrics")
        assert json.loads(await loop.run_in_executor(None, get, "/api/board"))["beds"][0]["bed"] == "A"


async def test_a_part_that_dies_brings_the_process_down(tmp_path: Path) -> None:
    radio = SpokenRadio()
    radio.fault = ZeroDivisionError("a part died")
    radio.broken.set()
    gateway = await Gateway.start(configuration(tmp_path), lambda *_: radio)
    with pytest.raises(ExceptionGroup) as raised:
        await asyncio.wait_for(gateway.run(), 5)
    assert raised.group_contains(ZeroDivisionError)


async def test_a_port_in_use_is_an_error_that_says_so(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = configuration(tmp_path)
        text = config.file.read_text().replace("port = 0", f"port = {taken.getsockname()[1]}")
        config.file.write_text(text)
        from gateway.config import load_config

        with pytest.raises(ListenError, match=str(taken.getsockname()[1])):
            await Gateway.start(load_config(config.file))
    StoreFiles(tmp_path / "data").close()


async def test_a_second_gateway_on_the_same_data_is_refused(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config):
        with pytest.raises(StoreBusyError):
            await Gateway.start(config)


async def test_an_unknown_radio_names_those_there_are(tmp_path: Path) -> None:
    config = configuration(tmp_path, more='[radio]\nbackend = "smoke-signals"\n')
    with pytest.raises(RadioError, match="bluez"):
        await Gateway.start(config)


async def test_a_state_that_cannot_be_used_is_no_reason_not_to_watch(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    files = StoreFiles(tmp_path / "data")
    from gateway.store_files import Writes

    files.commit(Writes(state={"ward": {"version": 99}, "anchor": 5}))
    files.close()
    async with running(config) as talk:
        assert [notice["code"] for notice in talk.gateway.port.snapshot()["notices"]] == ["storage"]
        await armed(talk)


async def test_an_alarm_is_raised_although_the_disk_refuses_to_write(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as talk:
        await armed(talk)
        await talk.gateway._store.call(lambda files: files._events.execute("PRAGMA query_only = 1"))
        await talk.until(lambda bed: bed["alarm"]["state"] == "unacknowledged", keep=lambda: talk.report("empty", 6))
        await talk.until(lambda _: talk.gateway._store.failing is not None, keep=lambda: talk.report("empty", 6))
        assert [notice["code"] for notice in talk.gateway.port.snapshot()["notices"]] == ["storage"]
        await talk.gateway._store.call(lambda files: files._events.execute("PRAGMA query_only = 0"))
        await talk.until(lambda _: talk.gateway._store.failing is None, keep=lambda: talk.report("empty", 6))


async def test_a_bed_without_a_belt_is_shown_as_such_and_never_offline(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    config.file.write_text(config.file.read_text() + '[[beds]]\nlabel = "B"\n')
    from gateway.config import load_config

    async with running(load_config(config.file)) as talk:
        await talk.until(
            lambda _: talk.gateway.port.snapshot()["beds"][1]["unwatched_reason"] == "no_belt",
            keep=lambda: talk.report("occupied", 5),
        )
        offline_after_s = 90
        begun = talk.uptime_s
        await talk.until(
            lambda _: talk.uptime_s > begun + offline_after_s, keep=lambda: talk.report("occupied", 5)
        )
        assert talk.gateway.port.snapshot()["beds"][1]["notices"] == []
