"""The standard services as programs of others read them, through the real bluetoothd: an independent check."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

from tests.ward import Ward

ROOT = Path(__file__).parents[2]
FOREIGN = ROOT / "build" / "foreign"
TIMEOUT_S = 300.0

STOCK_BLEAK = """
import asyncio, json, sys
from bleak import BleakClient, BleakScanner
async def main():
    device = await BleakScanner.find_device_by_address(sys.argv[1], timeout=90)
    async with BleakClient(device, timeout=60) as client:
        maker = (await client.read_gatt_char("2a29")).decode()
        battery = (await client.read_gatt_char("2a19"))[0]
        heard = asyncio.Queue()
        await client.start_notify("2a37", lambda _, value: heard.put_nowait(bytes(value)))
        value = await asyncio.wait_for(heard.get(), 60)
        print(json.dumps({"maker": maker, "battery": battery, "heart_rate": value[1]}))
asyncio.run(main())
"""


async def run(*command: str, says: str | None = None) -> str:
    """What a program prints, as the user that the box's bus takes everybody for."""
    prefix = () if os.getuid() == 0 else ("unshare", "--map-root-user")
    process = await asyncio.create_subprocess_exec(
        *prefix, *command, stdin=asyncio.subprocess.PIPE if says else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=os.environ | {"NODE_PATH": ""},
    )  # fmt: skip
    async with asyncio.timeout(TIMEOUT_S):
        out, _ = await process.communicate(says.encode() if says else None)
    text = out.decode(errors="replace")
    assert process.returncode == 0, text
    return text


def address(ward: Ward) -> str:
    return str(ward.fleet.belts[0].ready()["address"])


def check(text: str) -> None:
    said = json.loads(text.strip().splitlines()[-1])
    assert said["maker"] == "sleepbelt"
    assert 0 <= said["battery"] <= 100
    assert 40 <= said["heart_rate"] <= 90


async def test_bleaks_stock_client_reads_the_standard_services(ward: Ward) -> None:
    check(await run(str(FOREIGN / "bin" / "python"), "-c", STOCK_BLEAK, address(ward)))


async def test_simplepyble_reads_the_standard_services(ward: Ward) -> None:
    check(await run(str(FOREIGN / "bin" / "python"), str(ROOT / "tools/foreign/read_simplepyble.py"), address(ward)))


async def test_node_ble_reads_the_standard_services(ward: Ward) -> None:
    script = (ROOT / "tools/foreign/read_node_ble.js").read_text()
    (FOREIGN / "read_node_ble.js").write_text(script)
    check(await run("node", str(FOREIGN / "read_node_ble.js"), address(ward)))


async def test_labmcp_ble_health_finds_nothing_to_complain_of(ward: Ward) -> None:
    said = await run(
        str(FOREIGN / "bin" / "labmcp-ble-health"), "--address", address(ward), "--option", "connect_timeout_s=60",
        "--check",
    )  # fmt: skip
    assert re.search(r"heart.?rate", said, re.IGNORECASE)
    assert "sleepbelt" in said
    assert "malformed" not in said.lower() or re.search(r"malformed\D*0\b", said.lower())


async def test_bluetoothctl_lists_and_reads_the_standard_services(ward: Ward) -> None:
    belt = address(ward)
    script = f"""
(sleep 1; echo scan on; sleep 12; echo scan off; echo connect {belt}; sleep 12; echo menu gatt
 echo list-attributes {belt}; sleep 2
 echo select-attribute 00002a29-0000-1000-8000-00805f9b34fb; echo read; sleep 3
 echo select-attribute 00002a37-0000-1000-8000-00805f9b34fb; echo notify on; sleep 8
 echo back; echo disconnect {belt}; sleep 2; echo quit) | bluetoothctl
"""
    said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\r", "", await run("sh", "-c", script))
    assert "Heart Rate Measurement" in said
    assert "73 6c 65 65 70 62 65 6c 74" in said  # sleepbelt
    assert re.search(r"\b0[46] [2-5][0-9a-f]\b", said.partition("notify on")[2]), said[-2000:]
