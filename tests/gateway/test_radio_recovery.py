"""radio_recovery: the rung that is due is taken, told once, limited in time; without Bluetooth nothing is 'stuck'."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path

import pytest

from gateway.clock import GatewayClock
from gateway.config import RadioConfig
from gateway.cores.radio_ladder import Rung
from gateway.radio import BleakRadio
from gateway.radio_bluez import BluezWatch
from gateway.radio_recovery import ACTION_TIMEOUT_S, Recovery, bluez_actions
from protocol.clock_scale import ClockScale

virtual = pytest.mark.asyncio(loop_factories=["virtual"])


def stuck(recovery: Recovery) -> None:
    for _ in range(2):
        recovery.ladder.connect_failed(b"belt")


@virtual
async def test_what_fails_or_hangs_is_told_and_followed_by_the_next_rung(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    async def hang() -> str:
        await asyncio.sleep(3600)
        return ""

    async def refuse() -> str:
        return "nobody may"

    async def work() -> str:
        done.append("adapter")
        return ""

    counters: Counter[str] = Counter()
    recovery = Recovery("hci7", {Rung.POWER: hang, Rung.DAEMON: refuse, Rung.ADAPTER: work}, counters)
    caplog.set_level(logging.WARNING)
    begun_s = asyncio.get_running_loop().time()
    now_ms = 0
    for _ in range(3):
        stuck(recovery)
        assert await recovery.act_if_due(0, now_ms)
        now_ms += 60_000
    assert asyncio.get_running_loop().time() - begun_s < ACTION_TIMEOUT_S + 1
    assert done == ["adapter"]
    assert counters == {
        "recovery_power": 1, "recovery_power_failed": 1, "recovery_daemon": 1, "recovery_daemon_failed": 1,
        "recovery_adapter": 1,
    }  # fmt: skip
    assert [line.split("hci7 ")[-1] for line in caplog.messages if "stuck" in line] == [
        "is stuck; it is switched off and on", "is stuck; bluetoothd is restarted", "is stuck; it is reset",
    ]
    assert any("nobody may" in line for line in caplog.messages)


@pytest.mark.parametrize(("highest", "count"), [("power", 1), ("daemon", 2), ("adapter", 3), ("reboot", 4)])
def test_the_configuration_names_the_highest_rung(highest: str, count: int) -> None:
    assert list(bluez_actions(BluezWatch(""), "", highest)) == list(Rung)[:count]


async def test_the_appliances_helper_is_asked_for_a_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reset = bluez_actions(BluezWatch("hci1"), "hci1", "adapter")[Rung.ADAPTER]
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert "no helper" in await reset()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    assert await reset() == ""
    assert (tmp_path / "adapter-reset").read_text() == "hci1\n"


async def test_no_adapter_is_called_stuck_where_there_is_no_bluetooth_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/no-bus")
    caplog.set_level(logging.INFO)
    clock = GatewayClock(None, "always", ClockScale())
    radio = BleakRadio(RadioConfig("bluez", "", 5), [], b"gateway!", clock, {}, {}, "")
    task = asyncio.create_task(radio.run())
    await asyncio.sleep(4)  # three attempts
    task.cancel()
    await asyncio.wait([task])
    assert "is bluetoothd installed" in radio.trouble
    assert not any("stuck" in line for line in caplog.messages)
    assert not any(name.startswith("recovery") for name in radio.counters)
