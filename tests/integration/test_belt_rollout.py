"""Firmware from a staged bundle into belts that run the real firmware, by a gateway that goes on watching beds."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_py.tooling.build import image_of_folder
from firmware_py.tooling.compile import BOARDS, compile_board
from firmware_py.tooling.image import public_bytes
from gateway.app import Gateway
from gateway.checkup_facts import gather
from gateway.commands.update import main
from gateway.config import load_config
from gateway.cores.checkup import checkup
from hil.clock import HilClock
from hil.fleet import DrivenBelt, Fleet
from hil.radio.hci_server import serve_adapters
from hil.radio.link import VirtualLink
from hil.synth import load
from protocol.clock_scale import ENVIRONMENT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SPEED = 6
PATIENCE_S = 300.0
KEY = ec.derive_private_key(0xABCDEF, ec.SECP256R1())
TARGET = (0, 2, 0)
IN_BED = """
title = "In bed all the time"
start = "00:00"
end = "02:00"
seed = {seed}
[resident]
heart_rate_bpm = 62
movements_per_h = 0
turn_overs_per_h = 0
[[event]]
at = "00:00"
kind = "enter"
"""
LEAVES = '[[event]]\nat = "00:{minute:02}:00"\nkind = "exit"\nfor_s = 300\n'


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sleepbelt firmware build` makes for the emulated belt, as version 0.2.0."""
    folder = tmp_path_factory.mktemp("firmware")
    compile_board(BOARDS["emulated"], folder / "emulated")
    slot, sources = folder / "emulated/slot", folder / "emulated/src"
    app = (sources / "firmware_py/belt/app.py").read_text()
    (slot / "firmware_py/belt/app.mpy").unlink()
    newer, changed = re.subn(r"(?m)^VERSION = .*$", f"VERSION = {TARGET}", app)
    assert changed == 1
    (slot / "firmware_py/belt/app.py").write_text(newer)
    return folder


def bundle(folder: Path, firmware: Path, *, is_bad: bool = False) -> Path:
    """A signed bundle; the bad one is signed as well, and dies before any gateway can talk to it."""
    built = folder / "built"
    shutil.copytree(firmware, built)
    if is_bad:
        main_py = built / "emulated/slot/firmware_py/main.mpy"
        main_py.unlink()
        main_py.with_suffix(".py").write_text("import machine\nmachine.reset()\n")
    (built / "emulated/update.img").write_bytes(image_of_folder(built / "emulated/slot", 0, TARGET, KEY))
    board = {"model": 0, "image": "emulated/update.img"}
    (built / "manifest.json").write_text(json.dumps({"version": "0.2.0", "boards": {"emulated": board}}))
    assert main(["keygen", "--out", str(folder / "made")]) == 0
    (folder / "keys").mkdir()
    shutil.copy(folder / "made/public.pem", folder / "keys/site.pem")
    update = folder / "belts.update"
    assert main(["sign", str(built), "--key", str(folder / "made/private.pem"), "--out", str(update)]) == 0
    return update


@asynccontextmanager
async def room(folder: Path, *nights: str) -> AsyncIterator[list[DrivenBelt]]:
    """Belts in one room, their nights running, and the configuration of their gateway."""
    link, clock, socket = VirtualLink(), HilClock(), folder / "hci0.sock"
    server = await serve_adapters(link, socket)
    fleet = Fleet(clock, link, signal_start_ms=clock.now_ms())
    beds = ""
    try:
        for number, night in enumerate(nights):
            state = folder / f"belt{number}"
            state.mkdir()
            identity = {"serial": f"{0x45 + number:02x}" * 8, "claim_secret": "11" * 16}
            identity["update_key"] = public_bytes(KEY).hex()
            (state / "identity.json").write_text(json.dumps(identity))
            file = folder / f"night{number}.toml"
            file.write_text(night)
            fleet.add(load(str(file)), state, None)
            beds += f'[[beds]]\nlabel = "{"AB"[number]}"\nroom = "1"\nserial = "{identity["serial"]}"\n' \
                    f'key = "{"11" * 16}"\n[beds.overrides]\nsettle_s = 20\nwindows = [{{ all_day = true }}]\n'
        file = folder / "gateway.toml"
        file.write_text(
            f'[gateway]\nid = "gw"\ndata_dir = "data"\ntime_trust = "always"\nupdate_keys = "keys"\n'
            f'[radio]\nbackend = "bumble"\nadapter = "unix:{socket}"\n'
            f'[web]\nhost = "127.0.0.1"\nport = 0\nopen_access = true\n{beds}'
        )
        file.chmod(0o600)
        (folder / "data").mkdir()
        await fleet.start()
        yield fleet.belts
    finally:
        await fleet.stop()
        server.close()


@asynccontextmanager
async def gateway_of(folder: Path) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(load_config(folder / "gateway.toml"))
    running = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        gateway.stop()
        await asyncio.wait([running])
        running.result()


async def begin(gateway: Gateway, folder: Path, update: Path) -> None:
    stage = ["stage", str(update), "--config", str(folder / "gateway.toml")]
    assert await asyncio.to_thread(main, stage) == 0
    await gateway.operations.call("belt_update", {"do": "start"}, "tina")


async def until(gateway: Gateway, wanted: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
    """Bed -> how its update stands, the first time it is as wanted; never two of the room at once."""
    beds: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        beds = {bed["bed"]: bed for bed in gateway.rollout.status()["beds"]}
        assert sum(bed["state"] == "running" for bed in beds.values()) <= 1
        if wanted(beds):
            return beds
        await asyncio.sleep(0.05)
    raise AssertionError(f"it did not come about: {gateway.rollout.status()}")


@pytest.fixture(autouse=True)
def compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = time.time()
    monkeypatch.setenv(ENVIRONMENT, f"{now_s:.3f},{now_s:.3f},{SPEED}")


async def test_belts_get_their_firmware_one_after_the_other_over_a_restart_of_the_gateway(
    tmp_path: Path, firmware: Path
) -> None:
    update = bundle(tmp_path, firmware)
    async with room(tmp_path, IN_BED.format(seed=1), IN_BED.format(seed=2)) as belts:
        async with gateway_of(tmp_path) as gateway:
            await begin(gateway, tmp_path, update)
            first = await until(gateway, lambda beds: beds["A"]["sent_bytes"] > 10_000)
            assert first["B"]["state"] == "room_busy"
        async with gateway_of(tmp_path) as gateway:
            again = await until(gateway, lambda beds: beds["A"]["sent_bytes"] > 0)
            assert again["A"]["sent_bytes"] > 10_000  # where the belt had it, not from the beginning
            await until(gateway, lambda beds: all(bed["state"] == "done" for bed in beds.values()))
            assert {bed.state.firmware for bed in gateway.room.beds.values()} == {"0.2.0"}
            assert gateway.rollout.figures() == {
                "belts_update_done": 2, "belts_update_due": 0, "belts_update_failed": 0}
        for belt in belts:
            assert (belt.state_directory / "slot").read_text() == "b"
            assert not (belt.state_directory / "trial").exists()  # the gateway's session has confirmed it
            assert belt.restarts == 1


async def test_a_belt_that_goes_back_from_a_version_keeps_it_from_all_others(tmp_path: Path, firmware: Path) -> None:
    update = bundle(tmp_path, firmware, is_bad=True)
    async with room(tmp_path, IN_BED.format(seed=1), IN_BED.format(seed=2)) as belts, gateway_of(tmp_path) as gateway:
        await begin(gateway, tmp_path, update)
        beds = await until(gateway, lambda beds: beds["A"]["state"] == "given_up")
        assert beds["B"]["state"] == "stopped"
        assert (belts[0].state_directory / "slot").read_text() == "a"
        assert (belts[0].restarts, belts[1].restarts) == (2, 0)
        gateway.room.save()
        await gateway._store.flushed()
        facts, _ = await asyncio.to_thread(gather, tmp_path / "gateway.toml")
        (finding,) = [found for found in checkup(facts) if found.topic == "update"]
        assert (finding.level, "went_back" in finding.found) == ("fail", True)
        assert gateway.rollout.stop("tina")["target"] == ""


async def test_an_absence_in_the_room_stops_a_transfer_until_the_resident_is_back(
    tmp_path: Path, firmware: Path
) -> None:
    update = bundle(tmp_path, firmware)
    nights = IN_BED.format(seed=1), IN_BED.format(seed=2) + LEAVES.format(minute=4)
    async with room(tmp_path, *nights) as belts, gateway_of(tmp_path) as gateway:
        await until(gateway, lambda _: gateway.room.views(gateway.room.now())["B"].out_since_ms is not None)
        await begin(gateway, tmp_path, update)
        await asyncio.sleep(3.0)
        waiting = await until(gateway, lambda beds: beds["A"]["state"] == "absence_open")
        assert waiting["A"]["sent_bytes"] == 0
        assert belts[0].restarts == 0
        await until(gateway, lambda beds: beds["A"]["sent_bytes"] > 0)
        assert gateway.room.views(gateway.room.now())["B"].out_since_ms is None
