"""faults: a plan is checked whole before anything runs, and each fault happens on the air when its time has come."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hil.clock import HilClock
from hil.commands.hil import main
from hil.fleet import Fleet
from hil.radio.dongle import DonglePeripheral
from hil.radio.faults import Fault, PlanError, load_faults, play_faults
from hil.radio.hci_server import serve_adapters
from hil.radio.link import VirtualLink
from hil.serve import _controllers
from hil.synth import load
from protocol.clock_scale import ClockScale
from protocol.wire import frames
from tests.hil.gateway_client import Client, hear_beacon


def plan(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "plan.toml"
    file.write_text(text)
    return file


def test_a_plan_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    text = (
        '[[fault]]\nat_s = 9\nkind = "reboot"\nbelt = 2\n'
        '[[fault]]\nat_s = 1.5\nkind = "lose"\nfor_s = 3\npercent = 30\n'
    )
    assert load_faults(plan(tmp_path, text), 2, box=False) == [
        Fault(1.5, "lose", for_s=3, percent=30), Fault(9, "reboot", belt=2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "1 to 1000"),
        ("x = 1", "1 to 1000"),
        ("[[fault]", "TOML"),
        ('[[fault]]\nat_s = 1\nkind = "explode"', "allowed: lose, silence"),
        ('[[fault]]\nkind = "lose"', "needs at_s"),
        ('[[fault]]\nat_s = 1\nkind = "silence"\nfor_s = 2', "needs belt"),
        ('[[fault]]\nat_s = 1\nkind = "reboot"\nbelt = 3', "belt 3 of 2"),
        ('[[fault]]\nat_s = -1\nkind = "hang_up"\nbelt = 1', "allowed: 0 to"),
        ('[[fault]]\nat_s = 1\nkind = "lose"\nfor_s = 1\npercent = 101', "allowed: 0 to 100"),
        ('[[fault]]\nat_s = 1\nkind = "hang_up"\nbelt = true', "belt = True"),
        ('[[fault]]\nat_s = 1\nkind = "hang_up"\nbelt = 1\nfor_s = 2', "takes no 'for_s'"),
        ('[[fault]]\nat_s = 1\nkind = "kill_bluetoothd"', "needs --radio box"),
        ('[[fault]]\nat_s = 1\nkind = ["hang_up"]\nbelt = 1', "kind ['hang_up']"),
        ('[[fault]]\nat_s = nan\nkind = "hang_up"\nbelt = 1', "at_s = nan"),
        ('[[fault]]\nat_s = 60\nkind = "hang_up"\nbelt = 1', "--for 60 ends before"),
        (
            '[[fault]]\nat_s = 4\nkind = "lose"\nfor_s = 1\npercent = 9\n'
            '[[fault]]\nat_s = 1\nkind = "lose"\nfor_s = 5\npercent = 30\n',
            "fault 1: lose of 9 % for 1 s at 4 s; fault 2 lasts until 6 s",
        ),
        (
            '[[fault]]\nat_s = 1\nkind = "reboot"\nbelt = 2\n[[fault]]\nat_s = 1.5\nkind = "reboot"\nbelt = 2\n',
            "fault 2: reboot of belt 2 for 1 s at 1.5 s; fault 1 lasts until 2 s",
        ),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_name(
    tmp_path: Path, text: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = plan(tmp_path, text)
    with pytest.raises(PlanError, match=r"plan\.toml"):
        load_faults(file, 2, box=False, end_s=60)
    arguments = ["--belts", "2", "--faults", str(file), "--socket", str(tmp_path / "h.sock"), "--for", "60"]
    assert main(arguments) == 2
    assert named in capsys.readouterr().err


def test_the_box_has_one_adapter(tmp_path: Path) -> None:
    file = plan(tmp_path, '[[fault]]\nat_s = 1\nkind = "unplug"\nadapter = 2')
    with pytest.raises(PlanError, match="adapter 2 of 1"):
        load_faults(file, 1, box=True)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_plan_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / "plan.toml").mkdir()
    else:
        (tmp_path / "plan.toml").write_bytes(content)
    with pytest.raises(PlanError, match=r"plan\.toml: (Is a directory|not a text in UTF-8 \(byte 0\))$"):
        load_faults(tmp_path / "plan.toml", 1, box=False)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--radio", "usb"], "bumble, box, usb:N"),
        (["--radio", "lora:0"], "bumble, box, usb:N"),
        (["--radio", "serial:/dev/ttyX", "--belts", "2"], "one belt"),
        (["--faults", "no_such_plan.toml"], "no_such_plan.toml"),
    ],
)
def test_a_radio_that_is_none_is_refused(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert named in capsys.readouterr().err


def test_faults_cannot_be_injected_into_the_real_air(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = plan(tmp_path, '[[fault]]\nat_s = 1\nkind = "hang_up"\nbelt = 1')
    assert main(["--radio", "usb:0", "--faults", str(file)]) == 2
    assert "real air" in capsys.readouterr().err


def test_each_belt_has_a_dongle_of_its_own() -> None:
    assert _controllers("usb:1", 3) == ["usb:1", "usb:2", "usb:3"]
    assert _controllers("usb:0A12:0001", 1) == ["usb:0A12:0001"]
    assert _controllers("box", 3) == []


def test_a_dongle_that_is_not_there_is_told_with_what_to_look_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    radio = f"unix:{tmp_path}/nobody.sock"
    assert main(["--radio", radio, "--socket", str(tmp_path / "h.sock"), "--for", "1"]) == 2
    assert "is the dongle plugged in" in capsys.readouterr().err


async def test_faults_happen_on_the_air_and_are_told(tmp_path: Path) -> None:
    link, clock = VirtualLink(), HilClock(ClockScale())
    socket = tmp_path / "hci.sock"
    server = await serve_adapters(link, socket)
    fleet = Fleet(clock, link, clock.now_ms())
    belt = fleet.add(load("quiet"), tmp_path / "belt", 1)
    await fleet.start()
    told: list[str] = []

    def tell(fault: Fault, hindrance: str) -> None:
        told.append(f"{fault.text()}{hindrance}")

    try:
        adapter = f"unix:{socket}"
        await hear_beacon(adapter, belt.identity.serial, belt.identity.claim_secret)
        client = await Client(adapter, belt.ready()["address"], belt.identity.claim_secret).open()
        faults = [Fault(0.1, "silence", for_s=3.0), Fault(0.2, "lose", for_s=1.0, percent=100)]
        playing = asyncio.create_task(play_faults(faults, fleet, link, None, tell))
        await asyncio.wait_for(client.disconnected.wait(), 20)
        await playing
        again = await Client(adapter, belt.ready()["address"], belt.identity.claim_secret).open()
        await again.expect(frames.REPORT)
        await play_faults([Fault(0, "hang_up")], fleet, link, None, tell)
        await asyncio.wait_for(again.disconnected.wait(), 20)
        assert told == ["silence of belt 1 for 3 s", "lose of 100 % for 1 s", "hang_up of belt 1"]
    finally:
        await fleet.stop()
        server.close()


async def test_a_belt_on_a_controller_of_its_own_is_heard_and_served(tmp_path: Path) -> None:
    """The controller is Bumble's own, behind a socket as a dongle is behind USB; it knows nothing of belts."""
    link, clock = VirtualLink(), HilClock(ClockScale())
    socket = tmp_path / "hci.sock"
    server = await serve_adapters(link, socket)
    fleet = Fleet(clock, VirtualLink(), clock.now_ms())
    belt = fleet.add(load("quiet"), tmp_path / "belt", 1, controller=f"unix:{socket}")
    assert isinstance(belt.radio, DonglePeripheral)
    await fleet.start()
    try:
        adapter = f"unix:{socket}"
        first, _, _ = await hear_beacon(adapter, belt.identity.serial, belt.identity.claim_secret)
        await hear_beacon(adapter, belt.identity.serial, belt.identity.claim_secret, above=first)
        client = await Client(adapter, belt.ready()["address"], belt.identity.claim_secret).open()
        await client.expect(frames.REPORT)
        await client.ble.disconnect()
        await hear_beacon(adapter, belt.identity.serial, belt.identity.claim_secret, above=first + 1)
    finally:
        await fleet.stop()
        server.close()


def test_the_help_of_a_plan_names_every_kind() -> None:
    from hil.radio import faults

    assert all(kind in (faults.__doc__ or "") for kind in faults.KINDS)
