"""All beds of one gateway: hands facts to their bed, judges every bed, and what only all beds together can tell.

The caller says what time it is; the ward meets every deadline before that time at the deadline's own instant, so that
a late call decides what a punctual one would have decided. One moment is: the facts that became known at it, each by
`apply`, then one judgement, by `advance`; `handle` does both.

A bed is judged when something about it changed or one of its instants (rules.due_instants_ms) has come; in between a
judgement could decide nothing, and eight beds that report each second would be judged 64 times for eight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.cores import facts
from gateway.cores.effects import (
    LAST_IN_THEIR_SECOND,
    TECH_CLEAR,
    TECH_RAISE,
    TIME_TRUSTED,
    TIME_UNTRUSTED,
    Effect,
)
from gateway.cores.leave_bed.absence import time_became_trusted
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.clock import Now
from gateway.cores.leave_bed.link import assume_heard_all_along, gateway_started, gateway_stopped, judge_link
from gateway.cores.leave_bed.modes import end_assist, judge_mode
from gateway.cores.leave_bed.rules import apply_fact, due_instants_ms, judge_attention, judge_resident
from gateway.cores.leave_bed.state import NONE, BedState
from gateway.cores.leave_bed.view import BedView, essence_of, view_of
from gateway.cores.leave_bed.vital_notices import count_vitals
from gateway.cores.profile import Profile

RADIO_DOWN = "radio_down"
RADIO_SPREAD_MS = 30_000
STEP_MS_MIN = 500
"""A wall clock that wanders by less has not been stepped; the deviation is taken once it adds up to this."""
STATE_VERSION = 1


class Ward:
    """The rules of LEAVE_BED.md over all beds of one gateway."""

    def __init__(self, profiles: Mapping[str, Profile], timezone: str, now: Now) -> None:
        """`profiles` by bed, in the order of the log. Every bed starts unheard and unknown (rule 21).

        `timezone` is the facility's; a profile that names one keeps its own.
        """
        self._timezone = timezone
        self._now_ms = now.now_ms
        self._offset_ms = now.utc_ms - now.now_ms
        self._trusted = now.trusted
        self._judged_ms = now.now_ms - 1
        self._times_from_ms = now.now_ms - 1
        self._running = True
        self._boot_ms: int | None = None
        self._radio_down = False
        self._beds: dict[str, Bed] = {}
        self._judged: set[str] = set()
        for name, profile in profiles.items():
            self.bind(name, profile, now)

    def bind(self, bed: str, profile: Profile, now: Now) -> None:
        """A new bed, or a new belt on an unbound bed: it starts unheard and unknown (rule 21)."""
        state = BedState(silent_since_ms=now.now_ms, sampled_to_ms=now.now_ms)
        self._beds[bed] = Bed(bed, profile, self._timezone, state)
        self._set_clock(self._beds[bed])

    def assume(self, bed: str, raw: str, age_s: float) -> None:
        """Start a history with a belt that has been heard all along, in `raw` for `age_s` (no first contact)."""
        self._beds[bed].is_open = True
        assume_heard_all_along(self._beds[bed], raw, age_s)

    def handle(self, now: Now, *happened: facts.Fact) -> list[Effect]:
        """Apply facts that all became known at `now`, then judge that moment; deadlines before it are met first."""
        effects: list[Effect] = []
        for fact in happened:
            effects += self.apply(now, fact)
        return in_log_order([*effects, *self.advance(now)])

    def apply(self, now: Now, fact: facts.Fact) -> list[Effect]:
        """Take one fact of the moment `now`, which `advance(now)` judges when all its facts have been given."""
        if isinstance(fact, facts.GatewayUp) and self._running:
            self._stop(self._judged_ms)  # it died without a word; what came due since then has not been decided
        effects = self._meet_deadlines_before(now.now_ms)
        at_ms = self._begin(now)
        if isinstance(fact, facts.GatewayDown | facts.GatewayUp | facts.ClockTrust):
            effects += self._apply_to_gateway(fact, now)
            return effects
        effects += self._follow_trust(now.trusted)
        if self._running and fact.bed in self._beds:
            bed = self._beds[fact.bed]
            if self._radio_down and bed.state.bound and isinstance(fact, facts.Report):
                self._radio_down = False
                self._open_all()
                effects.append(Effect(at_ms, None, TECH_CLEAR, RADIO_DOWN, RADIO_DOWN))
            self._look_at_vitals(bed)
            self._set_clock(bed)
            bed.is_open = True
            apply_fact(bed, fact)
            effects += self._collect([bed])
        return effects

    def advance(self, now: Now) -> list[Effect]:
        """Decide everything that is due by `now`."""
        effects = self._meet_deadlines_before(now.now_ms)
        at_ms = self._begin(now)
        effects += self._follow_trust(now.trusted)
        return in_log_order([*effects, *self._judge(at_ms)])

    def next_deadline_ms(self) -> int | None:
        """The earliest moment at which `advance` could decide something; None while nothing is waited for."""
        if not self._running:
            return None
        due = [self._due_ms(bed) for bed in self._beds.values()]
        due.append(self._radio_down_due_ms())
        return min((at_ms for at_ms in due if at_ms is not None and at_ms > self._judged_ms), default=None)

    def take_judged(self) -> list[str]:
        """The beds that were judged since the last call: no other can look different but by the time that passes."""
        judged, self._judged = self._judged, set()
        return [name for name in self._beds if name in judged]

    def view(self, bed: str, now: Now) -> BedView:
        """What a page shows of `bed`."""
        self._set_clock(self._beds[bed])
        return view_of(self._beds[bed], now, running=self._running, radio_down=self._radio_down)

    def is_busy(self, bed: str) -> bool:
        """Whether an alarm or an absence is open: no time for an update."""
        state = self._beds[bed].state
        return state.episode is not None or state.alarm.state != NONE

    def essence(self, bed: str) -> tuple[object, ...]:
        """What of the view a restart must know."""
        return essence_of(self._beds[bed])

    def beds(self) -> list[str]:
        return list(self._beds)

    def profile(self, bed: str) -> Profile:
        """The settings in force."""
        return self._beds[bed].profile

    def to_state(self) -> dict[str, Any]:
        """Everything the rules remember, JSON-able."""
        for bed in self._beds.values():
            self._look_at_vitals(bed)
        return {
            "version": STATE_VERSION,
            "timezone": self._timezone,
            "now_ms": self._now_ms,
            "offset_ms": self._offset_ms,
            "trusted": self._trusted,
            "judged_ms": self._judged_ms,
            "times_from_ms": self._times_from_ms,
            "running": self._running,
            "boot_ms": self._boot_ms,
            "radio_down": self._radio_down,
            "beds": {
                name: {"profile": bed.profile.to_state(), "state": bed.state.to_state()}
                for name, bed in self._beds.items()
            },
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Ward:
        """The ward exactly as it was; hand it `GatewayUp` if the process had stopped. ValueError: another version."""
        if state.get("version") != STATE_VERSION:
            raise ValueError(f"ward state of version {state.get('version')!r}; this gateway reads {STATE_VERSION}")
        now_ms = state["now_ms"]
        ward = cls({}, state["timezone"], Now(now_ms, now_ms + state["offset_ms"], state["trusted"]))
        ward._judged_ms, ward._times_from_ms = state["judged_ms"], state["times_from_ms"]
        ward._running, ward._boot_ms, ward._radio_down = state["running"], state["boot_ms"], state["radio_down"]
        for name, bed in state["beds"].items():
            ward._beds[name] = Bed(
                name, Profile.from_state(bed["profile"]), ward._timezone, BedState.from_state(bed["state"])
            )
        ward._open_all()
        return ward

    # --- moments -----------------------------------------------------------------------------------------------------

    def _meet_deadlines_before(self, until_ms: int) -> list[Effect]:
        """Judge at each deadline before `until_ms`, by the wall clock as it went until now."""
        effects: list[Effect] = []
        # What a fact of this very moment has made due in the past is judged with the moment, not between its facts.
        # So at a moment that has begun already nothing is looked up, which is most of the calls.
        while self._now_ms < until_ms and (due_ms := self.next_deadline_ms()) is not None:
            if max(due_ms, self._now_ms) >= until_ms:
                break
            self._now_ms = max(due_ms, self._now_ms)
            effects += self._judge(self._now_ms)
        return effects

    def _begin(self, now: Now) -> int:
        """Come to `now`; the elapsed clock never goes back, whatever the caller says."""
        self._now_ms = max(now.now_ms, self._now_ms)
        step_ms = now.utc_ms - now.now_ms - self._offset_ms
        if abs(step_ms) >= STEP_MS_MIN:
            self._offset_ms += step_ms
            self._open_all()
            if abs(step_ms) >= 60_000:
                # Minutes that the step jumped over never came (rule 19); a small correction skips none.
                self._times_from_ms = self._now_ms - 1
        return self._now_ms

    def _open_all(self) -> None:
        """Something that every bed depends on has changed."""
        for bed in self._beds.values():
            bed.is_open = True
            self._set_clock(bed)

    def _set_clock(self, bed: Bed) -> None:
        bed.now_ms, bed.offset_ms, bed.trusted, bed.boot_ms = (
            self._now_ms, self._offset_ms, self._trusted, self._boot_ms
        )  # fmt: skip

    def _look_at_vitals(self, bed: Bed) -> None:
        """Give a bed that was not looked at the time up to the last judgement, as it went until then."""
        if self._running and bed.state.bound and bed.state.sampled_to_ms < self._judged_ms:
            count_vitals(bed, self._judged_ms)

    def _due_ms(self, bed: Bed) -> int | None:
        """The next instant of the bed after the last judgement, None if there is none."""
        if bed.is_open or not bed.is_due_known:
            self._set_clock(bed)
            due = (at_ms for at_ms in due_instants_ms(bed) if at_ms is not None and at_ms > self._judged_ms)
            bed.due_ms, bed.is_due_known = min(due, default=None), True
        return bed.due_ms

    def _judge(self, at_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        if self._running:
            due_ms = self._radio_down_due_ms()
            together = due_ms is not None and at_ms >= due_ms
            beds = [
                bed for bed in self._beds.values()
                if together or bed.is_open or ((bed_due_ms := self._due_ms(bed)) is not None and at_ms >= bed_due_ms)
            ]  # fmt: skip
            for bed in beds:
                self._set_clock(bed)
                judge_resident(bed)
                if bed.state.bound and not (together or self._radio_down):
                    judge_link(bed)
            effects += self._collect(beds)
            if together:
                self._radio_down = True
                effects.append(Effect(at_ms, None, TECH_RAISE, RADIO_DOWN, RADIO_DOWN))
            for bed in beds:
                judge_attention(bed, self._times_from_ms)
            effects += self._collect(beds)
            for bed in beds:
                bed.is_open = bed.is_due_known = False
                self._judged.add(bed.name)
        self._judged_ms = self._times_from_ms = at_ms
        return effects

    def _collect(self, beds: Iterable[Bed]) -> list[Effect]:
        effects = []
        for bed in beds:
            effects += bed.effects
            bed.effects = []
        return effects

    # --- the gateway as a whole --------------------------------------------------------------------------------------

    def _apply_to_gateway(self, fact: facts.GatewayFact, now: Now) -> list[Effect]:
        if isinstance(fact, facts.ClockTrust):
            return self._follow_trust(fact.trusted)
        if isinstance(fact, facts.GatewayDown):
            if self._running:
                self._stop(self._now_ms)
            return []
        self._running = True
        self._boot_ms = self._now_ms
        self._times_from_ms = self._now_ms - 1
        self._open_all()
        effects = self._follow_trust(now.trusted)
        if not now.trusted and not effects:
            # "Since boot": every boot without time is untrusted anew.
            effects.append(Effect(self._now_ms, None, TIME_UNTRUSTED, rule="18"))
        for bed in self._beds.values():
            gateway_started(bed)
            judge_mode(bed)  # what ran out while the gateway was down ended then, before anything that happens now
            if not now.trusted:
                end_assist(bed)  # rule 18: how long ago it was pressed is not known
        effects += self._collect(self._beds.values())
        return effects

    def _stop(self, at_ms: int) -> None:
        for bed in self._beds.values():
            gateway_stopped(bed, at_ms)
        self._running = False

    def _follow_trust(self, trusted: bool) -> list[Effect]:
        """Rule 18. While the gateway is down there is no clock to trust."""
        if trusted == self._trusted or not self._running:
            return []
        self._trusted = trusted
        self._open_all()
        if trusted:
            for bed in self._beds.values():
                time_became_trusted(bed)
        return [Effect(self._now_ms, None, TIME_TRUSTED if trusted else TIME_UNTRUSTED, rule="18")]

    def _radio_down_due_ms(self) -> int | None:
        """When `radio_down` is due: all belts silent within 30 s of each other and none raised offline yet.

        Belts under maintenance count; counted from the first that fell silent, by that bed's `offline_after_s`.
        """
        beds = [bed for bed in self._beds.values() if bed.state.bound]
        if self._radio_down or len(beds) < 2 or any(bed.state.heard or bed.state.offline for bed in beds):
            return None
        first = min(beds, key=lambda bed: bed.state.silent_since_ms)
        last_ms = max(bed.state.silent_since_ms for bed in beds)
        if last_ms - first.state.silent_since_ms > RADIO_SPREAD_MS:
            return None
        return first.state.silent_since_ms + to_ms(first.profile.offline_after_s)


def in_log_order(effects: list[Effect]) -> list[Effect]:
    """By time; within one second notices stand last, over all beds."""
    return sorted(effects, key=lambda effect: (-(-effect.at_ms // 1000), effect.event in LAST_IN_THEIR_SECOND))
