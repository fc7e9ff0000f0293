"""The pipeline of one gateway: what is heard becomes facts, the ward decides, alerts go out, then disk, belt and cloud.

Synchronous and single-threaded; every output is a call that returns at once. The order inside `_decided` is the promise
of the design: the alerter acts before disk or cloud is touched, the belt is acknowledged only after the commit.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.alerter.signal import Signal, signal_of
from gateway.clock import GatewayClock
from gateway.config import BedConfig, Config
from gateway.cores.audit import AuditEntry
from gateway.cores.belt_session import NOTHING, BeltSession, Outcome, PlacedRecord
from gateway.cores.effects import (
    ACK,
    ACK_IGNORED,
    ALARM_CLEAR,
    ALARM_RAISE,
    MISSED_ALARM,
    REFUSED,
    TECH_CLEAR,
    TECH_RAISE,
    Effect,
)
from gateway.cores.facts import (
    Acknowledge,
    Assist,
    AwayOff,
    AwayOn,
    Configure,
    Fact,
    GatewayUp,
    MaintenanceOff,
    MaintenanceOn,
    Unbind,
)
from gateway.cores.leave_bed import BedView, Now, Ward
from gateway.cores.profile import Profile
from gateway.cores.vitals import Assembler
from gateway.items import ALARM_EVENTS, GATEWAY_UP, SENT_EVENTS, alarm_item, event_row, record_row, stamp
from gateway.radio import BeaconHeard, Closed, Heard, NoSession, Opened, RadioEvent
from gateway.radio_link import Absences, HistoryEnd
from gateway.store_evidence import SettingsRow
from gateway.store_files import Chunk, EventRow, Writes
from gateway.store_provisional import Zeros
from protocol.batch import DeviceState, Stamp, VitalsChunk, encode_item
from protocol.messages import BeaconReport, Hello, LiveReport, MinuteRecord
from protocol.wire import frames

__all__ = ["BeltState", "Room"]

log = logging.getLogger(__name__)

STATE_EVERY_MS = 30_000  # how old the saved "last heard" may be
STATE_EVERY_ALARMED_MS = 5_000  # time with the gateway down does not escalate, so it must be known better then
TIME_EVERY_MS = 600_000
CHUNK_IDLE_MS = 90_000  # a belt without a session this long gets no minute record that would close its chunk
TIME_UNCERTAINTY_MS = 1_000

_ACTIONS: Mapping[str, Callable[[str, str], Fact]] = {
    "acknowledge": Acknowledge,
    "assist": Assist,
    "maintenance_on": MaintenanceOn,
    "maintenance_off": MaintenanceOff,
    "away_on": AwayOn,
    "away_off": AwayOff,
}
_OUTCOMES = {"outcome_real": "real", "outcome_assisted": "assisted", "outcome_false": "false"}


@dataclass(slots=True)
class BeltState:
    """What the page shows of a belt beside the ward's view; instants in elapsed ms."""

    said: LiveReport | BeaconReport | None = None
    said_ms: int | None = None
    rssi_dbm: int | None = None
    firmware: str = ""
    told_device: dict[str, Any] = field(default_factory=dict)
    turn_overs_tonight: int = 0


@dataclass(slots=True)
class _Bed:
    config: BedConfig
    belt: str  # serial in hex, "" without a belt
    session: BeltSession
    assembler: Assembler
    state: BeltState = field(default_factory=BeltState)
    alarm_id: str = ""
    outcome_due: bool = False
    report_ms: int = 0
    signature: object = None
    notice_since_ms: dict[str, int] = field(default_factory=dict)


class Room:
    """All beds of the gateway. Give it radio events and actions, call `advance` at `next_deadline_ms()`."""

    def __init__(
        self,
        config: Config,
        clock: GatewayClock,
        saved: Mapping[str, Any] | None,
        put: Callable[[Writes], None],
        send: Callable[[bytes, int, tuple[Any, ...]], bool],
        alert: Callable[[Signal], None],
        changed: Callable[[bool], None],
    ) -> None:
        """`saved`: the store's state. KeyError, TypeError or ValueError if it is not of this version."""
        self.config = config
        self.counters: Counter[str] = Counter()
        self._clock = clock
        self._put, self._send, self._alert, self._changed = put, send, alert, changed
        # Told of every decision after the alerter: webhooks listen here.
        self.on_decision: Callable[[Effect, Stamp, BedView | None], None] = lambda effect, at, view: None
        self._boot = int(clock.boot_id.replace("-", "")[:15] or "0", 16)
        saved = saved or {}
        belts: Mapping[str, Any] = saved.get("belts", {})
        kept: Mapping[str, Any] = saved.get("beds", {})
        self.beds: dict[str, _Bed] = {}
        for bed in config.beds:
            serial = bed.serial.hex() if bed.serial is not None else ""
            session = BeltSession(bed.label, clock.scale.speed, belts.get(serial))
            self.beds[bed.label] = _Bed(bed, serial, session, Assembler(bed.label, serial or "none"))
            self.beds[bed.label].alarm_id = str(kept.get(bed.label, {}).get("alarm_id", ""))
            self.beds[bed.label].outcome_due = bool(kept.get(bed.label, {}).get("outcome_due", False))
        self._by_serial = {bed.config.serial: bed for bed in self.beds.values() if bed.config.serial is not None}
        self._saved_ms = clock.elapsed_ms()
        self._timed_ms = clock.elapsed_ms()
        self._alarmed = False
        self._heard_boots: set[tuple[str, int]] = set()  # (belt, boot_id); a belt boots now and then
        self.radio_down = bool(saved.get("ward", {}).get("radio_down", False))
        self._restored = "ward" in saved
        self.kept: dict[str, Any] = dict(saved.get("kept", {}))
        """What other parts keep in the room's state, by name; JSON-able values, replaced whole."""
        self.ward = Ward.from_state(saved["ward"]) if self._restored else self._new_ward()

    def _new_ward(self) -> Ward:
        profiles = {bed.label: bed.profile for bed in self.config.beds}
        return Ward(profiles, self.config.gateway.timezone, self.now())

    def now(self) -> Now:
        """This moment, as every core takes it."""
        return Now(self._clock.elapsed_ms(), self._clock.utc_ms(), self._clock.trusted())

    def start(self) -> None:
        """The gateway is up: what was open goes on, an unanswered alarm sounds at once (rule 17)."""
        now = self.now()
        facts: list[Fact] = [GatewayUp(), *self._follow_configuration(now)]
        at = stamp(now, now.now_ms, self._boot)
        up = EventRow(at.elapsed_ms, at.utc_ms, at.trusted, "", GATEWAY_UP, "", "17")
        self._decided(now, self.ward.handle(now, *facts), Writes(events=[up]), self.beds.values())
        # Rule 17: an unanswered alarm of before sounds again, whether or not this start decided anything.
        self._alert(signal_of(self.views(now).values()))
        self.save()

    def _follow_configuration(self, now: Now) -> list[Fact]:
        """What changed in the file since the ward's state was saved, as facts."""
        facts: list[Fact] = []
        known = set(self.ward.beds())
        for bed in self.config.beds:
            if bed.label not in known or (bed.serial is not None and not self.ward.view(bed.label, now).bound):
                self.ward.bind(bed.label, bed.profile, now)
            elif self.ward.profile(bed.label).as_mapping() != bed.profile.as_mapping():
                facts.append(Configure(bed.label, bed.profile.as_mapping(), "configuration"))
            if bed.serial is None:
                facts.append(Unbind(bed.label, "configuration"))
        # A bed that left the configuration is watched no more; with an open alarm that is refused (rule 20).
        return facts + [Unbind(label, "configuration") for label in sorted(known - set(self.beds))]

    # -- inputs ------------------------------------------------------------------------------------------------------

    def radio_event(self, event: RadioEvent) -> None:
        """Take one event of the radio, at the time it was received."""
        bed = self._by_serial.get(event.serial)
        if bed is None or isinstance(event, NoSession):
            return  # a belt without a bed, or one that could not be talked to: neither says anything of a bed
        # Now, not event.received_ms: the ward's axis never runs back, and the session's anchor makes good the delay.
        now = self.now()
        if isinstance(event, Opened):
            self._opened(now, bed, event.hello)
        elif isinstance(event, Closed):
            bed.session.closed(now.now_ms)
        elif isinstance(event, BeaconHeard):
            bed.state.rssi_dbm = event.rssi_dbm
            outcome = bed.session.beacon(now.now_ms, event.counter, event.beacon)
            if outcome.accepted:
                self.counters["beacons"] += 1
                if outcome.facts:
                    bed.state.said, bed.state.said_ms = event.beacon, now.now_ms
            self._follow(now, bed, outcome, Writes())
        else:
            self._message(now, bed, event)

    def advance(self) -> None:
        """Everything that is due by now: deadlines of the ward and of the belts, saved state, times told to belts."""
        now = self.now()
        for bed in self.beds.values():
            outcome, writes = bed.session.advance(now.now_ms), None
            if bed.assembler.open_readings() and now.now_ms - bed.report_ms >= self._idle_ms():
                self._close_chunk(bed, writes := Writes())
            if outcome is not NOTHING or writes is not None:
                self._follow(now, bed, outcome, writes or Writes())
        effects = self.ward.advance(now)
        # What a fact led to was looked at with the fact; this is for beds that time alone has moved.
        judged = [self.beds[label] for label in self.ward.take_judged() if label in self.beds]
        self._decided(now, effects, Writes(), judged)
        if now.now_ms - self._timed_ms >= TIME_EVERY_MS:
            self._timed_ms = now.now_ms
            for serial in self._by_serial:
                self._tell_time(serial, now)
        every_ms = STATE_EVERY_ALARMED_MS if self._alarmed else STATE_EVERY_MS
        if now.now_ms - self._saved_ms >= every_ms * max(1.0, self._clock.scale.speed):
            self.save()

    def next_deadline_ms(self) -> int | None:
        """The next elapsed instant at which `advance` may decide something."""
        deadlines = [self.ward.next_deadline_ms(), *(bed.session.next_deadline_ms() for bed in self.beds.values())]
        return min((at for at in deadlines if at is not None), default=None)

    def act(self, label: str, action: str, who: str) -> tuple[bool, str | None]:
        """Do one action of gateway/web/port.py; (done, reason if not)."""
        bed = self.beds.get(label)
        if bed is None:
            return False, "unknown_bed"
        now = self.now()
        if action in _OUTCOMES:
            return self._outcome_given(now, bed, _OUTCOMES[action], who)
        if action not in _ACTIONS:
            return False, "unknown_action"
        mode = self.ward.view(label, now).mode
        effects = self.ward.handle(now, _ACTIONS[action](label, who))
        at = stamp(now, now.now_ms, self._boot)
        writes = Writes(events=[EventRow(at.elapsed_ms, at.utc_ms, at.trusted, label, "action", action, "", who)])
        self._decided(now, effects, writes, [bed], who)
        if any(effect.event == ACK_IGNORED and effect.bed == label for effect in effects):
            return False, ACK_IGNORED
        refused = next((effect.detail for effect in effects if effect.event == REFUSED and effect.bed == label), None)
        if refused is not None:
            return False, refused
        if action == "assist" and mode in ("maintenance", "away"):
            return False, "assist_ignored"
        return True, None

    def configure(self, label: str, profile: Profile, row: SettingsRow, detail: str) -> str | None:
        """Put settings in force at once (rule 20), with the version and its audit record; the code if refused."""
        bed = self.beds[label]
        now = self.now()
        effects = self.ward.handle(now, Configure(label, profile.as_mapping(), row.who))
        refused = next((effect.detail for effect in effects if effect.event == REFUSED and effect.bed == label), None)
        writes = Writes()
        if refused is None:
            bed.config = replace(bed.config, profile=profile)
            writes.settings.append(row)
            writes.audit.append(AuditEntry(
                now.utc_ms, now.now_ms, now.trusted, "settings", label, row.who, detail, row.why))
        self._decided(now, effects, writes, [bed], row.who)
        return refused

    def bind(self, label: str, serial: bytes, key: bytes, hello: Hello | None, who: str) -> str | None:
        """Give a bed this belt, at once; the code if refused. The bed's history stays, the belt's own is not taken.

        `hello`: of the session that is open with the belt, if one is: what its ring holds from before belongs to
        whoever lay on it then.
        """
        refused = self.unbind(label, who) if self.beds[label].belt else None
        if refused is not None:
            return refused
        bed, now = self.beds[label], self.now()
        state = None if hello is None else {"next_seq": hello.record_seq + 1}
        self._take_belt(bed, serial, key, BeltSession(label, self._clock.scale.speed, state))
        self.ward.bind(label, bed.config.profile, now)
        self._decided(now, [], Writes(audit=[_binding(now, "belt_bound", bed, who)]), [bed], who)
        if hello is not None:
            self._opened(now, bed, hello)
        self.save()
        return None

    def unbind(self, label: str, who: str) -> str | None:
        """Take the belt off a bed (rule 20); the code if refused."""
        bed, now, writes = self.beds[label], self.now(), Writes()
        effects = self.ward.handle(now, Unbind(label, who))
        refused = next((effect.detail for effect in effects if effect.event == REFUSED and effect.bed == label), None)
        if refused is None:
            writes.audit.append(_binding(now, "belt_unbound", bed, who))
            self._close_chunk(bed, writes)
            self._take_belt(bed, None, None, BeltSession(label, self._clock.scale.speed))
        self._decided(now, effects, writes, [bed], who)
        return refused

    @property
    def belts_bound(self) -> int:
        """How many beds have a belt."""
        return len(self._by_serial)

    def rekeyed(self, label: str, key: bytes) -> None:
        """The bed's belt is the same under another key."""
        bed = self.beds[label]
        bed.config = replace(bed.config, key=key)

    def _take_belt(self, bed: _Bed, serial: bytes | None, key: bytes | None, session: BeltSession) -> None:
        bed.config = replace(bed.config, serial=serial, key=key)
        bed.belt = "" if serial is None else serial.hex()
        bed.session, bed.assembler = session, Assembler(bed.config.label, bed.belt or "none")
        bed.state, bed.signature, bed.report_ms = BeltState(), None, 0
        self._by_serial = {each.config.serial: each for each in self.beds.values() if each.config.serial is not None}

    def committed(self, writes: Writes) -> None:
        """The store has committed: only now are readings stored, and may belts forget (rule of the belt's ring)."""
        self.counters["readings_stored"] += sum(chunk.readings for chunk in writes.kept_chunks)
        for serial, seq in writes.belt_acks.items():
            self._send(bytes.fromhex(serial), frames.ACK, (seq,))

    def finish(self) -> None:
        """The process ends in order: open chunks and the state go to the store."""
        writes = Writes()
        for bed in self.beds.values():
            self._close_chunk(bed, writes)
        self._put(writes)
        self.save()

    def save(self) -> None:
        """Hand the state to the store."""
        self._saved_ms = self._clock.elapsed_ms()
        belts = {bed.belt: bed.session.to_state() for bed in self.beds.values() if bed.belt}
        self._put(Writes(state=self._state(), belts=belts))

    def zeros(self) -> Zeros:
        """Where the axes of the belts and of the gateway begin in UTC, as known now.

        Of belts' boots only those heard live since our start: while the machine was off without a clock, the elapsed
        axis stood still, and what was saved before is no more than a bound."""
        now, anchor = self.now(), self._clock.anchor()
        zero_ms = now.utc_ms - now.now_ms
        belts = {
            (bed.belt, boot_id): zero_ms + at_ms for bed in self.beds.values()
            for belt, boot_id in self._heard_boots
            if belt == bed.belt and (at_ms := bed.session.anchor_ms(boot_id)) is not None
        }  # fmt: skip
        return Zeros(belts, zero_ms, anchor.elapsed_ms - anchor.boottime_ms)

    def views(self, now: Now) -> dict[str, BedView]:
        """The ward's view of every configured bed."""
        return {label: self.ward.view(label, now) for label in self.beds}

    # -- inside ------------------------------------------------------------------------------------------------------

    def _opened(self, now: Now, bed: _Bed, hello: Hello) -> None:
        bed.state.firmware = ".".join(str(part) for part in hello.firmware)
        writes = Writes()
        self._tell_time(hello.serial, now)
        self._follow(now, bed, bed.session.opened(now.now_ms, hello), writes)

    def _message(self, now: Now, bed: _Bed, event: Heard) -> None:
        message = event.message
        writes = Writes()
        if isinstance(message, LiveReport):
            outcome = bed.session.report(now.now_ms, message)
            if outcome.accepted:
                self._take_report(now, bed, message, writes)
        elif isinstance(message, Absences):
            bed.session.absences(now.now_ms, message.boot_id, message.uptime_ms, message.entries)
            return
        elif isinstance(message, HistoryEnd):
            outcome = bed.session.history_end(
                now.now_ms, message.request_id, message.last_seq, message.oldest_seq, message.record_seq
            )
        elif hasattr(message, "seq"):
            outcome = bed.session.record(now.now_ms, message)  # type: ignore[arg-type]
        else:
            return
        self._follow(now, bed, outcome, writes)

    def _take_report(self, now: Now, bed: _Bed, report: LiveReport, writes: Writes) -> None:
        self.counters["readings_received"] += 1
        self._heard_boots.add((bed.belt, report.boot_id))
        if isinstance(bed.state.said, LiveReport) and bed.state.said.boot_id == report.boot_id:
            bed.state.turn_overs_tonight += (report.turn_over_count - bed.state.said.turn_over_count) & 0xFFFF
        bed.state.said, bed.state.said_ms, bed.report_ms = report, now.now_ms, now.now_ms
        chunks = bed.assembler.report(report, self._utc0_ms(now, bed, report.boot_id), now.trusted)
        self._keep_chunks(bed, chunks, writes)
        device = {"firmware": bed.state.firmware, "battery_percent": report.battery_percent, "mains": report.mains}
        if device != bed.state.told_device:
            bed.state.told_device = device
            at = stamp(now, now.now_ms, self._boot)
            writes.vitals_items.append(encode_item(DeviceState(bed.belt, "belt", at, bed.config.label, device)))

    def _follow(self, now: Now, bed: _Bed, outcome: Outcome, writes: Writes) -> None:
        """Everything one input of a belt leads to; facts and what they decide come first."""
        effects = self.ward.handle(now, *outcome.facts) if outcome.facts else []
        for placed in outcome.records:
            self._keep_record(now, bed, placed, writes)
        if outcome.lost_records is not None:
            first, last = outcome.lost_records
            self.counters["records_lost"] += last - first + 1
            log.warning("belt %s: its ring no longer has records %d to %d", bed.belt, first, last)
        self._decided(now, effects, writes, [bed])
        assert bed.config.serial is not None or not outcome.sends
        for kind, values in outcome.sends:
            assert bed.config.serial is not None
            self._send(bed.config.serial, kind, values)

    def _keep_record(self, now: Now, bed: _Bed, placed: PlacedRecord, writes: Writes) -> None:
        record = placed.record
        self.counters["records_received"] += 1
        if isinstance(record, MinuteRecord) and placed.at_ms is not None:
            chunks = bed.assembler.minute(record, self._utc0_ms(now, bed, record.boot_id), now.trusted)
            self._keep_chunks(bed, chunks, writes)
        elif not isinstance(record, MinuteRecord):
            writes.records.append(record_row(bed.config.label, bed.belt, placed, now, self._boot))
        # A minute of a boot that was never heard live has no place in any night; it is taken and let go.
        # With every ack of a ring goes the number it stands for: what was acked is never missed after a restart.
        writes.belt_acks[bed.belt] = record.seq
        writes.belts[bed.belt] = bed.session.to_state()

    def _keep_chunks(self, bed: _Bed, chunks: Sequence[VitalsChunk], writes: Writes) -> None:
        for chunk in chunks:
            body = encode_item(chunk)
            writes.chunks.append(Chunk(bed.config.label, chunk.start_utc_ms, body, len(chunk.readings)))

    def _close_chunk(self, bed: _Bed, writes: Writes) -> None:
        self._keep_chunks(bed, bed.assembler.close(), writes)

    def _idle_ms(self) -> int:
        return round(CHUNK_IDLE_MS * max(1.0, self._clock.scale.speed / 30))

    def _utc0_ms(self, now: Now, bed: _Bed, boot_id: int) -> int:
        anchor_ms = bed.session.anchor_ms(boot_id)
        assert anchor_ms is not None
        return max(0, now.utc_ms - (now.now_ms - anchor_ms))

    def _tell_time(self, serial: bytes, now: Now) -> None:
        if now.trusted:
            self._send(serial, frames.TIME, (now.utc_ms, TIME_UNCERTAINTY_MS))

    def _decided(
        self, now: Now, effects: Sequence[Effect], writes: Writes, touched: Iterable[_Bed], who: str = ""
    ) -> None:
        """Alert first; then what must be durable; then the belt's ack (by `committed`), the page, the cloud."""
        if effects:
            views = self.views(now)
            self._alert(signal_of(views.values()))
            self._alarmed = any(view.alarm == "unacknowledged" for view in views.values())
            for effect in effects:
                self._note(now, effect, views, writes, who)
        # Every touched bed is looked at: arming, say, is no line of the log, and must not be lost with the process.
        moved = [bed for bed in touched if self._moved(bed)]
        if effects or moved:
            writes.state = self._state()
            writes.belts |= {bed.belt: bed.session.to_state() for bed in moved if bed.belt}
            self._saved_ms = now.now_ms
        if not writes.empty():
            self._put(writes)
        self._changed(bool(effects or moved))

    def _note(self, now: Now, effect: Effect, views: Mapping[str, BedView], writes: Writes, who: str) -> None:
        log.info("%s %s %s (rule %s)", effect.bed or "gateway", effect.event, effect.detail, effect.rule)
        bed = self.beds.get(effect.bed or "")
        if bed is not None:
            if effect.event in (ALARM_RAISE, MISSED_ALARM):
                bed.alarm_id = secrets.token_hex(8)
                bed.outcome_due = effect.event == MISSED_ALARM
            elif effect.event in (ACK, ALARM_CLEAR):
                bed.outcome_due = True
        if effect.bed is None and effect.event in (TECH_RAISE, TECH_CLEAR):
            self.radio_down = effect.event == TECH_RAISE
        if effect.event == ALARM_RAISE:
            self.counters["alarms_raised"] += 1
        at = stamp(now, effect.at_ms, self._boot)
        writes.events.append(event_row(effect, at, who))
        self.on_decision(effect, at, views.get(effect.bed or ""))
        if effect.event in SENT_EVENTS:
            alarm_id = bed.alarm_id if bed is not None and effect.event in ALARM_EVENTS else ""
            belt = bed.belt if bed is not None else ""
            writes.alarm_items.append(alarm_item(effect, at, views.get(effect.bed or ""), alarm_id, belt))

    def _outcome_given(self, now: Now, bed: _Bed, outcome: str, who: str) -> tuple[bool, str | None]:
        if not bed.outcome_due:
            return False, "outcome_ignored"
        bed.outcome_due = False
        effect = Effect(now.now_ms, bed.config.label, "outcome", outcome)
        self._decided(now, [effect], Writes(), [bed], who)
        return True, None

    def _moved(self, bed: _Bed) -> bool:
        """Whether anything about the bed changed that a restart must know (when it was last heard may be older)."""
        said = bed.state.said
        signature = (None if said is None else said.occupancy, self.ward.essence(bed.config.label))
        if signature == bed.signature:
            return False
        bed.signature = signature
        return True

    def _state(self) -> dict[str, Any]:
        return {
            "version": 1,
            "anchor": self._clock.anchor().to_state(),
            "ward": self.ward.to_state(),
            "kept": dict(self.kept),
            "beds": {
                label: {"alarm_id": bed.alarm_id, "outcome_due": bed.outcome_due} for label, bed in self.beds.items()
            },
        }


def _binding(now: Now, kind: str, bed: _Bed, who: str) -> AuditEntry:
    return AuditEntry(now.utc_ms, now.now_ms, now.trusted, kind, bed.config.label, who, bed.belt)
