"""Processes killed, stalled and restarted at random between a gateway's store and the cloud's database; then a count.

    python -m tools.soak_faults [--faults 300] [--seed 1]

Two receivers share one database and one broker; a stranger sends recorded batches again, in any order. At the end every
reading that the gateway's store has committed must be in the database once, and no seq may be missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.integration.cloud.parts import Broker, Receiver
from tools.fault_gateway import BEDS, GATEWAY

FAULTS = ("kill gateway", "kill receiver", "stall receiver", "stall gateway", "restart broker", "repeat batches")
PAUSE_S = 0.5
STALL_S = 1.0
DRAIN_S = 60.0
RECORDED_MAX = 500


class Gateway:
    """tools.fault_gateway as a process that is started again whenever it was killed."""

    def __init__(self, folder: Path, url: str, minutes: int) -> None:
        self._command = [sys.executable, "-m", "tools.fault_gateway", str(folder), url, str(minutes)]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def finish(self, timeout_s: float) -> bool:
        assert self.process is not None
        try:
            return "done" in self.process.communicate(timeout=timeout_s)[0]
        except subprocess.TimeoutExpired:
            return False


class Repeater:
    """Hears all batches and publishes old ones again when asked."""

    def __init__(self, port: int, draw: random.Random) -> None:
        self._draw, self._recorded = draw, list[tuple[str, bytes]]()
        self._lock = threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = self._subscribe
        self._client.on_message = self._record
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _subscribe(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe([(f"sb/v1/{GATEWAY}/{lane}", 1) for lane in ("vitals", "alarm")])

    def _record(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            self._recorded = [*self._recorded[-RECORDED_MAX:], (message.topic, bytes(message.payload))]

    def repeat(self) -> None:
        with self._lock:
            recorded = list(self._recorded)
        for topic, payload in self._draw.sample(recorded, min(20, len(recorded))):
            self._client.publish(topic, payload, 1)

    def stop(self) -> None:
        self._client.loop_stop()


@contextlib.contextmanager
def _stalled(process: subprocess.Popen[str] | None) -> Iterator[None]:
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def soak(faults: int, seed: int, folder: Path, say: bool = False) -> dict[str, Any]:
    """Let so many faults happen; what was expected in the database and what is there."""
    draw = random.Random(seed)
    minutes = max(60, faults * 20)
    broker = Broker()
    receivers = [Receiver(folder / "cloud", broker.url) for _ in range(2)]
    gateway = Gateway(folder / "gateway", broker.url, minutes)
    broker.start()
    for receiver in receivers:
        receiver.start()
    gateway.start()
    repeater = Repeater(broker.port, draw)
    done: dict[str, int] = dict.fromkeys(FAULTS, 0)
    try:
        for number in range(faults):
            time.sleep(PAUSE_S * draw.random())
            # Each kind comes once before chance decides.
            fault = FAULTS[number] if number < len(FAULTS) else draw.choice(FAULTS)
            _happen(fault, draw, broker, receivers, gateway, repeater)
            done[fault] += 1
            if say:
                print(f"\r{number + 1} faults ", end="", file=sys.stderr, flush=True)
        drained = gateway.finish(DRAIN_S + minutes * 0.05)
    finally:
        repeater.stop()
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.kill()
        for receiver in receivers:
            receiver.stop()
        broker.stop()
    return {"faults": done, "drained": drained, "expected": minutes * BEDS * 60, "alarms expected": minutes,
            **_found(folder / "cloud" / "receiver.db")}  # fmt: skip


def _happen(
    fault: str, draw: random.Random, broker: Broker, receivers: Sequence[Receiver], gateway: Gateway, repeater: Repeater
) -> None:
    receiver = draw.choice(receivers)
    if fault == "kill gateway" and gateway.process is not None and gateway.process.poll() is None:
        gateway.kill()
        gateway.start()
    elif fault == "kill receiver":
        receiver.kill()
        receiver.start()
    elif fault == "stall receiver":
        with _stalled(receiver.process):
            time.sleep(STALL_S * draw.random())
    elif fault == "stall gateway" and gateway.process is not None and gateway.process.poll() is None:
        with _stalled(gateway.process):
            time.sleep(STALL_S * draw.random())
    elif fault == "restart broker":
        broker.stop()
        time.sleep(STALL_S * draw.random())
        broker.start()
    else:
        repeater.repeat()


def _found(database: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(database)) as db:
        counts = dict(db.execute("SELECT name, sum(value) FROM counters GROUP BY name").fetchall())
        return {
            "readings": counts.get("readings", 0),
            "in minutes": db.execute("SELECT coalesce(sum(readings), 0) FROM minutes").fetchone()[0],
            "alarms": db.execute("SELECT count(*) FROM alarms").fetchone()[0],
            "repeated": counts.get("duplicates", 0),
            "conflicts": counts.get("conflicts", 0),
            "missing": db.execute("SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM gaps").fetchone()[0],
            "quarantined": db.execute("SELECT count(*) FROM quarantine").fetchone()[0],
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak_faults", description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="sleepbelt-faults-") as folder:
        found = soak(arguments.faults, arguments.seed, Path(folder), say=True)
    print(json.dumps(found, indent=1))
    return 0 if is_clean(found) else 1


def is_clean(found: dict[str, Any]) -> bool:
    """Everything arrived, once."""
    return bool(
        found["drained"]
        and found["readings"] == found["in minutes"] == found["expected"]
        and found["alarms"] == found["alarms expected"]
        and found["conflicts"] == found["missing"] == found["quarantined"] == 0
    )


if __name__ == "__main__":
    sys.exit(main())
