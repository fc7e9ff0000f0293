"""The gateway as a process with 1 and 8 emulated belts (real firmware, real time): start, memory, CPU a reading."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO, Any

import psutil

from hil.demo.plan import DemoBed, gateway_toml
from tools.bench_rows import GATEWAY_IMPORTS, Row, appliance_environment, print_rows, row

MEASURE_S = 30
SETTLE_S = 6
MIB = 1 << 20
PEERS = "facts/PEERS.md"


def _imports() -> list[Row]:
    """Memory of the gateway's modules without the emulated Bluetooth stack that `backend = "bumble"` adds."""
    script = f"{GATEWAY_IMPORTS}; import psutil; print(psutil.Process().memory_info().rss)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=appliance_environment())
    rss = int(done.stdout)
    return [row("gateway_import_rss", rss / MIB, "MiB", limit=48, source="aim of facts/PEERS.md, Pi Zero 2 W")]


def _ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    stdout: IO[str] | None = process.stdout
    assert stdout is not None
    for line in stdout:
        said = json.loads(line)
        if said.get("event") == "ready":
            return dict(said)
    raise SystemExit(f"bench: {process.args!r} ended before it was ready")


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=appliance_environment(),
    )  # fmt: skip


def _stats(page: str) -> dict[str, Any]:
    with urllib.request.urlopen(page.rstrip("/") + "/api/stats", timeout=10) as answer:
        return dict(json.load(answer))


def _first_reading_s(page: str, began: float) -> float:
    while not _stats(page)["readings_received"]:
        time.sleep(0.02)
    return time.monotonic() - began


def _with_belts(count: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="sleepbelt-bench-") as name:
        folder = Path(name)
        socket = folder / "hci0.sock"
        belts = _start("hil", "--json", "--belts", str(count), "--night", "quiet", "restless", "frail",
                       "--socket", str(socket), "--state-dir", str(folder / "belts"))
        gateway = None
        try:
            listed = _ready(belts)["belts"]
            beds = [DemoBed(f"bed-{n}", "1", "") for n in range(count)]
            config = folder / "gateway.toml"
            text = gateway_toml(folder / "data", f"unix:{socket}", listed, None, 0, beds)
            config.write_text(text.replace("[radio]", f"[radio]\nconnections_max = {count}"), "utf-8")
            config.chmod(0o600)
            began = time.monotonic()
            gateway = _start("run", "--json", "--config", str(config))
            page = _ready(gateway)["page"]
            ready_s = time.monotonic() - began
            first_s = _first_reading_s(page, began)
            time.sleep(SETTLE_S)
            process = psutil.Process(gateway.pid)
            before, cpu = _stats(page)["readings_received"], process.cpu_times()
            time.sleep(MEASURE_S)
            readings = _stats(page)["readings_received"] - before
            after = process.cpu_times()
            cpu_s = after.user + after.system - cpu.user - cpu.system
            rss = process.memory_info().rss
        finally:
            for part in (gateway, belts):
                if part is not None:
                    part.terminate()
                    part.wait(20)
    label = f"gateway_{count}_belts"
    return [
        row(f"{label}_start_to_ready", ready_s, "s", limit=3, source=PEERS),
        row(f"{label}_start_to_first_reading", first_s, "s", peer=5.4, source="Theengs Gateway, facts/PEERS.md"),
        row(f"{label}_rss_with_emulated_radio", rss / MIB, "MiB", limit=64, source=PEERS),
        # The emulated radio is a whole Bluetooth host in Python, in this process: on BlueZ that work is bluetoothd's.
        row(f"{label}_cpu_per_reading_with_emulated_radio", 1000 * cpu_s / max(1, readings), "ms"),
        row(f"{label}_readings_per_belt_second", readings / MEASURE_S / count, "1/s"),
    ]


if __name__ == "__main__":
    print_rows([*_imports(), *_with_belts(1), *_with_belts(8)])
