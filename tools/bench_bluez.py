"""The gateway on real BlueZ (kernel and bluetoothd in a virtual machine) with 8 belts: start, memory, CPU, recoveries.

Beside each figure stands a peer's of facts/PEERS.md, measured there with the same number of belts at the same rate. The
machine's processor is emulated and the belts' firmware runs beside it, so times here are on the slow side.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from hil.clock import HilClock
from hil.demo.plan import DemoBed, gateway_toml
from hil.fleet import Fleet
from hil.radio.box import Box
from hil.radio.hci_server import serve_adapters
from hil.radio.link import VirtualLink
from hil.synth import load
from protocol.clock_scale import ClockScale
from tools.bench_rows import Row, appliance_environment, print_rows, row

BELTS = 8
MEASURE_S = 60.0
SETTLE_S = 8.0
START_OVER_S = 100.0  # by then what is done once is done: the first commit of minutes, the first look at their night
PATIENCE_S = 90.0
MIB = 1 << 20
PEERS = "facts/PEERS.md"
FLOOR = "60-line floor"
OTHERS: dict[str, dict[str, float]] = {  # facts/PEERS.md, the lower figure where it has a span
    "rss": {"Theengs Gateway": 39, "ble2mqtt": 30, "ThingsBoard": 67, FLOOR: 31},
    "cpu_per_reading": {"Theengs Gateway": 1.6, "ble2mqtt": 0.6, "ThingsBoard": 5, FLOOR: 0.5},
    "start_to_first_reading": {"Theengs Gateway": 5.4, "ble2mqtt": 5.5, "ThingsBoard": 12.5, FLOOR: 0.7},
    "kill_9_to_first_reading": {"Theengs Gateway": 5, "ble2mqtt": 5, FLOOR: 0.7},
    "all_links_drop_to_first_session": {FLOOR: 1},
}


class Gateway:
    """A gateway process that hears the belts through the box."""

    def __init__(self, config: Path, environment: dict[str, str]) -> None:
        self._config, self._environment = config, environment
        self.process: subprocess.Popen[str] | None = None
        self.page = ""

    async def start(self) -> float:
        """Seconds until it says that it is ready."""
        began = time.monotonic()
        self.page = json.loads(await asyncio.to_thread(self._start))["page"]
        return time.monotonic() - began

    def _start(self) -> str:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "run", "--json", "--config", str(self._config)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**appliance_environment(), **self._environment},
        )  # fmt: skip
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def get(self, path: str) -> dict[str, Any]:
        """An answer of its page; {} if there is none."""
        try:
            with urllib.request.urlopen(self.page.rstrip("/") + path, timeout=5) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
        except OSError:
            return {}

    async def until(self, condition: Callable[[], bool], since: float) -> float:
        """Seconds from `since` until it holds."""
        while time.monotonic() - since < PATIENCE_S:
            if await asyncio.to_thread(condition):
                return time.monotonic() - since
            await asyncio.sleep(0.05)
        raise SystemExit("bench: bluez: not in time; see facts/RADIO.md for what may be wrong")

    def readings(self) -> int:
        return int(self.get("/api/stats").get("readings_received", 0))

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


def bluez_config(folder: Path, text: str) -> Path:
    """The demo's configuration for BlueZ and a slot for every belt, on a machine whose clock is set."""
    for old, new in (('backend = "bumble"', 'backend = "bluez"'), ('adapter = ""', f"connections_max = {BELTS}"),
                     ("[radio]", 'time_trust = "always"\n\n[radio]')):  # fmt: skip
        text = text.replace(old, new)
    config = folder / "gateway.toml"
    config.write_text(text, "utf-8")
    config.chmod(0o600)
    return config


def beside(name: str, what: str, value: float, unit: str) -> list[Row]:
    """The figure beside each peer's."""
    return [row(f"{name}{what}_beside_{peer.split()[0].lower()}", value, unit, peer=figure, source=f"{peer}, {PEERS}")
            for peer, figure in OTHERS[what].items()]  # fmt: skip


async def spent(process: psutil.Process, count: Callable[[], int]) -> tuple[int, float, float]:
    """(how many of what is counted, CPU ms and times woken for each) over MEASURE_S."""
    before, cpu, woken = count(), process.cpu_times(), process.num_ctx_switches().voluntary
    await asyncio.sleep(MEASURE_S)
    done, after = max(1, count() - before), process.cpu_times()
    woken = process.num_ctx_switches().voluntary - woken
    return done, 1000 * (after.user + after.system - cpu.user - cpu.system) / done, woken / done


async def _steady(gateway: Gateway) -> list[Row]:
    """Start, then what it takes while 8 belts report each second."""
    began = time.monotonic()
    ready_s = await gateway.start()
    first_s = await gateway.until(lambda: gateway.readings() > 0, began)
    await gateway.until(lambda: gateway.get("/api/stats").get("belts_heard") == BELTS, began)
    await asyncio.sleep(START_OVER_S)
    assert gateway.process is not None
    process = psutil.Process(gateway.process.pid)
    readings, cpu_ms, woken = await spent(process, gateway.readings)
    name, rss = f"bluez_{BELTS}_belts", process.memory_info().rss / MIB
    return [
        row(f"{name}_start_to_ready_to_alarm", ready_s, "s", limit=3, source=PEERS),
        *beside(f"{name}_", "start_to_first_reading", first_s, "s"),
        row(f"{name}_rss", rss, "MiB", limit=48, source=f"{PEERS}; at most 64"),
        *beside(f"{name}_", "rss", rss, "MiB"),
        row(f"{name}_threads", process.num_threads(), "", peer=2, source=f"Theengs Gateway, {FLOOR}"),
        row(f"{name}_cpu_per_reading", cpu_ms, "ms", limit=1, source=PEERS),
        *beside(f"{name}_", "cpu_per_reading", cpu_ms, "ms"),
        # A cost that other load on the machine does not change: how often the process was woken.
        row(f"{name}_wakeups_per_reading", woken, ""),
        row(f"{name}_readings_per_belt_second", readings / MEASURE_S / BELTS, "1/s"),
    ]


async def _recoveries(gateway: Gateway, box: Box, link: VirtualLink) -> list[Row]:
    """What fails in a room, and how long until readings are back."""
    rows = []
    sessions = gateway.get("/api/stats").get("radio_sessions", 0)
    began = time.monotonic()
    link.adapters[0].drop_connections()
    await gateway.until(lambda: gateway.get("/api/stats").get("radio_sessions", 0) > sessions, began)
    first_s = time.monotonic() - began
    rows.append(row("bluez_all_links_drop_to_first_session", first_s, "s", limit=2, source=PEERS))
    rows += beside("bluez_", "all_links_drop_to_first_session", first_s, "s")
    # One belt after the other: BlueZ takes .4 s for a connect (facts/RADIO.md); their beacons are heard meanwhile.
    all_s = await gateway.until(lambda: gateway.get("/api/stats").get("radio_sessions", 0) >= sessions + BELTS, began)
    rows.append(row(f"bluez_all_links_drop_to_{BELTS}_sessions", all_s, "s"))
    await gateway.until(lambda: gateway.get("/api/stats").get("belts_heard") == BELTS, began)
    await asyncio.sleep(SETTLE_S)

    lost = gateway.get("/api/stats").get("records_lost", 0)
    rows.append(row("bluez_all_links_drop_records_lost", lost, "", limit=0, source=f"{PEERS}; {FLOOR}: 0"))
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait()
    began = time.monotonic()
    await gateway.start()
    back_s = await gateway.until(lambda: gateway.readings() > 0, began)
    rows.append(row("bluez_kill_9_to_first_reading", back_s, "s", limit=1.5, source=PEERS))
    rows += beside("bluez_", "kill_9_to_first_reading", back_s, "s")
    await asyncio.sleep(SETTLE_S)

    began = time.monotonic()
    await box.kill_bluetoothd()
    await box.start_bluetoothd()
    before = gateway.readings()
    # Readings that were on their way do not count: the links died with bluetoothd.
    await asyncio.sleep(1.0)
    before = max(before, gateway.readings())
    back_s = await gateway.until(lambda: gateway.readings() > before, began)
    rows.append(row("bluez_bluetoothd_dies_to_readings", back_s, "s", limit=5, source=f"{PEERS}; Theengs: never"))
    await asyncio.sleep(SETTLE_S)

    began = time.monotonic()
    await box.kill_bluetoothd()
    told_s = await gateway.until(lambda: gateway.get("/api/health").get("state") == "degraded", began)
    rows.append(row("bluez_gone_to_health_degraded", told_s, "s", limit=15, source=f"{PEERS}; peers: never told"))
    return rows


async def _measure() -> list[Row]:
    appliance_environment()  # before any clock runs
    with tempfile.TemporaryDirectory(prefix="sleepbelt-bench-") as name:
        folder = Path(name)
        link = VirtualLink()
        server = await serve_adapters(link, folder / "hci0.sock")
        clock = HilClock(ClockScale())
        fleet = Fleet(clock, link, clock.now_ms())
        for number in range(BELTS):
            fleet.add(load(("quiet", "restless", "frail")[number % 3]), folder / f"belt{number}", seed=number)
        box = await Box.start([folder / "hci0.sock"])
        gateway: Gateway | None = None
        try:
            await fleet.start()
            await box.attach(0)
            beds = [DemoBed(f"bed-{number}", "1", "") for number in range(BELTS)]
            text = gateway_toml(folder / "data", "", [belt.ready() for belt in fleet.belts], None, 0, beds)
            gateway = Gateway(bluez_config(folder, text), box.environment())
            return [*await _steady(gateway), *await _recoveries(gateway, box, link)]
        finally:
            if gateway is not None:
                await asyncio.to_thread(gateway.end)
            await fleet.stop()
            await box.stop()
            server.close()


if __name__ == "__main__":
    if shutil.which("qemu-system-x86_64") is None:
        raise SystemExit("bench: bluez needs QEMU; tools/setup.sh hil installs it")
    print_rows(asyncio.run(_measure()))
