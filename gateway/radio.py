"""The gateway's radio: one scanner that keeps running, sessions with as many belts as have slots, beacons of all.

What is heard leaves as events in one bounded queue with the elapsed time it was received. The leave-bed timers run from
beacons alone; a session adds history, vitals and finished absences. Ladder on trouble, each rung logged once: drop the
link -> reconnect from a live scan with growing pauses -> restart the scan when the whole adapter is silent -> what
cores/radio_ladder.py decides and radio_recovery.py does. Several adapters: radio_adapters.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bleak import BleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gateway.aes import aes
from gateway.clock import GatewayClock
from gateway.config import RadioConfig
from gateway.cores.air import AirLog, BeltAir
from gateway.cores.radio_ladder import Rung
from gateway.cores.reconnect import Reconnector
from gateway.radio_bluez import BluezWatch, bond_path
from gateway.radio_events import (
    BeaconHeard,
    Belt,
    Closed,
    Heard,
    NoSession,
    Opened,
    Radio,
    RadioError,
    RadioEvent,
    Sighting,
)  # fmt: skip
from gateway.radio_link import BeltLink, LinkError, Message, RefusedError, UnreachableError
from gateway.radio_recovery import Action, Recovery, bluez_actions
from gateway.radio_scan import AdapterScan, cancelled, real_ms
from protocol.messages import BeaconReport, LiveReport, beacon_counter_said, beacon_from
from protocol.wire import beacon as wire_beacon
from protocol.wire import gatt, session

__all__ = [
    "BeaconHeard",
    "Belt",
    "BleakRadio",
    "Closed",
    "Heard",
    "NoSession",
    "Opened",
    "Radio",
    "RadioError",
    "RadioEvent",
    "Sighting",
    "bleak_radio",
]

log = logging.getLogger(__name__)

TICK_S = 0.25
TICK_S_COMPLETE = 5.0  # with every belt in session: whatever ends one says so
SIGHTINGS_MAX = 256

_serial_of = lru_cache(SIGHTINGS_MAX)(gatt.serial_of)


class AdapterMissingError(RadioError):
    """No adapter here has the address that the configuration names."""


@dataclass(slots=True)
class _Known:
    belt: Belt
    beacon_block: Any
    beacon_counter: int
    device: BLEDevice | None = None
    link: BeltLink | None = None
    advertised: Mapping[int, bytes] = field(default_factory=dict)  # manufacturer data as last heard
    air: AirLog = field(default_factory=AirLog)
    reports: int = 0  # of its session since the last beacon that was opened
    let_go: tuple[bytes, int | None] | None = None  # a beacon that was not opened since, and its strength
    said: str | None = None  # the last trouble that was logged, "" that it was over


def bleak_radio(
    config: RadioConfig, belts: Sequence[Belt], identity: bytes, clock: GatewayClock,
    actions: Mapping[Rung, Action] | None = None,
) -> Radio:  # fmt: skip
    """The radio of the configuration; RadioError for a backend that is not installed or an adapter it refuses.

    `actions`: what may be done about a stuck adapter, where it is not what radio.recovery says.
    """
    parts: dict[str, BleakRadio] = {}
    missing: AdapterMissingError | None = None
    for name in config.adapters or (config.adapter,):
        try:
            parts[name] = _on_adapter(config, name, belts, identity, clock, actions)
        except AdapterMissingError as error:
            # Of several one may be broken: the others serve the belts until somebody has seen to it.
            missing = error
            log.error("%s", error)
    if missing is not None and not parts:
        raise missing
    if len(parts) == 1:
        return next(iter(parts.values()))
    from gateway.radio_adapters import ManyAdapters

    return ManyAdapters(parts, belts)


def _on_adapter(
    config: RadioConfig, adapter: str, belts: Sequence[Belt], identity: bytes, clock: GatewayClock,
    actions: Mapping[Rung, Action] | None,
) -> BleakRadio:  # fmt: skip
    if config.backend == "bluez":
        return BleakRadio(config, belts, identity, clock, {}, {}, _hci_name(adapter), actions)
    found = entry_points(group="sleepbelt.radios", name=config.backend)
    if not found:
        names = sorted({"bluez", *(entry.name for entry in entry_points(group="sleepbelt.radios"))})
        raise RadioError(f"radio.backend: found {config.backend!r}; allowed: one of {', '.join(names)}")
    try:
        classes = next(iter(found)).load()(adapter)
    except ImportError as error:
        raise RadioError(f"radio.backend {config.backend!r} needs the package {error.name}, which is not installed; "
                         "pip install 'sleepbelt[hil]'") from None
    except ValueError as error:
        raise RadioError(f"radio.adapter: found {adapter!r}; {error}") from None
    return BleakRadio(config, belts, identity, clock, {"backend": classes[0]}, {"backend": classes[1]}, "")


def _hci_name(adapter: str) -> str:
    """hciN of an adapter given by MAC address (hciN itself is not stable over boots); other texts as they are."""
    if ":" not in adapter:
        return adapter
    for file in sorted(Path("/sys/class/bluetooth").glob("hci*/address")):
        with contextlib.suppress(OSError):
            if file.read_text("ascii").strip().lower() == adapter.lower():
                return file.parent.name
    raise AdapterMissingError(
        f"radio.adapter: no Bluetooth adapter has the address {adapter}; `bluetoothctl list` shows them"
    )


class BleakRadio:
    """bleak on BlueZ, or on the classes of another backend."""

    def __init__(
        self,
        config: RadioConfig,
        belts: Sequence[Belt],
        identity: bytes,
        clock: GatewayClock,
        scanner_options: dict[str, Any],
        client_options: dict[str, Any],
        hci: str,
        actions: Mapping[Rung, Action] | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._identity = identity
        self._clock = clock
        options, self._client_options = dict(scanner_options), dict(client_options)
        self._watch = None if scanner_options else BluezWatch(hci)
        if actions is None:
            actions = {} if self._watch is None else bluez_actions(self._watch, hci, config.recovery)
        if hci:
            options["bluez"] = self._client_options["bluez"] = {"adapter": hci}
        recovery = Recovery(hci or "hci0", actions, self.counters)
        self._ladder = recovery.ladder
        self._scan = AdapterScan(options, self._watch, recovery, self)
        self._belts = {belt.serial: _known(belt) for belt in belts}
        self._sightings: dict[bytes, Sighting] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._plan = Reconnector([belt.serial for belt in belts], config.connections_max)
        self._serial_at: dict[str, bytes] = {}
        self.on_event: Callable[[RadioEvent], None] = lambda event: None
        self._failure: Exception | None = None
        self._failed = asyncio.Event()
        self._wake = asyncio.Event()

    @property
    def trouble(self) -> str:
        """Why nothing can be heard at present, "" while the scan runs."""
        return self._scan.trouble

    @property
    def scan_turn_ms(self) -> int | None:
        """When the scan last showed life."""
        return self._scan.turn_ms

    def send(self, serial: bytes, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> bool:
        known = self._belts.get(serial)
        return known is not None and known.link is not None and known.link.send(kind, values, tail)

    def put(self, belt: Belt, *, hurry: bool = False) -> None:
        known = self._belts.get(belt.serial)
        if known is None:
            self._belts[belt.serial] = _known(belt)
            self._plan.add(belt.serial)
        else:
            known.belt = belt
            known.beacon_block = aes(session.beacon_key(aes, belt.key))
            known.beacon_counter = max(known.beacon_counter, belt.beacon_counter)
            known.let_go = known.said = None
        if hurry:
            self._plan.hurry(belt.serial)
            self._wake.set()

    def drop(self, serial: bytes) -> None:
        known = self._belts.pop(serial, None)
        self._plan.remove(serial)
        if known is not None and known.link is not None:
            self._leave(known.link)

    def _leave(self, link: BeltLink) -> None:
        leaving = asyncio.create_task(link.close())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def sightings(self) -> list[Sighting]:
        return list(self._sightings.values())

    def air(self) -> dict[bytes, BeltAir]:
        now_ms = real_ms()
        return {serial: known.air.figures(now_ms) for serial, known in self._belts.items()}

    def allow(self, serial: bytes, allowed: bool) -> None:
        """Whether a belt may be connected through this adapter; its beacons are heard either way."""
        self._plan.allow(serial, allowed)
        known = self._belts.get(serial)
        if not allowed and known is not None and known.link is not None:
            self._leave(known.link)
        self._wake.set()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._scan.run())
                tasks.create_task(self._connect_belts(tasks))
                await self._failed.wait()
                assert self._failure is not None
                raise self._failure
        finally:
            for known in self._belts.values():
                if known.link is not None:
                    await known.link.close()

    # -- what is heard ------------------------------------------------------------------------------------------------

    def census(self) -> tuple[int, int]:
        """(belts that are served, sessions that are up)."""
        return len(self._belts), sum(known.link is not None for known in self._belts.values())

    def held(self, device: BLEDevice) -> None:
        """BlueZ has a link with this device from before."""
        self._saw(_serial_of(device.name or ""), device)

    def links_died(self) -> None:
        """All links are gone, and where belts were seen is void."""
        for serial, known in self._belts.items():
            known.device = None
            self._plan.unseen(serial)
            if known.link is not None:
                known.link.disconnected()

    def advertised(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        """Take what a belt says of itself."""
        # A scan response may come later than the advertisement, so the address stands in for the name once it is known.
        serial = _serial_of(advertisement.local_name or device.name or "") or self._serial_at.get(device.address)
        known = None if serial is None else self._belts.get(serial)
        said = advertisement.manufacturer_data
        if known is not None:
            # BlueZ tells each advertisement, a belt sends up to four a second and says something new in one of them.
            if said and known.link is not None and known.device is device and known.advertised == said:
                return
            known.advertised = said
        if serial is not None:
            self._sighted(serial, advertisement.rssi)
        if not self._saw(serial, device):
            return
        assert serial is not None
        for data in said.values():
            if len(data) == wire_beacon.BEACON_BYTES:
                self._take_beacon(self._belts[serial], bytes(data), advertisement.rssi)

    def _sighted(self, serial: bytes, rssi_dbm: int | None) -> None:
        """Remember a belt of anybody, the one heard longest ago going first at the limit."""
        self._sightings.pop(serial, None)
        while len(self._sightings) >= SIGHTINGS_MAX:
            del self._sightings[next(iter(self._sightings))]
        self._sightings[serial] = Sighting(serial, self._clock.elapsed_ms(), rssi_dbm)

    def _saw(self, serial: bytes | None, device: BLEDevice) -> bool:
        if serial is None or serial not in self._belts:
            return False
        self._serial_at[device.address] = serial
        self._belts[serial].device = device
        if self._plan.seen(serial, real_ms()):
            self._wake.set()
        return True

    def _take_beacon(self, known: _Known, data: bytes, rssi_dbm: int | None) -> None:
        is_newer = beacon_counter_said(data) > known.beacon_counter
        if known.link is not None and known.reports == 1 and known.let_go is None and is_newer:
            # The session has just told the same, and proved it: every other beacon need not be opened.
            known.let_go = data, rssi_dbm
            return
        before = known.beacon_counter
        content = self._opened(known, data)
        if content is None:
            return
        known.reports = 0
        self._count_let_go(known, before)
        known.air.beacon(known.beacon_counter, rssi_dbm, real_ms())
        self.counters["beacons"] += 1
        self._put(BeaconHeard(known.belt.serial, self._clock.elapsed_ms(), known.beacon_counter, content, rssi_dbm))

    def _opened(self, known: _Known, data: bytes) -> BeaconReport | None:
        """What a beacon of this belt says, once; None for one that was heard before or (counted) is none of its own."""
        try:
            fresh = wire_beacon.unseal(known.beacon_block, known.belt.serial, known.beacon_counter, data)
            if fresh is None:
                return None
            counter, values = fresh
            content = beacon_from(values)
        # FrameError and TagError: another key, or not a beacon at all.
        except ValueError:
            self.counters["bad_beacons"] += 1
            return None
        known.beacon_counter = counter
        return content

    def _count_let_go(self, known: _Known, before: int) -> None:
        """Of a beacon that was let go all that is used is that it was heard, between two that are proved."""
        if known.let_go is None:
            return
        (data, rssi_dbm), known.let_go = known.let_go, None
        counter = beacon_counter_said(data)
        if before < counter < known.beacon_counter:
            known.air.beacon(counter, rssi_dbm, real_ms())
        elif counter > known.beacon_counter:
            self.counters["bad_beacons"] += 1

    # -- sessions ----------------------------------------------------------------------------------------------------

    async def _connect_belts(self, tasks: asyncio.TaskGroup) -> None:
        while not cancelled():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S_COMPLETE if self._plan.is_complete else TICK_S):
                    await self._wake.wait()
            self._wake.clear()
            # Without a scan every connect fails too, and says nothing about the adapter.
            if self.trouble:
                continue
            now_ms = real_ms()
            turn_over = self._plan.to_release(now_ms)
            if turn_over is not None and (link := self._belts[turn_over].link) is not None:
                await link.close()
            serial = self._plan.next_attempt(now_ms)
            if serial is not None:
                # One connect at a time; the session it gives goes on in a task of its own.
                await self._connect(self._belts[serial], tasks)

    async def _connect(self, known: _Known, tasks: asyncio.TaskGroup) -> None:
        serial = known.belt.serial
        assert known.device is not None
        if await self._removed_bond(known):
            return
        link: BeltLink | None = None

        def received(message: Message) -> None:
            known.air.frame(self._scan.heard_any())
            event = Heard(serial, self._clock.elapsed_ms(), message)
            known.reports += isinstance(message, LiveReport)
            # The belt speaks as soon as the handshake is written: what it says comes after `Opened` all the same.
            if known.link is None:
                early.append(event)
            else:
                self._put(event)

        def disconnected(_: BleakClient) -> None:
            if link is not None:
                link.disconnected()

        client = BleakClient(known.device, disconnected, timeout=10.0, **self._client_options)
        link = BeltLink(client, serial, known.belt.key, self._identity, received, self.counters)
        early: list[RadioEvent] = []
        try:
            hello = await link.open()
        except LinkError as error:
            await link.close()
            if self._belts.get(serial) is not known:
                return  # dropped meanwhile
            pause_ms = self._plan.failed(serial, real_ms())
            self._say(known, f"no session: {error}", warn=isinstance(error, RefusedError))
            self._put(NoSession(serial, self._clock.elapsed_ms(), error.code, str(error)))
            if isinstance(error, UnreachableError):
                self._ladder.connect_failed(serial)
                await self._scan.recover_if_due()
            log.debug("belt %s: next attempt in %d ms", serial.hex(), pause_ms)
            return
        except asyncio.CancelledError:
            await link.close()
            raise
        if self._belts.get(serial) is not known:
            await link.close()
            return
        self._ladder.connected()
        self._plan.connected(serial, real_ms())
        self.counters["sessions"] += 1
        known.link = link
        self._put(Opened(serial, self._clock.elapsed_ms(), hello))
        for event in early:
            self._put(event)
        tasks.create_task(self._hold(known, link))

    async def _removed_bond(self, known: _Known) -> bool:
        """Whether somebody had paired this machine with the belt: a bond whose keys the belt has lost takes
        bluetoothd down (facts/RADIO.md, failure 6), and ours needs none."""
        path = "" if self._watch is None or known.device is None else bond_path(known.device)
        if self._watch is None or not path:
            return False
        serial = known.belt.serial
        self.counters["bonds_removed"] += 1
        trouble = await self._watch.forget(path)
        log.warning("belt %s: a bond with it is removed from BlueZ%s", serial.hex(), f": {trouble}" if trouble else "")
        known.device = None
        if self._belts.get(serial) is known:
            self._plan.failed(serial, real_ms())
            self._plan.unseen(serial)
        return True

    async def _hold(self, known: _Known, link: BeltLink) -> None:
        serial = known.belt.serial
        try:
            self._say(known, "")
            await link.hold()
        except LinkError as error:
            self._say(known, f"the session ended: {error}", warn=False)
        finally:
            known.link = None
            if known.let_go is not None:
                # Whoever has recorded it could make it heard once more: from here on beacons are what is believed.
                (data, _), known.let_go = known.let_go, None
                self._opened(known, data)
            if self._belts.get(serial) is known:
                self._put(Closed(serial, self._clock.elapsed_ms()))
            # Before anybody connects again: BlueZ knows devices and no sessions, so this would end the new link.
            await link.close()
            if self._belts.get(serial) is known:
                self._plan.dropped(serial, real_ms())
            self._wake.set()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _put(self, event: RadioEvent) -> None:
        if self._failure is not None:
            return
        try:
            self.on_event(event)
        except Exception as error:
            # bleak's callbacks would log it and go on; whoever runs us has to know.
            self._failure = error
            self._failed.set()

    def _say(self, known: _Known, trouble: str, warn: bool = True) -> None:
        """Log changes, not states."""
        if trouble == known.said:
            return
        name = known.belt.serial.hex()
        if trouble:
            (log.warning if warn else log.info)("belt %s: %s", name, trouble)
        else:
            log.info("belt %s: session established", name)
        known.said = trouble


def _known(belt: Belt) -> _Known:
    return _Known(belt, aes(session.beacon_key(aes, belt.key)), belt.beacon_counter)
