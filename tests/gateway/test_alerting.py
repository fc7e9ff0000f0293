"""alerting: buttons act, heartbeats stand for a living path, tests and deliveries are kept, staff hears of trouble."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.alerter.signal import QUIET, Signal
from gateway.alerting import DEADLINES, RADIO, Alerting
from gateway.clock import GatewayClock
from gateway.config import load_config
from gateway.store_files import EventRow, Writes
from protocol.clock_scale import ENVIRONMENT
from tests.gateway.small_gateway import SPEED, Talk, configuration, running

NOON_UTC_S = datetime(2026, 11, 23, 4, 0, tzinfo=UTC).timestamp()  # in Shanghai
NIGHT_UTC_S = datetime(2026, 11, 23, 14, 0, tzinfo=UTC).timestamp()
ALARM = Signal("high", "high", False, ("A",))


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, NOON_UTC_S)


def set_clock(monkeypatch: pytest.MonkeyPatch, virtual_s: float) -> None:
    monkeypatch.setenv(ENVIRONMENT, f"{time.time():.3f},{virtual_s:.3f},{SPEED}")


async def alarmed(talk: Talk) -> None:
    talk.open()
    await talk.until(lambda bed: bed["armed"], keep=lambda: talk.report("occupied", 500))
    await talk.until(lambda bed: bed["alarm"]["state"] == "unacknowledged", keep=lambda: talk.report("empty", 6))


def alone(folder: Path, more: str, page: Callable[[Signal], Awaitable[None]]) -> tuple[Alerting, list[EventRow]]:
    """Alerting without a room, and what it gives the store."""
    rows: list[EventRow] = []

    def put(writes: Writes) -> None:
        rows.extend(writes.events)

    return Alerting(configuration(folder, more=more), GatewayClock(), put, page), rows


async def shown(_: Signal) -> None:
    """A page that always is."""


@asynccontextmanager
async def channels(alerting: Alerting) -> AsyncIterator[None]:
    task = asyncio.create_task(alerting.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        alerting.close()


def log_of(folder: Path, event: str) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(folder / "data" / "events.db")) as db:
        found = db.execute("SELECT bed, detail, who FROM events WHERE event = ? ORDER BY id", (event,))
        return [(str(bed), str(detail), str(who)) for bed, detail, who in found]


BUTTON = 'buttons = [{ pin = 5, name = "door" }]\n'


async def test_a_short_press_acknowledges_in_the_buttons_name(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, more=BUTTON)) as talk:
        await alarmed(talk)
        talk.gateway._alerting.pressed(0, "short")
        await talk.until(lambda bed: bed["alarm"]["state"] == "acknowledged")
    assert log_of(tmp_path, "ack")[0][::2] == ("A", "button:door")


async def test_a_long_press_is_assist_and_one_without_an_alarm_is_told(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, more=BUTTON)) as talk:
        talk.gateway._alerting.pressed(0, "short")
        talk.gateway._alerting.pressed(0, "long")
        await talk.until(lambda bed: bed["mode"] == "assist")
    assert log_of(tmp_path, "ack_ignored")[0][::2] == ("A", "button:door")


async def test_a_stuck_button_is_a_notice_until_it_is_freed(tmp_path: Path) -> None:
    alerting, rows = alone(tmp_path, BUTTON, shown)
    alerting.pressed(0, "stuck")
    assert alerting.troubles() == ["button_stuck"]
    alerting.pressed(0, "freed")
    assert alerting.troubles() == []
    assert [(row.event, row.detail) for row in rows] == [
        ("tech_raise", "button_stuck door"), ("tech_clear", "button_stuck door")
    ]  # fmt: skip
    alerting.close()


async def test_the_relay_hears_a_heartbeat_only_while_radio_and_deadlines_take_their_turns(tmp_path: Path) -> None:
    alerting, _ = alone(tmp_path, "", shown)
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    alerting.alerter.beat = beat
    alerting.turn(DEADLINES)
    assert beats == 0
    alerting.turn(RADIO)
    assert beats == 0
    alerting.turn(DEADLINES)
    assert beats == 1
    alerting.close()


async def test_a_radio_that_has_not_begun_yet_is_news_only_when_it_stays_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [time.monotonic()]
    monkeypatch.setattr("gateway.alerting.time.monotonic_ns", lambda: int(now_s[0] * 1e9))
    alerting, _ = alone(tmp_path, "", shown)
    for _ in range(3):
        alerting.turn(DEADLINES)
        now_s[0] += 1
    assert caplog.messages == []
    now_s[0] += 2
    alerting.turn(DEADLINES)
    alerting.turn(DEADLINES)
    assert caplog.messages == ["no heartbeat for the relay: radio takes no turns"]
    alerting.turn(RADIO)
    alerting.turn(DEADLINES)
    now_s[0] += 5
    alerting.turn(DEADLINES)
    assert len(caplog.messages) == 2


async def test_a_relay_opens_for_the_alarm_and_its_delivery_is_stored(tmp_path: Path) -> None:
    async with running(configuration(tmp_path, more="relay_pin = 22\n")) as talk:
        relay = talk.gateway._alerting.alerter.channels[-1]
        assert relay.name == "relay"
        await alarmed(talk)
        await talk.until(lambda _: any(not d.error for d in relay.deliveries), keep=lambda: talk.report("empty", 6))
        shown_now = talk.gateway._alerting.deliveries()
        alarm_id = talk.gateway.room.beds["A"].alarm_id
    stored = [json.loads(detail) for _, detail, _ in log_of(tmp_path, "delivery")]
    delivered = [row for row in stored if row["channel"] == "relay" and not row["error"]]
    assert delivered[0]["beds"] == ["A"]
    assert delivered[0]["alarms"] == [alarm_id]
    assert delivered[0]["delivered_after_ms"] < 2000
    assert {row["channel"] for row in shown_now["deliveries"]} == {"page", "buzzer", "light", "relay"}
    assert all(not row["failing"] for row in shown_now["channels"])


async def test_channels_are_tested_by_day_and_their_results_outlive_a_restart(tmp_path: Path) -> None:
    config = configuration(tmp_path, more="relay_pin = 22\n")
    async with running(config) as talk:
        relay = talk.gateway._alerting.alerter.channels[-1]
        relay_held = asyncio.Event()
        relay.on_delivery = lambda *_: relay_held.set()
        relay.hand(Signal("", "low", True, ()))
        await asyncio.wait_for(relay_held.wait(), 10)
        assert await talk.gateway._alerting.test_now() == {"buzzer": "", "light": "", "relay": ""}
        passed = talk.gateway._alerting.deliveries()["channels"]
    async with running(config) as talk:
        assert [c["last_test"] for c in talk.gateway._alerting.deliveries()["channels"]] == [
            c["last_test"] for c in passed
        ]
    assert [detail for _, detail, _ in log_of(tmp_path, "self_test")] == [
        "buzzer passed", "light passed", "relay passed"
    ]  # fmt: skip


async def test_at_night_and_during_an_alarm_nothing_is_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alerting, _ = alone(tmp_path, "", shown)
    alerting.hand(ALARM)
    assert await alerting.test_now() == "alarming"
    alerting.close()
    set_clock(monkeypatch, NIGHT_UTC_S)
    alerting, _ = alone(tmp_path, "", shown)
    assert await alerting.test_now() == "night"
    alerting.close()


async def test_after_thirty_days_without_a_pass_rooms_sound_too_and_staff_is_told(tmp_path: Path) -> None:
    config = configuration(tmp_path, more='buzzer_place = "room"\n')
    async with running(config) as talk:
        assert not talk.gateway._alerting.alerter.room_sound
        kept: dict[str, Any] = talk.gateway.room.kept["self_tests"]
        kept["since_ms"] -= 31 * 86_400_000
    async with running(config) as talk:
        assert talk.gateway._alerting.alerter.room_sound
        notices = [notice["code"] for notice in talk.gateway.port.snapshot()["notices"]]
        assert notices == ["alert_channels_untested"]
        buzzer = next(c for c in talk.gateway._alerting.alerter.channels if c.name == "buzzer")
        await alarmed(talk)
        await talk.until(lambda _: any(d.signal.sound == "medium" for d in buzzer.deliveries))


async def test_hardware_that_cannot_be_opened_is_told_and_nothing_else_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine without pins there is nothing to open; on one with pins this keeps them closed.
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "none-such")
    config = configuration(tmp_path, more=BUTTON)
    config.file.write_text(config.file.read_text().replace("mock_pins = true\n", ""))
    async with running(load_config(config.file)) as talk:
        await alarmed(talk)
        assert set(talk.gateway._alerting.alerter.failing()) == {"buzzer", "light"}
        assert [notice["code"] for notice in talk.gateway.port.snapshot()["notices"]] == ["alert_channel"]


async def test_a_page_that_hangs_delays_no_other_channel(tmp_path: Path) -> None:
    async def hang(_: Signal) -> None:
        await asyncio.Event().wait()

    alerting, _ = alone(tmp_path, "", hang)
    async with channels(alerting):
        alerting.hand(ALARM)
        light = next(c for c in alerting.alerter.channels if c.name == "light")
        told = asyncio.Event()
        light.on_delivery = lambda *_: told.set()
        await asyncio.wait_for(told.wait(), 2)
        alerting.hand(QUIET)


async def test_a_test_alarm_reaches_every_channel_in_rooms_too_and_is_no_alarm_in_the_record(tmp_path: Path) -> None:
    seen: list[Signal] = []

    async def page(signal: Signal) -> None:
        seen.append(signal)

    alerting, rows = alone(tmp_path, 'buzzer_place = "room"\n', page)
    told: list[tuple[str, str]] = []
    alerting.on_trial_delivery = lambda channel, after_ms, error: told.append((channel, error))
    async with channels(alerting):
        assert alerting.trial_on("A")
        async with asyncio.timeout(10):
            while len(told) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert sorted(told) == [("buzzer", ""), ("light", ""), ("page", "")]
        assert seen[-1] == Signal("medium", "medium", False, ("A",))
        assert "test_alarm" in alerting.troubles()
        assert await alerting.trial_answered() < 2000
        assert seen[-1] == QUIET
        assert not [row for row in rows if row.event == "delivery"]
        assert len([row for row in rows if row.event == "test_delivery"]) == 3


async def test_a_real_alarm_takes_the_place_of_a_test_alarm_and_none_starts_beside_it(tmp_path: Path) -> None:
    alerting, _ = alone(tmp_path, "", shown)
    async with channels(alerting):
        assert alerting.trial_on("A")
        alerting.hand(QUIET)
        assert alerting.trial  # nothing real has come
        alerting.hand(ALARM)
        assert not alerting.trial
        assert alerting.alerter.signal == ALARM
        assert not alerting.trial_on("A")
        alerting.trial_off()
        assert alerting.alerter.signal == ALARM


async def test_a_button_answers_the_test_alarm_as_its_own_point_and_acknowledges_nothing(tmp_path: Path) -> None:
    alerting, rows = alone(tmp_path, 'buttons = [{ pin = 23, name = "door" }]\n', shown)
    pressed: list[str] = []
    alerting.on_trial_press = pressed.append
    async with channels(alerting):
        assert alerting.trial_on("A")
        alerting.pressed(0, "short")
        assert pressed == ["button:door"]
        assert not [row for row in rows if row.event.startswith("ack")]
