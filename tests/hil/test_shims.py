"""The shims answer as real stacks and boards do (facts/FIRMWARE.md), seen from a script in the real interpreter."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hil.channel import HEADER, FromBelt, ToBelt, message
from hil.runtime import find_interpreter, firmware_environment

PRELUDE = """
import bluetooth, json, machine, time
def code(call):
    try:
        call()
    except OSError as error:
        return error.args[0]
    return 0
ble = bluetooth.BLE()
SERVICE = (bluetooth.UUID(0x180A), ((bluetooth.UUID(0x2A24), bluetooth.FLAG_READ | bluetooth.FLAG_WRITE),))
seen = []
ble.irq(lambda event, data: seen.append((event, list(data[:1]))))
"""


def _run(tmp_path: Path, script: str, *to_belt: bytes, **environment: str) -> tuple[Any, list[int]]:
    """(what the script printed as JSON, types of the messages it sent); `to_belt` is what it finds in its socket."""
    here, there = socket.socketpair()
    here.sendall(b"".join(to_belt))
    path = tmp_path / "script.py"
    path.write_text(PRELUDE + script)
    values = firmware_environment() | {"SLEEPBELT_EMULATION_FD": str(there.fileno())} | environment
    command = [*find_interpreter(), str(path)]
    done = subprocess.run(
        command, env=values, pass_fds=(there.fileno(),), capture_output=True, text=True, timeout=30, check=False
    )
    there.close()
    data = b""
    while chunk := here.recv(65536):
        data += chunk
    here.close()
    assert done.stdout, done.stderr
    kinds = []
    while data:
        length, kind = HEADER.unpack_from(data)
        kinds.append(kind)
        data = data[HEADER.size + length :]
    return json.loads(done.stdout), kinds


def _grant(until_ms: int) -> bytes:
    return message(ToBelt.RUN, struct.pack("<QQ", until_ms, 0))


CONNECT = message(ToBelt.CONNECT, struct.pack("<H", 1) + bytes(6))


def test_an_inactive_radio_answers_enodev(tmp_path: Path) -> None:
    assert _run(tmp_path, "print(json.dumps(code(lambda: ble.gap_advertise(100000, adv_data=b'x'))))")[0] == 19


def test_a_notification_without_connection_answers_enotconn(tmp_path: Path) -> None:
    script = """
ble.active(True)
((handle,),) = ble.gatts_register_services((SERVICE,))
print(json.dumps(code(lambda: ble.gatts_notify(0, handle, b"x"))))
"""
    assert _run(tmp_path, script)[0] == 107


def test_services_cannot_be_registered_while_advertising(tmp_path: Path) -> None:
    script = """
ble.active(True)
ble.gap_advertise(100000, adv_data=b"x")
print(json.dumps(code(lambda: ble.gatts_register_services((SERVICE,)))))
"""
    assert _run(tmp_path, script)[0] == 16


def test_an_advertisement_over_31_bytes_is_refused(tmp_path: Path) -> None:
    script = "ble.active(True)\nprint(json.dumps(code(lambda: ble.gap_advertise(100000, adv_data=bytes(32)))))"
    assert _run(tmp_path, script)[0] == -18


def test_a_write_is_cut_at_the_default_buffer_and_reported(tmp_path: Path) -> None:
    script = """
ble.active(True)
((handle,),) = ble.gatts_register_services((SERVICE,))
time.sleep_ms(10)
print(json.dumps([handle, len(ble.gatts_read(handle)), seen]))
"""
    write = message(ToBelt.WRITE, struct.pack("<HH", 1, 2) + bytes(30))
    assert _run(tmp_path, script, CONNECT, write, _grant(10))[0] == [2, 20, [[1, [1]], [3, [1]]]]


def test_sixty_one_notifications_wait_and_the_next_answers_enomem(tmp_path: Path) -> None:
    script = """
ble.active(True)
((handle,),) = ble.gatts_register_services((SERVICE,))
time.sleep_ms(10)
codes = [code(lambda: ble.gatts_notify(1, handle, bytes(100))) for _ in range(62)]
print(json.dumps([codes.count(0), codes[-1]]))
"""
    result, kinds = _run(tmp_path, script, CONNECT, _grant(10))
    assert result == [61, 12]
    assert kinds.count(FromBelt.NOTIFY) == 61


def test_ticks_wrap_at_two_to_the_thirty(tmp_path: Path) -> None:
    script = """
before = time.ticks_ms()
time.sleep_ms(20)
print(json.dumps([time.ticks_ms(), time.ticks_diff(time.ticks_ms(), before)]))
"""
    start = str((1 << 30) - 10)
    assert _run(tmp_path, script, _grant(20), SLEEPBELT_TICKS_START=start)[0] == [10, 20]


def test_an_unfed_watchdog_resets_the_belt(tmp_path: Path) -> None:
    script = """
print("1")
machine.WDT(timeout=8000)
time.sleep_ms(9000)
"""
    _, kinds = _run(tmp_path, script, _grant(10_000))
    assert kinds[-1] == FromBelt.RESET


@pytest.mark.parametrize(("ends", "kept"), [("time.sleep_ms(9000)", 5), ("machine.reset()", 5), ("pass", -1)])
def test_a_note_survives_a_reset_and_no_power_cut(tmp_path: Path, ends: str, kept: int) -> None:
    """Read once, by the run after."""
    script = f"print(machine.read_note())\nmachine.note(5)\nmachine.WDT(timeout=8000)\n{ends}\n"
    state = {"SLEEPBELT_STATE_DIR": str(tmp_path)}
    grants = (_grant(10_000),) if "sleep" in ends else ()  # what nobody reads would break the socket
    assert _run(tmp_path, script, *grants, **state)[0] == -1
    assert _run(tmp_path, "print(machine.read_note())", **state)[0] == kept
    assert _run(tmp_path, "print(machine.read_note())", **state)[0] == -1


def test_samples_that_nobody_took_are_a_gap(tmp_path: Path) -> None:
    script = """
from array import array
adc = machine.ADC(machine.Pin(26))
adc.start()
buf = array("h", [0] * 10)
time.sleep_ms(30000)
first, lost, count = adc.read_fifo_into(buf)
print(json.dumps([first, lost, count, buf[0]]))
"""
    counts = struct.pack("<1500h", *range(1500))
    grant = message(ToBelt.RUN, struct.pack("<QQ", 30_000, 0) + counts)
    assert _run(tmp_path, script, grant)[0] == [476, 476, 10, 476]


def test_the_shims_take_the_place_of_the_interpreters_modules() -> None:
    shims = {path.name for path in Path(firmware_environment()["MICROPYPATH"].split(":")[0]).glob("*.py")}
    assert {"time.py", "machine.py", "bluetooth.py"} <= shims
    assert os.path.isabs(firmware_environment()["MICROPYPATH"].split(":")[0])
