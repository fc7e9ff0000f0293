"""Runs the demo's parts: emulated belts, receiver with an embedded broker, gateway; faults on request; the summary."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil.demo.child import Child, ChildError
from hil.demo.plan import BEDS, GATEWAY_ID, Night, gateway_toml, residents_toml
from hil.demo.proxy import CuttableRelay
from protocol.clock_scale import ENVIRONMENT, ClockScale

# Belts boot, advertise and are connected at real speed before compressed time begins.
WARM_UP_S = 12.0
DRAIN_S = 30.0
POLL_S = 0.25


@dataclass
class Options:
    """What was asked for; instants are UTC milliseconds of the demo's night."""

    folder: Path
    speed: float
    nights: tuple[str, ...]
    night: Night
    for_s: float | None
    gateway_port: int
    platform_port: int
    broker_url: str | None
    broker_port: int
    cut_ms: tuple[int, int] | None
    kill_ms: list[int]
    seed: int
    say: Callable[[str], None]


@dataclass
class Outcome:
    """Figures gathered while it ran and when it ended."""

    gateway_runs: list[dict[str, Any]] = field(default_factory=list)
    kills: int = 0
    cut_s: float = 0.0


class Show:
    """One demo from start to summary."""

    def __init__(self, options: Options) -> None:
        self._o = options
        begin_ms = round((time.time() + WARM_UP_S) * 1000)
        self._scale = ClockScale(begin_ms, options.night.start_ms, options.speed)
        environment = {ENVIRONMENT: self._scale.text()}
        logs = options.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._socket = options.folder / "hci0.sock"
        self._belts = Child("belts", self._belt_arguments(), logs / "belts.log", environment)
        self._receiver = Child("receiver", self._receiver_arguments(), logs / "receiver.log", environment)
        config = options.folder / "gateway.toml"
        self._config = config
        self._gateway = Child("gateway", ["run", "--json", "--config", str(config)], logs / "gateway.log", environment)
        self._relay: CuttableRelay | None = None
        self._outcome = Outcome()
        self._signal_start_ms = 0
        self.pages: dict[str, str] = {}

    def _belt_arguments(self) -> list[str]:
        return ["hil", "--json", "--belts", str(len(BEDS)), "--night", *self._o.nights,
                "--socket", str(self._socket), "--state-dir", str(self._o.folder / "belts"),
                "--seed", str(self._o.seed)]

    def _receiver_arguments(self) -> list[str]:
        residents = self._o.folder / "residents.toml"
        residents.write_text(residents_toml(BEDS), "utf-8")
        broker = ["--embedded-broker", f"127.0.0.1:{self._o.broker_port}"]
        if self._o.broker_url:
            broker = ["--broker", self._o.broker_url]
        return ["receiver", "--json", "--data", str(self._o.folder / "platform"), *broker,
                "--http", f"127.0.0.1:{self._o.platform_port}", "--residents", str(residents)]

    async def start(self) -> None:
        """Bring every part up, in the order in which they need each other; ChildError if one does not start."""
        belts = await self._belts.start()
        self._signal_start_ms = int(belts["signal_start_utc_ms"])
        receiver = await self._receiver.start()
        host, _, port = str(receiver["broker"]).removeprefix("mqtt://").rpartition(":")
        self._relay = CuttableRelay((host, int(port)))
        await self._relay.start()
        self._config.write_text(
            gateway_toml(self._o.folder / "gateway", f"unix:{self._socket}", belts["belts"],
                         f"mqtt://127.0.0.1:{self._relay.port}", self._o.gateway_port, BEDS,
                         receiver["platform_key"]), "utf-8")
        self._config.chmod(0o600)
        gateway = await self._gateway.start()
        self.pages = {"gateway": str(gateway["page"]), "platform": str(receiver["http"])}

    def now_ms(self) -> int:
        """Virtual UTC milliseconds."""
        return self._scale.virtual_ms(round(time.time() * 1000))

    async def run(self, ended: asyncio.Event) -> None:
        """Play the night and its faults until it is over, the time is up, or `ended`; ChildError if a part dies."""
        started = time.monotonic()
        kills = sorted(self._o.kill_ms)
        cut = self._o.cut_ms
        spoken = -1
        while not ended.is_set():
            now = self.now_ms()
            if self._o.for_s is not None and time.monotonic() - started >= self._o.for_s:
                return
            if now >= self._o.night.end_ms:
                if self._o.for_s is None:
                    self._o.say("The night is over; the pages stay until Ctrl-C.")
                    await ended.wait()
                return
            if kills and now >= kills[0]:
                kills.pop(0)
                await self._kill_gateway()
            if cut is not None:
                cut = self._cut_or_restore(cut, now)
            for part in (self._belts, self._receiver, self._gateway):
                if (failed := part.died()) is not None:
                    raise failed
            spoken = self._progress(now, spoken)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), POLL_S)

    def _progress(self, now: int, spoken: int) -> int:
        half_hour = (now - self._o.night.start_ms) // 1_800_000
        if now >= self._o.night.start_ms and half_hour > spoken:
            self._o.say(f"{self._o.night.clock(now)}  in the demo's night")
            return half_hour
        return spoken

    def _cut_or_restore(self, cut: tuple[int, int], now: int) -> tuple[int, int] | None:
        assert self._relay is not None
        begin, end = cut
        if now >= end:
            self._relay.restore()
            self._o.say(f"{self._o.night.clock(now)}  uplink restored")
            return None
        if now >= begin and self._outcome.cut_s == 0:
            self._relay.cut()
            self._outcome.cut_s = (end - begin) / 1000
            self._o.say(f"{self._o.night.clock(now)}  uplink cut")
        return cut

    async def _kill_gateway(self) -> None:
        self._o.say(f"{self._o.night.clock(self.now_ms())}  gateway killed (SIGKILL), starting again")
        self._outcome.gateway_runs.append(await self._stats(self.pages["gateway"]))
        await self._gateway.kill()
        self._outcome.kills += 1
        await self._gateway.start()

    async def finish(self) -> dict[str, Any]:
        """End the parts in order, wait until everything has arrived, and give the summary."""
        self._o.say("ending: belts first, then what is still on its way")
        if self._relay is not None:
            self._relay.restore()
        belts = await self._belts.stop()
        gateway = await self._gateway.stop()
        platform = await self._settled(gateway) if self._receiver.running else {}
        await self._receiver.stop()
        if self._relay is not None:
            await self._relay.close()
        return self._summary(belts, gateway, platform)

    async def _settled(self, gateway: dict[str, Any]) -> dict[str, Any]:
        """The platform's counts once they reach what the gateway stored, or after a bounded wait."""
        deadline = time.monotonic() + DRAIN_S
        platform: dict[str, Any] = {}
        while time.monotonic() < deadline:
            platform = await self._stats(self.pages["platform"]) or platform
            if platform.get("readings", 0) >= gateway.get("readings_stored", 0):
                break
            await asyncio.sleep(POLL_S)
        return platform

    async def _stats(self, page: str) -> dict[str, Any]:
        def get() -> dict[str, Any]:
            with urllib.request.urlopen(page.rstrip("/") + "/api/stats", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found

        try:
            return await asyncio.get_running_loop().run_in_executor(None, get)
        except (OSError, ValueError, urllib.error.URLError):
            return {}

    def _summary(self, belts: dict[str, Any], gateway: dict[str, Any], platform: dict[str, Any]) -> dict[str, Any]:
        sent = sum(int(belt.get("reports_sent", 0)) for belt in belts.get("belts", ()))
        runs = [*self._outcome.gateway_runs, gateway]
        received = sum(int(run.get("readings_received", 0)) for run in runs)
        committed = sum(int(run.get("readings_stored", 0)) for run in runs)
        stored = int(platform.get("readings", 0))
        return {
            "readings_sent": sent,
            "readings_received": received,
            "readings_stored": stored,
            # What the gateway had committed, and without a kill all that it received, must be on the platform.
            "lost": max(0, (committed if self._outcome.kills else received) - stored),
            "uncommitted_at_kill": max(0, received - committed) if self._outcome.kills else 0,
            "unheard": max(0, sent - received),
            "alarms_raised": sum(int(run.get("alarms_raised", 0)) for run in runs),
            "alarms_stored": int(platform.get("alarms", 0)),
            "gateway_kills": self._outcome.kills,
            "uplink_cut_s": self._outcome.cut_s,
            "signal_start_utc_ms": self._signal_start_ms,
            "night_from": self._o.night.clock(self._o.night.start_ms),
            "night_to": self._o.night.clock(self.now_ms()),
            "speed": self._o.speed,
            "gateway": GATEWAY_ID,
            "folder": str(self._o.folder),
            "pages": self.pages,
        }

    async def abandon(self) -> None:
        """End everything without ceremony after a failure."""
        for part in (self._gateway, self._belts, self._receiver):
            with contextlib.suppress(ChildError, ProcessLookupError):
                await part.kill()
        if self._relay is not None:
            await self._relay.close()


def say_to_stderr(text: str) -> None:
    """Progress for a person, beside whatever stdout carries."""
    print(f"demo: {text}", file=sys.stderr, flush=True)
