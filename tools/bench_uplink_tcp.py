"""What bench_uplink measures on its narrow link, over the kernel's TCP: alarms while a backlog drains.

bench_uplink passes bytes on between local connections, which hides what TCP itself does: its windows, its waiting for
confirmations. Here gateway and platform are in network namespaces of their own, and a TUN device in each hands its IP
packets to a link of the same rate and delay. Link use counts these packets whole. Linux, root.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

from cloud_sync.clock import Clock
from cloud_sync.mqtt import BrokerError
from cloud_sync.uplink import Uplink, UplinkSettings
from gateway.store import Store
from protocol.clock_scale import REAL_TIME
from tests.integration.cloud.parts import GATEWAY, Mosquitto, Receiver, Shape, running
from tools.bench_rows import Row, print_rows, row
from tools.bench_uplink import (
    DAYS_BEHIND_ALARMS,
    NARROW,
    PATIENCE_S,
    SOURCE,
    Alarms,
    TimedOutbox,
    backlog,
    drain_with_alarms,
    listen,
)

PLATFORM, ROOM = "10.91.0.1", "10.91.0.2"
MTU = 1400
CLONE_NEWNET, TUNSETIFF, IFF_TUN_NO_PI = 0x4000_0000, 0x4004_54CA, 0x1001
_libc = ctypes.CDLL(None, use_errno=True)


def _new_namespace() -> int:
    """Put this thread into a network namespace of its own; a handle of it."""
    if _libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "network namespaces are not permitted")
    return os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _device(own: str, peer: str) -> int:
    """A TUN device in this thread's namespace; what is read are IP packets."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"tun0", IFF_TUN_NO_PI))
    for command in ("link set lo up", f"address add {own} peer {peer} dev tun0", f"link set tun0 mtu {MTU} up"):
        subprocess.run(["ip", *command.split()], check=True)
    return device


class _Direction:
    """Passes packets on at the link's rate, after its delay; what finds the queue full is lost."""

    def __init__(self, shape: Shape, source: int, target: int) -> None:
        self._shape, self._source, self._target = shape, source, target
        self.carried = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        bytes_per_s = self._shape.bits_per_s / 8
        under_way: deque[tuple[float, bytes]] = deque()
        free_s = 0.0
        while True:
            now_s = time.monotonic()
            while under_way and under_way[0][0] <= now_s:
                os.write(self._target, under_way.popleft()[1])
            wait_s = max(0.0, under_way[0][0] - now_s) if under_way else 1.0
            if not select.select([self._source], [], [], wait_s)[0]:
                continue
            packet, now_s = os.read(self._source, 2 * MTU), time.monotonic()
            if (free_s - now_s) * bytes_per_s > self._shape.queue_bytes:
                continue
            free_s = max(free_s, now_s) + len(packet) / bytes_per_s
            self.carried += len(packet)
            under_way.append((free_s + self._shape.delay_s, packet))


def _listen(url: str, alarms: Alarms) -> None:
    with contextlib.suppress(BrokerError):  # the broker ends first
        asyncio.run(listen(url, alarms))


async def _measure(folder: Path) -> list[Row]:
    chunks = backlog(folder / "gateway", DAYS_BEHIND_ALARMS)
    platform = _new_namespace()
    device = _device(PLATFORM, ROOM)
    broker = Mosquitto(folder / "broker", PLATFORM)
    receiver = Receiver(folder / "cloud", broker.url)
    alarms = Alarms()
    with running(broker, receiver):
        # A thread stays in the namespace of who started it.
        threading.Thread(target=_listen, args=(broker.url, alarms), daemon=True).start()
        room = _new_namespace()
        other = _device(ROOM, PLATFORM)
        up, _down = _Direction(NARROW, other, device), _Direction(NARROW, device, other)
        store = await Store.open(folder / "gateway")
        uplink = Uplink(TimedOutbox(store, alarms), UplinkSettings(broker.url, GATEWAY, flush_s=1.0), Clock(REAL_TIME))
        tasks = [asyncio.create_task(task) for task in (store.run(), uplink.run())]
        try:
            async with asyncio.timeout(PATIENCE_S):
                used = await drain_with_alarms(store, uplink, alarms, chunks, NARROW, lambda: up.carried)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await store.close()
        _enter(platform)
        os.close(room)
    at_broker = alarms.late_ms(alarms.arrived_s)
    name = "alarm while a backlog drains, 256 kbit/s, 100 ms, TCP"
    return [
        row(f"{name}: p99 to the platform", statistics.quantiles(at_broker, n=100)[98], "ms", limit=400, source=SOURCE),
        row(f"{name}: p50 to the platform", statistics.median(at_broker), "ms"),
        row(f"{name}: alarms", len(at_broker), ""),
        row("link use meanwhile, TCP, IP packets", 100 * used, "%", peer=85, source="issue 6: at least"),
    ]


def main() -> int:
    if os.geteuid() != 0:
        print("bench: uplink_tcp: not measured: needs root for network namespaces (sudo make bench)", file=sys.stderr)
        print_rows([])
        return 0
    with tempfile.TemporaryDirectory(prefix="sleepbelt-uplink-tcp-") as folder:
        try:
            found = asyncio.run(_measure(Path(folder)))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"bench: uplink_tcp: not measured: {error}", file=sys.stderr)
            found = []
    print_rows(found)
    sys.stdout.flush()
    os._exit(0)  # threads read devices for ever


if __name__ == "__main__":
    main()
