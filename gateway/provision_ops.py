"""Everything a technician can ask, by name: the page and `sleepbelt provision` call the same operations.

An operation takes and gives JSON-able values, never a resident's name or a rate; ProvisionError names what is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.alerting import Alerting
from gateway.belt_rollout import BeltRollout
from gateway.config import Config, ConfigError
from gateway.cores.labels import BedLabel, BeltLabel, LabelError, belt_label_text, parse_code, parse_label, parse_serial
from gateway.cores.walk_test import WalkTest, result_state
from gateway.outlets.outlets import Outlets
from gateway.provision import Provisioner
from gateway.provision_air import Said
from gateway.provision_error import ProvisionError
from gateway.site_upload import SiteUpload
from gateway.wipe import PROOF_FILE
from protocol.phrase import lines
from protocol.wire import frames

__all__ = ["Operations"]

TICK_S = 0.2
LIVE_S = 10.0
SURVEY_S_MAX = 900
PLATFORM = "platform"
BATCH_CHARS_MAX = 500_000

EraseBed = Callable[[str, int, int, str], Awaitable[dict[str, Any]]]
"""(bed, from, to in UTC ms, who)"""
Operation = Callable[[Mapping[str, Any], str], Awaitable[dict[str, Any]]]


class Operations:
    """`call` one; `run` is the task that drives a walk test."""

    def __init__(
        self, config: Config, provisioner: Provisioner, alerting: Alerting, outlets: Outlets, upload: SiteUpload,
        rollout: BeltRollout, erase_bed: EraseBed,
    ) -> None:
        self._config, self._provisioner, self._alerting, self._outlets = config, provisioner, alerting, outlets
        self._rollout, self._erase_bed = rollout, erase_bed
        self._site, self._room, self._clock = provisioner.site, provisioner.room, provisioner.clock
        self._upload = upload
        self._walk: WalkTest | None = None
        self._walk_belt = b""
        self._walker = ""
        self._saved = False
        self._begun = asyncio.Event()
        self._saving = asyncio.Lock()
        self._test_alarm_id = ""
        self.on_test_alarm: Callable[[], None] = lambda: None
        """Told when `test_alarm` has changed."""
        self._tap_since_ms: int | None = None
        self._presses: set[asyncio.Task[None]] = set()
        provisioner.air.on_said = self._said
        alerting.on_trial_delivery = self._delivered
        alerting.on_trial_press = self.pressed
        alerting.on_trial_lost = self._lost
        outlets.on_test_delivery = self._delivered
        self._operations: dict[str, Operation] = {
            name.removeprefix("_do_"): getattr(self, name) for name in dir(self) if name.startswith("_do_")
        }

    async def call(
        self, name: str, arguments: Mapping[str, Any], who: str, *, admin: bool = False
    ) -> dict[str, Any]:
        """Do one operation. ProvisionError; `unknown_operation` and `bad_argument` are the caller's own.

        `admin`: `who` may do what could lead to residents' data.
        """
        operation = self._operations.get(name)
        if operation is None:
            raise ProvisionError("unknown_operation", found=name)
        try:
            return await operation({**arguments, "admin": admin}, who)
        except LabelError as error:
            raise ProvisionError(error.code, **error.values) from None

    async def run(self) -> None:
        """Let walk tests go on with the time."""
        while True:
            await self._begun.wait()
            await asyncio.sleep(TICK_S)
            if self._walk is None or (self._walk.finished and self._saved):
                self._begun.clear()
            else:
                now_ms = self._clock.elapsed_ms()
                view = self._room.ward.view(self._walk.bed, self._room.now())
                self._walk.ward(now_ms, view.state)
                self._walk.advance(now_ms)
                await self._follow_walk()

    # -- looking -----------------------------------------------------------------------------------------------------

    async def _do_state(self, _: Mapping[str, Any], __: str) -> dict[str, Any]:
        """Beds, belts in range, and what is going on."""
        now = self._room.now()
        beds = self._site.beds()
        heard = {s.serial: s for s in self._provisioner.sightings()}
        shown = [self._bed(label, serial) for label, serial in beds.items()]
        serials = dict.fromkeys([*heard, *self._site.belts])
        belts: list[dict[str, Any]] = []
        for serial in serials:
            seen, record = heard.get(serial), self._site.belts.get(serial)
            bed = self._site.bed_of(serial)
            status = "bound" if bed else "unknown" if record is None else "decommissioned" if record.decommissioned \
                else "planned" if record.planned_bed else "spare"
            belts.append({
                "belt": serial.hex(), "bed": bed, "status": status,
                "planned_bed": "" if record is None else record.planned_bed,
                "rssi_dbm": None if seen is None else seen.rssi_dbm,
                "heard_ago_s": None if seen is None else self._ago_s(seen.heard_ms),
            })  # fmt: skip
        belts.sort(key=lambda belt: -(belt["rssi_dbm"] or -999))
        reacted = [] if self._tap_since_ms is None else self._provisioner.reacting(self._tap_since_ms)
        return {
            "gateway": self._config.gateway.id, "time_trusted": now.trusted, "beds": shown, "belts": belts,
            "phase": self._provisioner.phase, "reacted": [serial.hex() for serial in reacted],
            "walk": None if self._walk is None else self._walk.to_json(),
            "belt_update": self._rollout.status(),
            "radio_trouble": self._provisioner.radio_trouble,
            "wiped": (self._config.gateway.data_dir / PROOF_FILE).exists(),
        }  # fmt: skip

    def _bed(self, label: str, serial: bytes | None) -> dict[str, Any]:
        bed = self._room.beds[label]
        tested = self._site.tested.get(label)
        said = self._provisioner.air.newest(serial) if serial is not None else None
        ago_s = None if said is None else self._ago_s(said.at_ms)
        return {
            "bed": label, "room": bed.config.room,
            "maintenance": self._room.ward.view(label, self._room.now()).mode == "maintenance",
            "belt": "" if serial is None else serial.hex(),
            "live": ago_s is not None and ago_s <= LIVE_S * max(1.0, self._clock.scale.speed / 5),
            "heard_ago_s": ago_s, "rssi_dbm": bed.state.rssi_dbm if serial is not None else None,
            "calibrated": bool(said and said.flags & frames.FLAG_CALIBRATED),
            "place": "" if serial is None else self._site.calibrated.get(serial, {}).get("place", ""),
            "walk": None if tested is None else "passed" if tested["passed"] else "failed",
        }  # fmt: skip

    def _ago_s(self, at_ms: int) -> float:
        return round(max(0, self._clock.elapsed_ms() - at_ms) / 1000, 1)

    async def _do_belt_update(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """The roll-out of staged firmware to the belts: `do` is start, stop or status."""
        what = arguments.get("do", "status")
        if what == "start":
            return await self._rollout.start(who)
        if what == "stop":
            return self._rollout.stop(who)
        if what != "status":
            raise ProvisionError("bad_argument", name="do", allowed="start, stop, status")
        return self._rollout.status()

    # -- binding -----------------------------------------------------------------------------------------------------

    async def _do_scan(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """A label, wherever it came from; `bed`: where the technician stands, if that is known already.

        A bed's label chooses the bed. A belt's label claims the belt; it is bound at once where there is no choice
        left: a batch has planned it, or `bed` has a belt that this one replaces. A bed that was not chosen for this
        scan is not `bed`: where somebody stood before is not where he stands.
        """
        label = parse_label(_text(arguments, "text"))
        if isinstance(label, BedLabel):
            refusal = self._site.may_scan_bed(label)
            if refusal is not None:
                raise ProvisionError(refusal.code, **refusal.values)
            return await self._do_choose({"bed": label.bed}, who)
        return await self._claim(label, str(arguments.get("bed", "")), who)

    async def _do_choose(self, arguments: Mapping[str, Any], _: str) -> dict[str, Any]:
        """Stand at a bed: from now on, a belt that reacts is proposed for it."""
        bed = _text(arguments, "bed")
        if bed not in self._site.beds():
            raise ProvisionError("unknown_bed", bed=bed)
        self._tap_since_ms = self._clock.elapsed_ms()
        serial = self._site.beds()[bed]
        return {"kind": "bed", "bed": bed, "belt": "" if serial is None else serial.hex()}

    async def _do_claim(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """A belt chosen from the list by `belt`, its claim code typed as `code`."""
        serial = parse_serial(_text(arguments, "belt"))
        return await self._claim(
            BeltLabel(serial, 0, parse_code(_text(arguments, "code"), serial)), str(arguments.get("bed", "")), who
        )

    async def _claim(self, label: BeltLabel, bed: str, who: str) -> dict[str, Any]:
        planned = self._site.planned_bed(label.serial)
        if planned and bed and bed != planned:
            raise ProvisionError("planned_elsewhere", bed=planned, belt=label.serial.hex())
        bed = planned or bed
        swaps = bool(bed) and self._site.beds().get(bed) not in (None, label.serial)
        await self._provisioner.claim(label, bed, who)
        said = {"kind": "belt", "belt": label.serial.hex(), "bed": bed, "bound": False, "replaced": ""}
        if not (planned or swaps):
            self._tap_since_ms = self._clock.elapsed_ms()
            return said
        return {**said, **await self._do_bind({"belt": label.serial.hex(), "bed": bed}, who)}

    async def _do_bind(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Put a claimed or planned belt at a bed."""
        serial, bed = parse_serial(_text(arguments, "belt")), _text(arguments, "bed")
        before = await self._provisioner.bind(serial, bed, who)
        self._tap_since_ms = None
        return {"kind": "belt", "belt": serial.hex(), "bed": bed, "bound": True,
                "replaced": "" if before is None else before.hex()}

    async def _do_release(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        bed = _text(arguments, "bed")
        return {"bed": bed, "belt": (await self._provisioner.release(bed, who)).hex()}

    async def _do_maintenance(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Nobody is called for a bed while it is worked on; `on` false ends it."""
        bed, on = _text(arguments, "bed"), arguments.get("on") is True
        if bed not in self._site.beds():
            raise ProvisionError("unknown_bed", bed=bed)
        if on and self._room.ward.view(bed, self._room.now()).alarm == "unacknowledged":
            raise ProvisionError("alarm_active", bed=bed)
        self._room.act(bed, "maintenance_on" if on else "maintenance_off", who)
        return {"bed": bed, "on": on}

    async def _do_identify(self, arguments: Mapping[str, Any], _: str) -> dict[str, Any]:
        serial = parse_serial(_text(arguments, "belt"))
        await self._provisioner.identify(serial)
        return {"belt": serial.hex()}

    async def _do_plan(self, arguments: Mapping[str, Any], _: str) -> dict[str, Any]:
        """One row of a batch: `bed` and the text of the belt's label."""
        label = parse_label(_text(arguments, "label"))
        if not isinstance(label, BeltLabel):
            raise ProvisionError("label_foreign", found=str(arguments["label"])[:12])
        await self._provisioner.plan(label, _text(arguments, "bed"))
        return {"belt": label.serial.hex(), "bed": arguments["bed"]}

    async def _do_batch(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """The `text` of a batch (CSV with the columns bed,label): every row that is good is planned."""
        # Loaded by who has one.
        from gateway.commands.provision_tables import batch_rows

        text = arguments.get("text")
        if not isinstance(text, str) or len(text) > BATCH_CHARS_MAX:
            raise ProvisionError("bad_argument", name="text", allowed=f"CSV, at most {BATCH_CHARS_MAX} characters")
        try:
            rows = batch_rows(text, Path("CSV"))
        except ConfigError as error:
            raise ProvisionError(
                "batch_wrong", problems=lines([problem.phrase() for problem in error.problems])) from None
        planned, failed = [], []
        for bed, label in rows:
            try:
                planned.append(await self._do_plan({"bed": bed, "label": label}, who))
            except ProvisionError as error:
                failed.append({"bed": bed, "code": error.code, "values": error.values})
        return {"planned": planned, "failed": failed}

    async def _do_calibrate(self, arguments: Mapping[str, Any], _: str) -> dict[str, Any]:
        what = _text(arguments, "what")
        if what not in ("empty", "occupied"):
            raise ProvisionError("bad_argument", name="what", allowed="empty, occupied")
        return await self._provisioner.calibrate(_text(arguments, "bed"), what == "occupied")

    async def _do_self_test(self, arguments: Mapping[str, Any], _: str) -> dict[str, Any]:
        bed = _text(arguments, "bed")
        return {"bed": bed, "code": await self._provisioner.self_test(bed)}

    async def _do_decommission(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        return await self._provisioner.decommission(parse_serial(_text(arguments, "belt")), who)

    async def _do_survey(self, arguments: Mapping[str, Any], _: str) -> dict[str, Any]:
        """How every bound belt was heard in the last `seconds`."""
        seconds = arguments.get("seconds", 60)
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 10 <= seconds <= SURVEY_S_MAX:
            raise ProvisionError("bad_argument", name="seconds", allowed=f"10 to {SURVEY_S_MAX}")
        from_ms = self._clock.elapsed_ms() - seconds * 1000
        rows = [
            {"bed": bed, "belt": serial.hex(), **self._provisioner.surveyed(serial, from_ms).to_json()}
            for bed, serial in self._site.beds().items() if serial is not None
        ]
        return {"seconds": seconds, "beds": rows, "passed": bool(rows) and all(
            row["verdict"] in ("good", "close") for row in rows)}

    async def _do_certificate(self, _: Mapping[str, Any], who: str) -> dict[str, Any]:
        """The acceptance certificate of all beds, signed (gateway/acceptance.py)."""
        # Loaded by who asks for one.
        from gateway.provision_papers import signed

        return await signed(self._accepted(who), self._config.gateway.data_dir)

    def _accepted(self, who: str) -> dict[str, Any]:
        beds: list[dict[str, Any]] = []
        for label, serial in self._site.beds().items():
            bed = self._room.beds[label]
            beds.append({
                "bed": label, "room": bed.config.room, "belt": "" if serial is None else serial.hex(),
                "firmware": bed.state.firmware, "walk_test": self._site.tested.get(label),
                "calibration": {} if serial is None else self._site.calibrated.get(serial, {}),
            })  # fmt: skip
        return {
            "kind": "sleepbelt acceptance 1", "gateway": self._config.gateway.id,
            "timezone": self._config.gateway.timezone, "utc_ms": self._clock.utc_ms(),
            "time_trusted": self._room.now().trusted, "who": who, "beds": beds,
            "accepted": all(bed["walk_test"] is not None and bed["walk_test"]["passed"] for bed in beds),
        }  # fmt: skip

    # -- the site file -----------------------------------------------------------------------------------------------

    async def _do_site(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """What the site file `text` would change, or with `apply` true change it; beds go only with `remove_beds`."""
        text = arguments.get("text")
        if not isinstance(text, str):
            raise ProvisionError("bad_argument", name="text", allowed="text")
        if not arguments.get("apply"):
            return await self._upload.check(text)
        if self._walk is not None and not self._walk.finished:
            raise ProvisionError("walk_running", bed=self._walk.bed)
        return await self._upload.apply(
            text, who, admin=arguments["admin"] is True, remove_beds=arguments.get("remove_beds") is True,
            belts=bool(self._site.belts),
        )  # fmt: skip

    # -- one bed's records -------------------------------------------------------------------------------------------

    async def _do_erase_bed(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Erase what is kept of a bed in a span of time; `bed_again` is the bed once more, to confirm."""
        if arguments["admin"] is not True:
            raise ProvisionError("needs_admin")
        bed = _text(arguments, "bed")
        if arguments.get("bed_again") != bed:
            raise ProvisionError("erase_confirm", bed=bed)
        span = (arguments.get("from_utc_ms"), arguments.get("to_utc_ms"))
        if not all(isinstance(at, int) and not isinstance(at, bool) and 0 <= at < 2**53 for at in span):
            raise ProvisionError("bad_argument", name="from_utc_ms, to_utc_ms", allowed="UTC in ms")
        try:
            return await self._erase_bed(bed, *span, who)  # type: ignore[arg-type]
        except (sqlite3.Error, OSError) as error:
            raise ProvisionError("erase_failed", bed=bed, why=str(error)) from None

    # -- the whole gateway -------------------------------------------------------------------------------------------

    async def _do_wipe_belts(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Give every belt up for another gateway, wiped: labels with new claim codes, to be kept before we erase."""
        self._may_wipe(arguments)
        # Those that were given up before, once more: their codes are of use only to whoever has kept them.
        labels = [BeltLabel(record.serial, record.model, record.key)
                  for record in self._site.belts.values() if record.handed_over]
        missing: list[dict[str, Any]] = []
        for serial in self._provisioner.all_belts():
            bed = self._site.bed_of(serial)
            try:
                labels.append(await self._provisioner.hand_over(serial, who))
            except ProvisionError as error:
                missing.append({"belt": serial.hex(), "bed": bed, "code": error.code, "values": error.values})
        released = [{"serial": label.serial.hex(), "model": label.model, "claim_secret": label.secret.hex(),
                     "label": belt_label_text(label)} for label in labels]
        return {"released": released, "not_reached": missing}

    async def _do_wipe(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Erase everything at once, by a restart; belts that were not reached only with `leave_belts`."""
        self._may_wipe(arguments)
        still = [serial.hex() for serial in self._provisioner.all_belts()]
        if still and arguments.get("leave_belts") is not True:
            raise ProvisionError("wipe_belts", belts=", ".join(still).upper())
        belts = [{"belt": serial.hex(), "released": record.handed_over, "retired": record.decommissioned,
                  "wiped": record.wiped}
                 for serial, record in self._site.belts.items()]
        await self._upload.wipe({
            "gateway": self._config.gateway.id, "who": who, "ordered_utc_ms": self._clock.utc_ms(),
            "time_trusted": self._room.now().trusted, "beds": list(self._site.beds()), "belts": belts,
            "not_released": still,
        })  # fmt: skip
        return {"gateway": self._config.gateway.id, "ordered": True}

    async def backup(self, passphrase: str, language: str, who: str) -> bytes:
        """This gateway's backup, sealed; ProvisionError `no_backup`. For an admin alone: it holds the keys of belts."""
        # Loaded by who asks for one.
        from gateway.provision_backup import sealed_backup

        made = await sealed_backup(self._config.file, passphrase, language)
        self._provisioner.note("backup", who, "", f"{len(made)} bytes")
        return made

    async def wipe_proof(self) -> bytes:
        """What was left when this gateway was last erased; ProvisionError `no_proof`."""
        try:
            return await asyncio.to_thread((self._config.gateway.data_dir / PROOF_FILE).read_bytes)
        except OSError:
            raise ProvisionError("no_proof") from None

    def _may_wipe(self, arguments: Mapping[str, Any]) -> None:
        if arguments["admin"] is not True:
            raise ProvisionError("needs_admin")
        if arguments.get("gateway") != self._config.gateway.id:
            raise ProvisionError("wipe_confirm", gateway=self._config.gateway.id)
        self._upload.quiet()

    # -- the walk test -----------------------------------------------------------------------------------------------

    async def _do_walk_start(self, arguments: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Begin the test of a bed; the bed is under maintenance until it ends, so that nobody is called for it."""
        bed = _text(arguments, "bed")
        if self._walk is not None and not self._walk.finished and self._walk.bed != bed:
            raise ProvisionError("walk_running", bed=self._walk.bed)
        serial = self._site.beds().get(bed)
        if serial is None:
            raise ProvisionError("no_belt" if bed in self._site.beds() else "unknown_bed", bed=bed)
        if self._room.ward.view(bed, self._room.now()).alarm == "unacknowledged":
            raise ProvisionError("alarm_active", bed=bed)
        self._room.act(bed, "maintenance_on", who)
        channels = [*(channel.name for channel in self._alerting.alerter.channels), *self._outlets.channels()]
        points = ["page", *(f"button:{button.name}" for button in self._config.alerter.buttons)]
        if self._config.uplink is not None and self._config.uplink.platform_key is not None:
            points.append(PLATFORM)
        self._walk = WalkTest(bed, channels, points, self._clock.elapsed_ms())
        self._begun.set()
        self._walk_belt, self._walker, self._saved = serial, who, False
        return self._walk.to_json()

    async def _do_walk_go(self, _: Mapping[str, Any], __: str) -> dict[str, Any]:
        """The technician does the step at hand now."""
        walk = self._walking()
        walk.go(self._clock.elapsed_ms())
        return await self._follow_walk()

    async def _do_walk_done(self, _: Mapping[str, Any], __: str) -> dict[str, Any]:
        """Rolled over twice and sat up."""
        self._walking().done(self._clock.elapsed_ms())
        return await self._follow_walk()

    async def _do_walk_skip(self, _: Mapping[str, Any], __: str) -> dict[str, Any]:
        self._walking().skip(self._clock.elapsed_ms())
        return await self._follow_walk()

    async def _do_walk_confirm(self, arguments: Mapping[str, Any], _: str) -> dict[str, Any]:
        """The test alarm was noticed on `channel`, or (`heard` false) was not."""
        heard = arguments.get("heard", True) in (True, "true", "1")
        self._walking().confirm(self._clock.elapsed_ms(), _text(arguments, "channel"), heard)
        return await self._follow_walk()

    async def _do_walk_acknowledge(self, _: Mapping[str, Any], __: str) -> dict[str, Any]:
        """The test alarm is answered on the page."""
        await self._answer("page")
        return await self._follow_walk()

    async def _do_walk_stop(self, _: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Give the test up."""
        walk = self._walking()
        self._end_trial()
        self._room.act(walk.bed, "maintenance_off", who)
        self._walk = None
        return {"bed": walk.bed}

    def pressed(self, point: str) -> None:
        """A button was pressed while the test alarm is on."""
        press = asyncio.create_task(self._answer(point))
        self._presses.add(press)
        press.add_done_callback(self._presses.discard)

    @property
    def test_alarm(self) -> tuple[str, str]:
        """(bed, id) of the test alarm that waits for the platform's answer; ("", "") without one."""
        return (self._walk.bed, self._test_alarm_id) if self._walk is not None and self._test_alarm_id else ("", "")

    async def answered_by_platform(self, way_ms: int | None) -> None:
        """The platform has answered the test alarm, `way_ms` (real) ago if known; back once all channels are quiet."""
        await self._answer(PLATFORM, way_ms)

    async def _answer(self, point: str, way_ms: int | None = None) -> None:
        """Answered from `point`; `way_ms`: what the answer took to come here, which counts."""
        walk = self._walk
        if walk is None or walk.step is None or walk.step.name != "acknowledge" or not self._alerting.trial:
            return
        self._tell_test_alarm("")
        latency_ms = await self._alerting.trial_answered()
        walk.acknowledged(self._clock.elapsed_ms(), point, latency_ms, way_ms)
        await self._follow_walk()

    def _walking(self) -> WalkTest:
        if self._walk is None:
            raise ProvisionError("no_walk")
        return self._walk

    async def _follow_walk(self) -> dict[str, Any]:
        """Do what the test wants done; keep its result once it is over."""
        walk = self._walking()
        for effect in walk.effects:
            if effect == "alarm_on":
                self._begin_trial(walk)
            else:
                self._end_trial()
        walk.effects.clear()
        if walk.finished and not self._saved and not self._saving.locked():
            self._room.act(walk.bed, "maintenance_off", self._walker)
            result = result_state(walk.to_json(), self._clock.utc_ms(), self._walker, self._walk_belt.hex())
            # A disk that does not write is tried again by `run`; whoever looks sees the result meanwhile.
            with contextlib.suppress(ProvisionError):
                async with self._saving:
                    await self._provisioner.tested(walk.bed, result, self._walker)
                    self._saved = True
        return walk.to_json()

    def _begin_trial(self, walk: WalkTest) -> None:
        if not self._alerting.trial_on(walk.bed):
            walk.interrupted(self._clock.elapsed_ms())
        elif walk.step is not None and walk.step.name == "alarm":
            # Once: that a point silences the room is nothing a chat is told of.
            self._outlets.test_on(walk.bed)
        elif PLATFORM in walk.points_missing():
            self._tell_test_alarm(secrets.token_hex(8))

    def _end_trial(self) -> None:
        self._alerting.trial_off()
        self._outlets.test_off()
        self._tell_test_alarm("")

    def _tell_test_alarm(self, alarm_id: str) -> None:
        if alarm_id != self._test_alarm_id:
            self._test_alarm_id = alarm_id
            self.on_test_alarm()

    def _lost(self) -> None:
        self._outlets.test_off()
        self._tell_test_alarm("")
        if self._walk is not None:
            self._walk.interrupted(self._clock.elapsed_ms())

    def _said(self, serial: bytes, said: Said) -> None:
        walk = self._walk
        if walk is None or walk.finished or serial != self._walk_belt:
            return
        walk.said(said.at_ms, said.occupancy, rate=said.rate, moving=said.moving, exits=said.exits,
                  report=(said.kind, said.number))
        if said.rssi_dbm is not None:
            walk.strength(said.at_ms, said.rssi_dbm)

    def _delivered(self, channel: str, after_ms: int, error: str) -> None:
        if self._walk is not None:
            self._walk.delivered(self._clock.elapsed_ms(), channel, after_ms, error)


def _text(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value or len(value) > 512:
        raise ProvisionError("bad_argument", name=name, allowed="text")
    return value
