"""Faults at random between a gateway's store and the cloud's database; then a count.

    python -m tools.soak_faults [--faults 300] [--seed 1] [--database sqlite]

Gateway, mosquitto, PostgreSQL (or the SQLite file) and two receivers that share it: each part is killed, stalled or
restarted, the network on either side of the broker is parted, and a stranger sends recorded batches again, in any
order. At the end every reading that the gateway's store has committed must be in the database once, and no seq may be
missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from cloud_sync.receiver.stores.database import Database
from cloud_sync.receiver.stores.minute_sums import FIELDS, MINUTE_MS, unpack_minutes
from cloud_sync.receiver.stores.opening import open_existing
from tests.cloud_sync.postgres_server import PostgresServer
from tests.integration.cloud.parts import Mosquitto, Network, Receiver
from tools.fault_gateway import BEDS, GATEWAY

FAULTS = (
    *("kill gateway", "kill receiver", "kill broker", "stall gateway", "stall receiver", "part gateway"),
    *("part receivers", "restart broker", "stall database", "repeat batches"),
)
SERVER_FAULTS = ("restart database",)
PAUSE_S = 0.5
STALL_S = 1.0
REPEAT_S = 10.0
MINUTES_PER_FAULT = 8  # 300 faults are 1.15 million readings
DRAIN_S = 60.0
COMMIT_S_MAX = 1.0  # of a minute of the gateway, on a machine that does many other things at once
RECORDED_MAX = 500


class Gateway:
    """tools.fault_gateway as a process that is started again whenever it was killed."""

    def __init__(self, folder: Path, url: str, minutes: int) -> None:
        self._command = [sys.executable, "-m", "tools.fault_gateway", str(folder), url, str(minutes)]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

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

    def repeat(self) -> bool:
        """Whether there was something to repeat and the broker has it."""
        until_s = time.monotonic() + REPEAT_S
        while not (self._recorded and self._client.is_connected()):
            if time.monotonic() > until_s:
                return False
            time.sleep(0.05)
        with self._lock:
            recorded = list(self._recorded)
        chosen = self._draw.sample(recorded, min(20, len(recorded)))
        said = [self._client.publish(topic, payload, 1) for topic, payload in chosen]
        with contextlib.suppress(RuntimeError):  # the connection broke
            for one in said:
                one.wait_for_publish(REPEAT_S)
            return all(one.is_published() for one in said)
        return False

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


class Site:
    """All parts, running."""

    def __init__(self, folder: Path, minutes: int, draw: random.Random, on_server: bool) -> None:
        self.draw = draw
        self.broker = Mosquitto(folder / "broker")
        self.gateway_side, self.receiver_side = Network(self.broker.port), Network(self.broker.port)
        self.server = PostgresServer("faults") if on_server else None
        self.where: Path | str = folder / "cloud" / "receiver.db" if self.server is None else self.server.url
        more = () if self.server is None else ("--database", self.server.url)
        self.receivers = [Receiver(folder / "cloud", self.receiver_side.url, *more) for _ in range(2)]
        self.gateway = Gateway(folder / "gateway", self.gateway_side.url, minutes)
        self.repeater = Repeater(self.broker.port, draw)

    def start(self) -> None:
        if self.server is not None:
            self.server.start()
        self.broker.start()
        self.gateway_side.start()
        self.receiver_side.start()
        for receiver in self.receivers:
            receiver.start()
        self.gateway.start()

    def stop(self) -> None:
        """All but the database; what does not stop in time keeps no other from being stopped."""
        with contextlib.ExitStack() as stack:
            for stop in (self.broker.stop, self.receiver_side.stop, self.gateway_side.stop, self.repeater.stop):
                stack.callback(stop)
            for receiver in self.receivers:
                stack.callback(receiver.stop)
            if self.gateway.is_running:
                self.gateway.kill()

    def remove_database(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server.remove()

    def happen(self, fault: str) -> bool:
        """Let it happen and be over; False if it could not: a gateway that is done is killed no more."""
        what, _, part = fault.partition(" ")
        receiver = self.draw.choice(self.receivers)
        if part == "gateway" and what != "part" and not self.gateway.is_running:
            return False
        if what == "kill" or fault == "restart broker":
            parts: dict[str, Gateway | Receiver | Mosquitto] = {"gateway": self.gateway, "receiver": receiver}
            self._kill(parts.get(part, self.broker), what)
        elif fault == "restart database":
            assert self.server is not None
            self.server.stop()
            self._wait()
            self.server.start()
        elif fault == "stall database":
            self._lock_database()
        elif what == "stall":
            with _stalled(self.gateway.process if part == "gateway" else receiver.process):
                self._wait()
        elif what == "part":
            side = self.gateway_side if part == "gateway" else self.receiver_side
            side.part()
            self._wait()
            side.heal(reset=self.draw.random() < 0.5)
        else:
            is_out = self.repeater.repeat()
            self._wait()  # what the next fault hits at once would be heard by nobody
            return is_out
        return True

    def _kill(self, part: Gateway | Receiver | Mosquitto, what: str) -> None:
        if what == "kill":
            part.kill()
        else:
            assert isinstance(part, Mosquitto)
            part.stop()
        if isinstance(part, Mosquitto):
            self._wait()
        part.start()

    def _lock_database(self) -> None:
        """Nobody can commit for a while."""
        with contextlib.closing(open_existing(self.where)) as database:
            database.begin()
            if self.server is not None:
                database.execute("LOCK TABLE packs IN ACCESS EXCLUSIVE MODE")
            self._wait()
            database.rollback()

    def _wait(self) -> None:
        time.sleep(STALL_S * self.draw.random())


def soak(faults: int, seed: int, folder: Path, on_server: bool, say: bool = False) -> dict[str, Any]:
    """Let so many faults happen; what was expected in the database and what is there."""
    draw = random.Random(seed)
    minutes = max(60, faults * MINUTES_PER_FAULT)
    site = Site(folder, minutes, draw, on_server)
    kinds = (*SERVER_FAULTS, *FAULTS) if on_server else FAULTS
    done: dict[str, int] = dict.fromkeys(kinds, 0)
    with contextlib.ExitStack() as stack:
        stack.callback(site.remove_database)
        try:
            site.start()
            for number in range(faults):
                time.sleep(PAUSE_S * draw.random())
                # Each kind comes once before chance decides.
                fault = kinds[number] if number < len(kinds) else draw.choice(kinds)
                done[fault] += site.happen(fault)
                if say:
                    print(f"\r{number + 1} faults ", end="", file=sys.stderr, flush=True)
            drained = site.gateway.finish(DRAIN_S + minutes * COMMIT_S_MAX)
        finally:
            site.stop()
        found = _found(site.where)
    return {"faults": done, "drained": drained, "expected": minutes * BEDS * 60, "alarms expected": minutes, **found}


def _found(where: Path | str) -> dict[str, int]:
    with contextlib.closing(open_existing(where)) as database:

        def number(sql: str) -> int:
            return int(database.execute(sql).fetchone()[0])

        counts = dict(database.execute("SELECT name, sum(value) FROM counters GROUP BY name").fetchall())
        return {
            "readings": int(counts.get("readings", 0)),
            "in minutes": _in_minutes(database),
            "alarms": number("SELECT count(*) FROM alarms"),
            "repeated": int(counts.get("duplicates", 0)),
            "conflicts": int(counts.get("conflicts", 0)),
            "missing": number("SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM gaps"),
            "quarantined": number("SELECT count(*) FROM quarantine"),
        }


def _in_minutes(database: Database) -> int:
    place = FIELDS.index("readings")
    packs = database.execute("SELECT start_utc_ms, minutes FROM packs").fetchall()
    of_packs = (unpack_minutes(start_ms // MINUTE_MS, bytes(minutes)) for start_ms, minutes in packs)
    return sum(sums[place] for minutes in of_packs for _, sums in minutes)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak_faults", description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    arguments = parser.parse_args()
    on_server = arguments.database == "postgresql"
    with TemporaryDirectory(prefix="sleepbelt-faults-") as folder:
        found = soak(arguments.faults, arguments.seed, Path(folder), on_server, say=True)
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
