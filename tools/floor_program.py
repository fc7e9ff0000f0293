"""The least that a gateway can be: bleak's notifications into an SQLite outbox, committed in groups; no rules, no keys.

The "60-line floor" of facts/PEERS.md, to be measured on this machine beside the gateway (tools/bench_peers.py).
`python -m tools.floor_program DATABASE BELTS` prints how many notifications it has committed, once a second.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from functools import partial

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice

from protocol.wire import gatt

COMMIT_S = 0.5


async def run(database: str, belts: int) -> None:
    """Subscribe to every belt, store what comes, for ever."""
    outbox = sqlite3.connect(database, check_same_thread=False)
    outbox.execute("PRAGMA journal_mode = WAL")
    outbox.execute("PRAGMA synchronous = FULL")
    outbox.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, at_ms INTEGER, belt TEXT, value BLOB)")
    waiting: list[tuple[int, str, bytes]] = []

    def commit(rows: list[tuple[int, str, bytes]]) -> None:
        with outbox:
            outbox.executemany("INSERT INTO outbox (at_ms, belt, value) VALUES (?, ?, ?)", rows)

    def heard(belt: str, _: BleakGATTCharacteristic, value: bytearray) -> None:
        waiting.append((time.time_ns() // 1_000_000, belt, bytes(value)))

    found: dict[str, BLEDevice] = {}
    async with BleakScanner(service_uuids=[gatt.SERVICE]) as scanner:
        async for device, _ in scanner.advertisement_data():
            found[device.address] = device
            if len(found) == belts:
                break
    clients = [BleakClient(device) for device in found.values()]
    for client in clients:
        await client.connect()
        await client.start_notify(gatt.TX, partial(heard, client.address))
    stored, told_s = 0, time.monotonic()
    while True:
        await asyncio.sleep(COMMIT_S)
        if waiting:
            rows, waiting = waiting, []
            await asyncio.to_thread(commit, rows)
            stored += len(rows)
        if time.monotonic() - told_s >= 1:
            told_s = time.monotonic()
            print(stored, flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
