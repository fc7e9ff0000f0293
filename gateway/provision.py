"""What a technician does with belts on a running gateway: claim, bind, swap, identify, calibrate, take out of service.

Everything is decided in cores/provisioning, said to belts by provision_talk; here keys are made, and each change is on
the disk before it takes effect.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.clock import GatewayClock
from gateway.config import Config, gateway_identity
from gateway.cores.labels import BeltLabel
from gateway.cores.provisioning import BeltRecord, Refusal, Site
from gateway.cores.survey import Survey
from gateway.provision_air import Voices
from gateway.provision_error import ProvisionError
from gateway.provision_talk import BeltTalk
from gateway.radio import NoSession, Opened, Radio, RadioEvent, Sighting
from gateway.radio_link import Result
from gateway.room import Room
from gateway.site_file import SiteFile
from protocol.messages import Hello
from protocol.wire import frames, session

__all__ = ["Provisioner", "with_site"]

log = logging.getLogger(__name__)

IDENTIFY_S = 10
CALIBRATION_BELT_S = 30.0  # 20 s of measuring, and some to say so
WIPE_S = 60.0
HOLD_S = 600.0
NOBODY = bytes(8)
"""The gateway that a released belt knows."""


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
        self.phase = ""
        """What is being done for whoever looks on: connecting, securing, ..."""
        self.hold_s = HOLD_S
        """How long the radio keeps a belt in session that was claimed and has not come to a bed."""
        self.air = Voices()
        self.talk = BeltTalk(clock)
        self._config, self._file, self.note = config, file, note
        self._identity = gateway_identity(config.gateway.id)
        self._busy, self._changing = asyncio.Lock(), asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[bytes, asyncio.TimerHandle] = {}

    def start(self, radio: Radio) -> None:
        """The radio is there: it also listens to the belts that a batch has planned."""
        self.talk.radio = radio
        for record in self.site.belts.values():
            if record.planned_bed and not record.bed and not record.decommissioned:
                self.talk.serve(record.serial, record.key)

    # -- the radio's events ------------------------------------------------------------------------------------------

    def heard(self, event: RadioEvent) -> None:
        """Every event of the radio, before the room takes it."""
        self.air.heard(event)
        if self.talk.heard(event):
            assert isinstance(event, Opened | NoSession)
            self._follow_key(event)

    def _follow_key(self, event: Opened | NoSession) -> None:
        """A session nobody asked for: finish a change of key that was cut short, or begin one after a restore."""
        serial = event.serial
        record = self.site.belts.get(serial)
        if record is None:
            return
        if isinstance(event, NoSession):
            if event.code in ("wrong_key", "claimed_elsewhere") and record.next_key is not None:
                under = record.next_key if self.talk.under(serial, record.key) == record.key else record.key
                self.talk.serve(serial, under)
        elif record.next_key is not None or record.rekey:
            task = asyncio.create_task(self._rekey(serial))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _rekey(self, serial: bytes) -> None:
        record = self.site.belts[serial]
        under = self.talk.under(serial, record.key)
        try:
            if under == record.next_key:
                await self._change(lambda: self.site.end_key(serial))
                self.talk.serve(serial, under)
            else:
                await self._new_key(BeltLabel(serial, record.model, under), under)
            log.info("belt %s has a new key", serial.hex())
            self.note("belt_rekeyed", "", self.site.bed_of(serial), serial.hex())
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
                await self.talk.in_range(label.serial)
                self.phase = "connecting"
                key = await self._prove(label)
                self.phase = "securing"
                await self._new_key(label, key)
                await self._change(lambda: self.site.right_code(label.serial))
                self.note("belt_claimed", who, bed, label.serial.hex())
                hello = await self.talk.session(label.serial)
            except ProvisionError:
                self._release_loose(label.serial)
                raise
            finally:
                self.phase = ""
        self._hold(label.serial)
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
        try:
            # Its ring's newest number: what stands there from before is not this bed's.
            hello = await self.talk.reach(serial, self.site.belts[serial].key)
        except ProvisionError:
            self._release_loose(serial)
            raise
        before = self.site.beds()[bed]
        self._no_alarm(bed)
        if before is not None:
            self._adopt(before, bed)
        await self._change(lambda: self.site.bind(serial, bed, self.clock.utc_ms()))
        record = self.site.belts[serial]
        self.room.bind(bed, serial, record.key, hello, who)
        if before is not None:
            self.talk.let_go(before)
        self.talk.serve(serial, record.key)
        return before

    async def release(self, bed: str, who: str) -> bytes:
        """Take the belt off a bed; it stays known here and can come to another bed."""
        serial = self._belt_at(bed)
        self._no_alarm(bed)
        self._adopt(serial, bed)
        await self._change(lambda: self.site.unbind(bed))
        self.room.unbind(bed, who)
        self.talk.let_go(serial)
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

    async def decommission(self, serial: bytes, who: str) -> dict[str, Any]:
        """Take a belt out of service for good; what it answered, and that it refuses us since, is the proof."""
        record = self.site.belts.get(serial) or self._of_file(serial)
        if record is None:
            raise ProvisionError("unknown_belt", belt=serial.hex())
        bed = self.site.bed_of(serial)
        if bed:
            self._no_alarm(bed)
        hello = await self.talk.reach(serial, record.key)
        left = await self._wiped(serial, frames.CMD_DECOMMISSION)
        refused = await self.talk.refuses(serial, record.key)
        if left is None and not refused:
            raise ProvisionError("no_answer", belt=serial.hex())  # as far as we know, nothing has happened to it
        proof = {
            "belt": serial.hex(), "bed": bed, "utc_ms": self.clock.utc_ms(), "who": who, "wiped": left == 0,
            "records_before": hello.record_seq, "records_left": left, "refuses_since": refused,
        }  # fmt: skip
        await self._change(lambda: self.site.decommission(serial, left == 0))
        if bed:
            self.room.unbind(bed, who)
        self.talk.let_go(serial)
        self.note("belt_decommissioned", who, bed, json.dumps(proof, sort_keys=True))
        return proof

    async def _wiped(self, serial: bytes, command: int) -> int | None:
        """How many slots of the belt's records still hold anything (0); None if its answer was lost on the way."""
        try:
            result = await self._command(serial, command, 0, finish_s=WIPE_S)
        except ProvisionError as error:
            if error.code != "no_answer":
                raise
            return None
        if result.status == frames.STATUS_UNKNOWN:
            raise ProvisionError("wipe_unknown", belt=serial.hex())
        if result.status != frames.STATUS_DONE:
            raise ProvisionError("not_wiped", status=result.status)
        return result.value

    async def plan(self, label: BeltLabel, bed: str) -> None:
        """A batch wants this belt at this bed; it is listened to from now on, so that it can be told by a press."""
        self._allow(self.site.may_claim(label.serial, bed, self.clock.elapsed_ms()))
        await self._change(lambda: self.site.plan(label, bed))
        if self.site.belts[label.serial].planned_bed:
            self.talk.serve(label.serial, self.site.belts[label.serial].key)

    async def tested(self, bed: str, result: dict[str, Any], who: str) -> None:
        """Keep a finished walk test."""
        await self._change(lambda: self.site.tested.update({bed: result}))
        self.note("walk_test", who, bed, "passed" if result["passed"] else "failed")

    # -- the whole gateway -------------------------------------------------------------------------------------------

    async def hand_over(self, serial: bytes, who: str) -> BeltLabel:
        """Give a belt up for another gateway: wiped, under a new key that is nobody's yet, off its bed; its new label.

        The code of its own label and every key that this gateway, its backups included, ever had are void then.
        """
        record = self.site.belts.get(serial) or self._of_file(serial)
        if record is None or record.decommissioned:
            raise ProvisionError("unknown_belt", belt=serial.hex())
        bed = self.site.bed_of(serial)
        if bed:
            self._no_alarm(bed)
        await self.talk.reach(serial, record.key)
        if await self._wiped(serial, frames.CMD_WIPE_RECORDS) is None:
            raise ProvisionError("no_answer", belt=serial.hex())
        key = self.talk.under(serial, record.key)
        await self._new_key(BeltLabel(serial, record.model, key), key, NOBODY)
        await self._change(lambda: self.site.give_up(serial))
        if bed:
            self.room.unbind(bed, who)
        self.talk.let_go(serial)
        self.note("belt_handed_over", who, bed, serial.hex())
        return BeltLabel(serial, record.model, self.site.belts[serial].key)

    def all_belts(self) -> list[bytes]:
        """Every belt that is this gateway's and in service: at a bed or spare, reached by a key of ours."""
        known = [serial for serial, record in self.site.belts.items()
                 if not (record.decommissioned or record.handed_over) and (record.claimed or record.bed)]
        return list(dict.fromkeys([*(serial for serial in self.site.beds().values() if serial is not None), *known]))

    # -- what is in the air ------------------------------------------------------------------------------------------

    def sightings(self) -> list[Sighting]:
        """Belts that were heard lately, of whichever gateway."""
        return self.talk.radio.sightings() if self.talk.radio is not None else []

    @property
    def radio_trouble(self) -> str:
        return self.talk.radio.trouble if self.talk.radio is not None else ""

    def reacting(self, since_ms: int) -> list[bytes]:
        """Belts without a bed that reacted to a press or to somebody lying down since then."""
        return self.air.reacting(filter(self._is_loose, self.site.belts), since_ms)

    def surveyed(self, serial: bytes, from_ms: int) -> Survey:
        """How well the belt was heard since `from_ms`."""
        return self.air.surveyed(serial, from_ms, self.clock.elapsed_ms())

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

    async def _command(self, serial: bytes, command: int, argument: int, finish_s: float = 0.0) -> Result:
        record = self.site.belts.get(serial) or self._of_file(serial)
        if record is None or record.decommissioned:
            raise ProvisionError("unknown_belt", belt=serial.hex())
        try:
            return await self.talk.command(serial, record.key, command, argument, finish_s)
        finally:
            self._hold(serial)

    def _is_loose(self, serial: bytes) -> bool:
        record = self.site.belts.get(serial)
        return not self.site.bed_of(serial) and (record is None or not record.decommissioned)

    def _hold(self, serial: bytes) -> None:
        """Keep a belt without a bed in session for a while, for a press or a tap; not until the next restart."""
        if self._is_loose(serial):
            if serial in self._held:
                self._held.pop(serial).cancel()
            self._held[serial] = asyncio.get_running_loop().call_later(self.hold_s, self._release_loose, serial)

    def _release_loose(self, serial: bytes) -> None:
        """The radio's slot is for belts at beds, and for those that a batch wants there."""
        if serial in self._held:
            self._held.pop(serial).cancel()
        if self._is_loose(serial) and not self.site.planned_bed(serial):
            self.talk.let_go(serial)

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




    async def _prove(self, label: BeltLabel) -> bytes:
        """The key under which the belt opens a session."""
        serial, refusals = label.serial, []
        if (under := self.talk.open_under(serial)) is not None:
            return under
        for key in self.site.keys_for(label):
            code = await self.talk.try_key(serial, key)
            if not code:
                return key
            refusals.append(code)
        self.talk.let_go(serial)
        if "claimed_elsewhere" in refusals:
            raise ProvisionError("claimed_elsewhere", belt=serial.hex())
        left = 0

        def count() -> None:
            nonlocal left
            left = self.site.wrong_code(serial, self.clock.elapsed_ms())

        await self._change(count)
        self.note("claim_refused", "", "", serial.hex())
        if not left:
            self._allow(self.site.may_claim(serial, "", self.clock.elapsed_ms()))
        raise ProvisionError("wrong_code", belt=serial.hex(), left=left)


    async def _new_key(self, label: BeltLabel, key: bytes, owner: bytes = b"") -> None:
        """Replace the belt's key; the new one is on our disk before the belt hears it. `owner`: if it is not us."""
        serial, new = label.serial, os.urandom(session.KEY_BYTES)
        await self._change(lambda: self.site.begin_key(label, key, new, self.clock.utc_ms()))
        status = await self.talk.give_key(serial, new, owner or self._identity)
        if status != frames.STATUS_DONE:
            raise ProvisionError("not_claimed", status=status)
        await self._change(lambda: self.site.end_key(serial))
        self.talk.serve(serial, new)
        if bed := self.site.bed_of(serial):
            self.room.rekeyed(bed, new)

    def _real_s(self, belt_s: float) -> float:
        return max(5.0, belt_s / self.clock.scale.speed * 1.5 + 2.0)


def with_site(config: Config, beds: Mapping[str, bytes | None], site: Site) -> Config:
    """The configuration with the site's belts at its beds."""
    changed = []
    for bed in config.beds:
        serial = beds.get(bed.label)
        record = site.belts.get(serial) if serial is not None else None
        key = None if serial is None else record.key if record is not None else bed.key
        changed.append(replace(bed, serial=serial, key=key))
    return replace(config, beds=tuple(changed))
