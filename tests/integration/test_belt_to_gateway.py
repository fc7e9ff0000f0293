"""Belt to alarm over the real path: real firmware, an emulated radio, the gateway as its own process, killed once."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.store_files import StoreFiles
from protocol.batch import VitalsChunk, decode_item
from protocol.clock_scale import ENVIRONMENT
from tests.asleep import Sleeper, alarms_of, night, write_gateway

SPEED = 20
WARM_UP_S = 6.0
PATIENCE_S = 45.0


class Process:
    """`sleepbelt ARGUMENTS` that prints JSON lines."""

    def __init__(self, log: Path, *arguments: str) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", *arguments], stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        self._process.send_signal(number)
        out, _ = self._process.communicate(timeout=30)
        return out


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A belt in its night, and the configuration of a gateway that hears it; the folder."""
    at_s = time.time() + WARM_UP_S
    monkeypatch.setenv(ENVIRONMENT, f"{at_s:.3f},{at_s:.3f},{SPEED}")
    (tmp_path / "night.toml").write_text(night(7, [("00:02:30", 900)], end="00:20"))
    socket = tmp_path / "hci0.sock"
    belts = Process(
        tmp_path / "belts.log", "hil", "--belts", "1", "--night", str(tmp_path / "night.toml"), "--socket",
        str(socket), "--state-dir", str(tmp_path / "belts"), "--seed", "3", "--json",
    )  # fmt: skip
    try:
        (belt,) = belts.line()["belts"]
        sleeper = Sleeper("A", belt["serial"], belt["key"])
        write_gateway(tmp_path, "bumble", f"unix:{socket}", [sleeper], "allowed_s = 60\nescalate_after_s = 600\n")
        yield tmp_path
    finally:
        belts.end()


def gateway(room: Path) -> tuple[Process, str]:
    process = Process(room / "gateway.log", "run", "--config", str(room / "gateway.toml"), "--json")
    return process, str(process.line()["page"])


def until(page: str, wanted: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """The first state of the bed that is wanted."""
    deadline = time.monotonic() + PATIENCE_S
    bed: dict[str, Any] = {}
    while time.monotonic() < deadline:
        bed = httpx.get(page + "api/board").json()["beds"][0]
        if wanted(bed):
            return bed
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come within {PATIENCE_S:g} s; the bed is {bed}")


def acknowledge(page: str) -> int:
    with httpx.Client(base_url=page) as client:
        found = re.search(r'<meta name="csrf" content="([0-9a-f]+)">', client.get("/").text)
        assert found is not None
        return client.post("/api/beds/A/acknowledge", headers={"X-CSRF-Token": found[1]}).status_code


@pytest.mark.slow
def test_an_exit_alarms_over_a_kill_of_the_gateway_and_is_answered_on_the_page(room: Path) -> None:
    process, page = gateway(room)
    try:
        until(page, lambda bed: bed["armed"], "an armed bed")
        out = until(page, lambda bed: bed["deadline_ms"] is not None, "a running absence")
        process.end(signal.SIGKILL)

        process, page = gateway(room)
        alarmed = until(page, lambda bed: bed["alarm"]["state"] == "unacknowledged", "the alarm")
        assert alarmed["out_since_ms"] == out["out_since_ms"]
        assert acknowledge(page) == 200
        until(page, lambda bed: bed["alarm"]["state"] == "acknowledged", "the acknowledgement")
    finally:
        summary = json.loads(process.end())
    assert summary["alarms_raised"] == 1
    assert summary["readings_received"] == summary["readings_stored"] > 0
    _check_store(room, out)


def _check_store(room: Path, out: dict[str, Any]) -> None:
    files = StoreFiles(room / "data")
    vitals_lane = [decode_item(item.body) for item in files.pending("vitals", 0, 10**7)]
    files.close()
    events = alarms_of(room)
    assert [event.event for event in events if event.event in ("exit", "alarm_raise", "ack")] == [
        "exit", "alarm_raise", "ack"
    ]  # fmt: skip
    raised = next(event for event in events if event.event == "alarm_raise")
    late_s = (raised.at.elapsed_ms - out["out_since_ms"]) / 1000 - 60
    assert 0 <= late_s < 60  # never early; later only by as long as the gateway was down
    seconds = [
        (chunk.boot_id, reading.second)
        for chunk in vitals_lane if isinstance(chunk, VitalsChunk) for reading in chunk.readings
    ]
    assert len(seconds) > 100
    assert len(set(seconds)) >= 0.95 * len(seconds)
