"""What a technician does with belts on a running gateway: claim, bind, swap, identify, calibrate, take out of service.

Everything is decided in cores/provisioning; here keys are made and sent, and each change is on the disk before it takes
effect. A belt that is being claimed goes through the same radio as every other (its sessions, limits and ladder).
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.clock import GatewayClock
from gateway.config import Config, gateway_identity
from gateway.cores.labels import BeltLabel
from gateway.cores.provisioning import BeltRecord, Refusal, Site, react
from gateway.cores.survey import Survey, survey
from gateway.provision_error import ProvisionError
from gateway.radio import BeaconHeard, Belt, Closed, Heard, NoSession, Opened, Radio, RadioEvent
from gateway.radio_link import Result
from gateway.room import Room
from gateway.site_file import SiteFile
from protocol.messages import BeaconReport, Hello, LiveReport
from protocol.wire import frames, session

__all__ = ["Provisioner", "Said", "with_site"]

log = logging.getLogger(__name__)

IN_RANGE_S = 10.0  # real; a belt advertises four times a second
SIGHTING_WAIT_S = 6.0
SESSION_WAIT_S = 15.0
TRIES_UNREACHABLE = 3
RESULT_WAIT_S = 10.0
IDENTIFY_S = 10
CALIBRATION_BELT_S = 30.0  # 20 s of measuring, and some to say so
PROOF_WAIT_S = 20.0
WIPE_S = 60.0
AIR_MAX = 1200
REACT_MS = 30_000
REQUEST_FIRST = 0x8000  # apart from the numbers that history requests use
FATAL = ("decommissioned", "busy", "version", "not_a_belt", "refused")


@dataclass(frozen=True, slots=True)
class Said:
    """One thing a belt was heard to say, as far as provisioning asks; `number` tells one report from the next."""

    at_ms: int
    kind: str
    number: int
    occupancy: str
    moving: bool
    rate: bool
    exits: int
    flags: int
    rssi_dbm: int | None


class Provisioner:
    """One per gateway, on the event loop. `radio` is set once it is open; `heard` gets every event of it."""

    def __init__(
        self,
        config: Config,
        site: Site,
        file: SiteFile,
        clock: GatewayClock,
        room: Room,
        note: Callable[[str, str, str, str], None],
    ) -> None:
        """`config`: as the file has it. `note(kind, who, bed, detail)` writes to the audit."""
        self.site, self.room, self.clock = site, room, clock
        self.radio: Radio | None = None
        self.phase = ""
        """What is being done for whoever looks on: connecting, securing, ..."""
        self.on_said: Callable[[bytes, Said], None] = lambda serial, said: None
        self.air: dict[bytes, deque[Said]] = {}
        self._config, self._file, self._note = config, file, note
        self._identity = gateway_identity(config.gateway.id)
        self._open: dict[bytes, Hello] = {}
        self._under: dict[bytes, bytes] = {}  # serial -> key that the radio tries
        self._events: dict[bytes, asyncio.Queue[Opened | NoSession]] = {}
        self._results: dict[tuple[bytes, int], asyncio.Queue[Result]] = {}
        self._request = REQUEST_FIRST
        self._busy, self._changing = asyncio.Lock(), asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, radio: Radio) -> None:
        """The radio is there: it also listens to the belts that a batch has planned."""
        self.radio = radio
        for record in self.site.belts.values():
            if record.planned_bed and not record.bed and not record.decommissioned:
                self._serve(record.serial, record.key)

    # -- the radio's events ------------------------------------------------------------------------------------------

    def heard(self, event: RadioEvent) -> None:
        """Every event of the radio, before the room takes it."""
        serial = event.serial
        if isinstance(event, Opened | NoSession):
            if isinstance(event, Opened):
                self._open[serial] = event.hello
            if serial in self._events:
                self._events[serial].put_nowait(event)
            else:
                self._follow_key(event)
        elif isinstance(event, Closed):
            self._open.pop(serial, None)
        elif isinstance(event, BeaconHeard):
            self._keep(serial, _of_beacon(event))
        elif isinstance(event, Heard) and isinstance(event.message, LiveReport):
            self._keep(serial, _of_report(event.received_ms, event.message))
        elif isinstance(event, Heard) and isinstance(event.message, Result):
            waiting = self._results.get((serial, event.message.request_id))
            if waiting is not None:
                waiting.put_nowait(event.message)

    def _keep(self, serial: bytes, said: Said) -> None:
        self.air.setdefault(serial, deque(maxlen=AIR_MAX)).append(said)
        self.on_said(serial, said)

    def _follow_key(self, event: Opened | NoSession) -> None:
        """A session nobody asked for: finish a change of key that was cut short, or begin one after a restore."""
        serial = event.serial
        record = self.site.belts.get(serial)
        if record is None:
            return
        if isinstance(event, NoSession):
            if event.code in ("wrong_key", "claimed_elsewhere") and record.next_key is not None:
                under = record.next_key if self._under.get(serial, record.key) == record.key else record.key
                self._serve(serial, under)
        elif record.next_key is not None or record.rekey:
            task = asyncio.create_task(self._rekey(serial))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _rekey(self, serial: bytes) -> None:
        record = self.site.belts[serial]
        under = self._under.get(serial, record.key)
        try:
            if under == record.next_key:
                await self._change(lambda: self.site.end_key(serial))
                self._serve(serial, under)
            else:
                await self._new_key(BeltLabel(serial, record.model, under), under)
            log.info("belt %s has a new key", serial.hex())
            self._note("belt_rekeyed", "", self.site.bed_of(serial), serial.hex())
        except ProvisionError as error:
            log.warning("belt %s keeps its key for now: %s", serial.hex(), error.code)

    # -- belts -------------------------------------------------------------------------------------------------------

    async def claim(self, label: BeltLabel, bed: str, who: str) -> Hello:
        """Take a belt over for this gateway: prove that its label's code is right, give it a key of its own, blink.

        `bed`: where it shall go, "" if not known yet. ProvisionError names what is wrong.
        """
        if self._busy.locked():
            raise ProvisionError("busy", phase=self.phase)
        async with self._busy:
            try:
                self._allow(self.site.may_claim(label.serial, bed, self.clock.elapsed_ms()))
                self.phase = "looking"
                await self._in_range(label.serial)
                self.phase = "connecting"
                key = await self._prove(label)
                self.phase = "securing"
                await self._new_key(label, key)
                await self._change(lambda: self.site.right_code(label.serial))
                self._note("belt_claimed", who, bed, label.serial.hex())
                hello = await self._session(label.serial)
            finally:
                self.phase = ""
        await self.identify(label.serial)
        return hello

    async def bind(self, serial: bytes, bed: str, who: str) -> bytes | None:
        """Put a belt that this gateway knows at a bed, at once; the belt that was there before, if there was one."""
        record = self.site.belts.get(serial)
        if record is None:
            raise ProvisionError("unknown_belt", belt=serial.hex())
        self._allow(self.site.may_claim(serial, bed, self.clock.elapsed_ms()))
        if not record.claimed:
            await self.claim(BeltLabel(serial, record.model, record.key), bed, who)
        if serial not in self._open:
            await self._in_range(serial)
            self._serve(serial, self.site.belts[serial].key, hurry=True)
        # Its ring's newest number: what stands there from before is not this bed's.
        hello = await self._session(serial)
        before = self.site.beds()[bed]
        self._no_alarm(bed)
        if before is not None:
            self._adopt(before, bed)
        await self._change(lambda: self.site.bind(serial, bed, self.clock.utc_ms()))
        record = self.site.belts[serial]
        self.room.bind(bed, serial, record.key, hello, who)
        if before is not None:
            self._let_go(before)
        self._serve(serial, record.key)
        return before

    async def release(self, bed: str, who: str) -> bytes:
        """Take the belt off a bed; it stays known here and can come to another bed."""
        serial = self._belt_at(bed)
        self._no_alarm(bed)
        self._adopt(serial, bed)
        await self._change(lambda: self.site.unbind(bed))
        self.room.unbind(bed, who)
        self._let_go(serial)
        return serial

    async def identify(self, serial: bytes, seconds: int = IDENTIFY_S) -> None:
        """Let the belt blink."""
        await self._command(serial, frames.CMD_IDENTIFY, seconds)

    async def self_test(self, bed: str) -> int:
        """The belt's own test of its sensor; 0: in order, else the board's code."""
        return (await self._command(self._belt_at(bed), frames.CMD_SELF_TEST, 0)).value

    async def calibrate(self, bed: str, occupied: bool) -> dict[str, Any]:
        """Measure the bed empty or in use (20 s); with both also whether the belt lies in the middle of the bed."""
        serial = self._belt_at(bed)
        command = frames.CMD_CALIBRATE_OCCUPIED if occupied else frames.CMD_CALIBRATE_EMPTY
        self.phase = "calibrating"
        try:
            result = await self._command(serial, command, 0, finish_s=self._real_s(CALIBRATION_BELT_S))
        finally:
            self.phase = ""
        kind = "occupied" if occupied else "empty"
        if result.status != frames.STATUS_DONE:
            raise ProvisionError(f"calibration_{kind}", level=result.value)
        place = ""

        def keep() -> None:
            nonlocal place
            place = self.site.measured(serial, kind, result.value, self.clock.utc_ms())

        await self._change(keep)
        return {"bed": bed, **self.site.calibrated[serial], "measured": kind, "place": place}

    def hello(self, serial: bytes) -> Hello | None:
        """What the belt said of itself at the start of the session that is open; None without one."""
        return self._open.get(serial)

    async def ask(
        self, serial: bytes, kind: int, values: tuple[Any, ...], tail: bytes = b"", finish_s: float = 0.0
    ) -> Result:
        """A frame that has a request id before `values`, and the belt's answer; ProvisionError `no_answer` without."""
        request = self._next_request()
        return await self._ask(serial, request, kind, (request, *values), finish_s, tail)

    async def decommission(self, serial: bytes, who: str) -> dict[str, Any]:
        """Take a belt out of service for good; what it answered, and that it refuses us since, is the proof."""
        record = self.site.belts.get(serial) or self._of_file(serial)
        if record is None:
            raise ProvisionError("unknown_belt", belt=serial.hex())
        bed = self.site.bed_of(serial)
        if bed:
            self._no_alarm(bed)
        if serial not in self._open:
            await self._in_range(serial)
            self._serve(serial, record.key, hurry=True)
        hello = self._open.get(serial) or await self._session(serial)
        left = await self._wiped(serial)
        refused = await self._refuses(serial, record.key)
        if left is None and not refused:
            raise ProvisionError("no_answer", belt=serial.hex())  # as far as we know, nothing has happened to it
        proof = {
            "belt": serial.hex(), "bed": bed, "utc_ms": self.clock.utc_ms(), "who": who, "wiped": left == 0,
            "records_before": hello.record_seq, "records_left": left, "refuses_since": refused,
        }  # fmt: skip
        await self._change(lambda: self.site.decommission(serial))
        if bed:
            self.room.unbind(bed, who)
        self._let_go(serial)
        self._note("belt_decommissioned", who, bed, json.dumps(proof, sort_keys=True))
        return proof

    async def _wiped(self, serial: bytes) -> int | None:
        """How many slots of the belt's records still hold anything; None if its answer was lost on the way."""
        try:
            result = await self._command(serial, frames.CMD_DECOMMISSION, 0, finish_s=WIPE_S)
        except ProvisionError as error:
            if error.code != "no_answer":
                raise
            return None
        if result.status != frames.STATUS_DONE:
            raise ProvisionError("not_wiped", status=result.status)
        return result.value

    async def plan(self, label: BeltLabel, bed: str) -> None:
        """A batch wants this belt at this bed; it is listened to from now on, so that it can be told by a press."""
        self._allow(self.site.may_claim(label.serial, bed, self.clock.elapsed_ms()))
        await self._change(lambda: self.site.plan(label, bed))
        if self.site.belts[label.serial].planned_bed:
            self._serve(label.serial, self.site.belts[label.serial].key)

    async def tested(self, bed: str, result: dict[str, Any], who: str) -> None:
        """Keep a finished walk test."""
        await self._change(lambda: self.site.tested.update({bed: result}))
        self._note("walk_test", who, bed, "passed" if result["passed"] else "failed")

    # -- what is in the air ------------------------------------------------------------------------------------------

    def reacting(self, since_ms: int) -> list[bytes]:
        """Belts without a bed that reacted to a press or to somebody lying down since then."""
        loose = [record.serial for record in self.site.belts.values() if not record.bed and not record.decommissioned]
        samples = [
            (serial, said.at_ms, said.moving, said.occupancy) for serial in loose for said in self.air.get(serial, ())
        ]
        return list(react(sorted(samples), since_ms, REACT_MS))

    def surveyed(self, serial: bytes, from_ms: int) -> Survey:
        """How well the belt was heard since `from_ms`."""
        now_ms = self.clock.elapsed_ms()
        said = [one for one in self.air.get(serial, ()) if one.at_ms > from_ms]
        numbers: dict[str, set[int]] = {}
        for one in said:
            numbers.setdefault(one.kind, set()).add(one.number)
        good = sum(
            self._mean_rssi(other, from_ms) > -75 for other in self.air if other != serial
        )  # others that are well heard: the fault is near this belt
        heard = max((len(found) for found in numbers.values()), default=0)
        rssi = [float(one.rssi_dbm) for one in said if one.rssi_dbm is not None]
        return survey(rssi, heard, (now_ms - from_ms) / 1000, good)

    def _mean_rssi(self, serial: bytes, from_ms: int) -> float:
        rssi = [one.rssi_dbm for one in self.air[serial] if one.at_ms > from_ms and one.rssi_dbm is not None]
        return sum(rssi) / len(rssi) if rssi else -999.0

    # -- inside ------------------------------------------------------------------------------------------------------

    def _allow(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            raise ProvisionError(refusal.code, **refusal.values)

    async def _change(self, change: Callable[[], object]) -> None:
        """Change the site and have it on the disk; without the disk nothing has changed. Alarms do not wait for it."""
        async with self._changing:
            before = copy.deepcopy(self.site.to_state())
            change()
            try:
                await asyncio.to_thread(self._file.save, copy.deepcopy(self.site.to_state()))
            except OSError as error:
                self.site.load(before)
                raise ProvisionError("disk", file=str(self._file.path), why=error.strerror or str(error)) from None

    def _no_alarm(self, bed: str) -> None:
        if self.room.ward.view(bed, self.room.now()).alarm == "unacknowledged":
            raise ProvisionError("alarm_active", bed=bed)

    def _belt_at(self, bed: str) -> bytes:
        if bed not in self.site.beds():
            raise ProvisionError("unknown_bed", bed=bed)
        serial = self.site.beds()[bed]
        if serial is None:
            raise ProvisionError("no_belt", bed=bed)
        return serial

    def _of_file(self, serial: bytes) -> BeltRecord | None:
        for bed in self._config.beds:
            if bed.serial == serial and bed.key is not None:
                return BeltRecord(serial, bed.key, bed=bed.label)
        return None

    def _adopt(self, serial: bytes, bed: str) -> None:
        record = self._of_file(serial)
        if record is not None and serial not in self.site.belts:
            self.site.adopt(serial, record.key, bed)

    def _serve(self, serial: bytes, key: bytes, *, hurry: bool = False) -> None:
        assert self.radio is not None
        self._under[serial] = key
        self.radio.put(Belt(serial, key), hurry=hurry)

    def _let_go(self, serial: bytes) -> None:
        assert self.radio is not None
        self._open.pop(serial, None)
        self._under.pop(serial, None)
        self.radio.drop(serial)

    async def _in_range(self, serial: bytes) -> None:
        """Returns once the belt is heard; `not_in_range`, with what is, if it is not."""
        assert self.radio is not None
        limit_ms = IN_RANGE_S * 1000 * self.clock.scale.speed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SIGHTING_WAIT_S):
                while serial not in self._open:
                    now_ms = self.clock.elapsed_ms()
                    if any(s.serial == serial and now_ms - s.heard_ms <= limit_ms for s in self.radio.sightings()):
                        return
                    await asyncio.sleep(0.1)
                return
        others = [s for s in self.radio.sightings() if self.clock.elapsed_ms() - s.heard_ms <= limit_ms]
        if self.radio.trouble:
            raise ProvisionError("no_radio", why=self.radio.trouble)
        raise ProvisionError("not_in_range", belt=serial.hex(), others=len(others))

    async def _prove(self, label: BeltLabel) -> bytes:
        """The key under which the belt opens a session."""
        serial, refusals = label.serial, []
        if serial in self._open and serial in self._under:
            return self._under[serial]
        for key in self.site.keys_for(label):
            code = await self._try_key(serial, key)
            if not code:
                return key
            refusals.append(code)
        self._let_go(serial)
        if "claimed_elsewhere" in refusals:
            raise ProvisionError("claimed_elsewhere", belt=serial.hex())
        left = 0

        def count() -> None:
            nonlocal left
            left = self.site.wrong_code(serial, self.clock.elapsed_ms())

        await self._change(count)
        self._note("claim_refused", "", "", serial.hex())
        if not left:
            self._allow(self.site.may_claim(serial, "", self.clock.elapsed_ms()))
        raise ProvisionError("wrong_code", belt=serial.hex(), left=left)

    async def _try_key(self, serial: bytes, key: bytes) -> str:
        """"" if a session opened; `wrong_key` or `claimed_elsewhere`. ProvisionError if trying others is no use."""
        for _ in range(TRIES_UNREACHABLE):
            try:
                with self._listening(serial) as events:
                    self._serve(serial, key, hurry=True)
                    async with asyncio.timeout(SESSION_WAIT_S):
                        event = await events.get()
            except TimeoutError:
                self._let_go(serial)
                raise ProvisionError("no_answer", belt=serial.hex()) from None
            if isinstance(event, Opened):
                return ""
            if event.code in ("wrong_key", "claimed_elsewhere"):
                return event.code
            if event.code in FATAL:
                self._let_go(serial)
                raise ProvisionError(f"belt_{event.code}", belt=serial.hex())
        self._let_go(serial)
        raise ProvisionError("no_answer", belt=serial.hex())

    async def _new_key(self, label: BeltLabel, key: bytes) -> None:
        """Replace the belt's key; the new one is on our disk before the belt hears it."""
        serial, new = label.serial, os.urandom(session.KEY_BYTES)
        await self._change(lambda: self.site.begin_key(label, key, new, self.clock.utc_ms()))
        request = self._next_request()
        result = await self._ask(serial, request, frames.CLAIM, (request, new, self._identity))
        if result.status != frames.STATUS_DONE:
            raise ProvisionError("not_claimed", status=result.status)
        await self._change(lambda: self.site.end_key(serial))
        self._serve(serial, new)
        if bed := self.site.bed_of(serial):
            self.room.rekeyed(bed, new)

    async def _session(self, serial: bytes) -> Hello:
        try:
            with self._listening(serial) as events:
                async with asyncio.timeout(SESSION_WAIT_S):
                    while serial not in self._open:
                        event = await events.get()
                        if isinstance(event, NoSession) and event.code != "unreachable":
                            raise ProvisionError(f"belt_{event.code}", belt=serial.hex())
        except TimeoutError:
            raise ProvisionError("no_answer", belt=serial.hex()) from None
        return self._open[serial]

    async def _refuses(self, serial: bytes, key: bytes) -> bool:
        """Whether the belt refuses a new session because it is out of service."""
        self._let_go(serial)
        try:
            with self._listening(serial) as events:
                async with asyncio.timeout(PROOF_WAIT_S):
                    self._serve(serial, key, hurry=True)
                    while True:
                        event = await events.get()
                        if isinstance(event, NoSession) and event.code == "decommissioned":
                            return True
        except TimeoutError:
            return False

    @contextlib.contextmanager
    def _listening(self, serial: bytes) -> Iterator[asyncio.Queue[Opened | NoSession]]:
        queue: asyncio.Queue[Opened | NoSession] = asyncio.Queue()
        self._events[serial] = queue
        try:
            yield queue
        finally:
            self._events.pop(serial, None)

    async def _command(self, serial: bytes, command: int, argument: int, finish_s: float = 0.0) -> Result:
        """The belt's answer; with `finish_s` the second one, which says that what was started has ended."""
        if serial not in self._open:
            await self._in_range(serial)
            await self._session(serial)
        request = self._next_request()
        return await self._ask(serial, request, frames.COMMAND, (request, command, argument), finish_s)

    async def _ask(
        self, serial: bytes, request: int, kind: int, values: tuple[Any, ...], finish_s: float = 0.0, tail: bytes = b""
    ) -> Result:
        assert self.radio is not None
        answers: asyncio.Queue[Result] = asyncio.Queue()
        self._results[serial, request] = answers
        try:
            if not self.radio.send(serial, kind, values, tail):
                raise ProvisionError("no_answer", belt=serial.hex())
            async with asyncio.timeout(RESULT_WAIT_S):
                result = await answers.get()
            if finish_s and result.status == frames.STATUS_STARTED:
                async with asyncio.timeout(finish_s):
                    result = await answers.get()
        except TimeoutError:
            raise ProvisionError("no_answer", belt=serial.hex()) from None
        finally:
            del self._results[serial, request]
        return result

    def _next_request(self) -> int:
        self._request = self._request + 1 if self._request < 0xFFFF else REQUEST_FIRST
        return self._request

    def _real_s(self, belt_s: float) -> float:
        return max(5.0, belt_s / self.clock.scale.speed * 1.5 + 2.0)


def _of_report(at_ms: int, report: LiveReport) -> Said:
    rate = report.heart_rate_bpm is not None or report.respiration_per_min is not None
    moving = bool(report.flags & frames.FLAG_MOVING)
    return Said(at_ms, "report", report.uptime_ms // 1000, report.occupancy, moving, rate, report.exit_count & 0xFF,
                report.flags, None)


def _of_beacon(event: BeaconHeard) -> Said:
    beacon: BeaconReport = event.beacon
    rate = beacon.heart_rate_bpm is not None or beacon.respiration_per_min is not None
    moving = bool(beacon.flags & frames.FLAG_MOVING)
    return Said(event.received_ms, "beacon", event.counter, beacon.occupancy, moving, rate, beacon.exit_count_low,
                beacon.flags, event.rssi_dbm)


def with_site(config: Config, beds: Mapping[str, bytes | None], site: Site) -> Config:
    """The configuration with the site's belts at its beds."""
    changed = []
    for bed in config.beds:
        serial = beds.get(bed.label)
        record = site.belts.get(serial) if serial is not None else None
        key = None if serial is None else record.key if record is not None else bed.key
        changed.append(replace(bed, serial=serial, key=key))
    return replace(config, beds=tuple(changed))
