"""A naive reference model of shared/LEAVE_BED.md, second by second, written from the text alone.

It shares no code with gateway/cores on purpose: two readings of one text are compared in
test_leave_bed_against_model.py. It is literal and slow: every second of the scenario is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model_rules import Rules
from .model_state import Alarm, Bed, merged
from .model_wall_time import config_error

Change = tuple[int, str, bool]  # instant, state, whether a finished absence ends with it


class Model(Rules):
    """One gateway with its beds, driven one second at a time."""

    def run(self) -> list[str]:
        """All log lines of the scenario, its end second included."""
        events: dict[int, list[Mapping[str, Any]]] = {}
        for event in self.scenario.get("events") or []:
            events.setdefault(self.time.elapsed_s(event["at"]), []).append(event)
        for second in range(self.time.end_s + 1):
            self.now = second
            self._count_past_second()
            for event in events.get(self.now, []):
                self._apply(event)
            if self.up:
                self._judge()
            self.log += self.late_lines
            self.late_lines = []
        return self.log

    # -- what the past second was -----------------------------------------------------------------

    def _count_past_second(self) -> None:
        """Durations that accumulate: alarm time (rule 10) and good vital samples, for the second that ends now."""
        if not self.up or self.now == 0:
            return
        for bed in self.beds.values():
            if bed.alarming and bed.alarm is not None:
                bed.alarm.counted_s += 1
            if bed.at_work and bed.bound:  # a value holds its 10 s, whether or not the belt is heard meanwhile
                bed.vitals.count(bed.profile, self.now)

    # -- events -----------------------------------------------------------------------------------

    def _apply(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "clock_step":
            self.step_s += event["by_s"]
        elif kind == "gateway_up":
            self._gateway_up(event)
        elif not self.up:
            return  # rule 17: what happens while the gateway is down is lost
        elif kind == "gateway_down":
            self._gateway_down()
        elif kind == "clock":
            self._trust(bool(event["trusted"]))
        else:
            bed = self.beds[event.get("bed") or next(iter(self.beds))]
            if bed.bound or kind in ("acknowledge", "wall_cancel", "configure"):
                getattr(self, f"_on_{kind}")(bed, event)

    def _gateway_down(self) -> None:
        self.up = False
        for bed in self.beds.values():
            if bed.heard:
                bed.heard, bed.last_heard = False, self.now
            if bed.alarm is not None:
                bed.alarm.sounding = False

    def _gateway_up(self, event: Mapping[str, Any]) -> None:
        self.up = True
        trusted = bool(event.get("clock_trusted", True))
        if trusted:
            self._trust(True)
        else:
            self.trusted = False
            self.line(None, "time_untrusted")
        for bed in self.beds.values():
            bed.heard, bed.silent_since, bed.restarted, bed.boot_at = False, self.now, True, self.now
            if not trusted and bed.mode == "assist":
                bed.mode = "active"  # rule 18
            if bed.bound:
                self._judge_modes(bed)  # a maintenance that timed out while down ended at its limit

    def _trust(self, trusted: bool) -> None:
        if trusted == self.trusted:
            return
        self.trusted = trusted
        self.line(None, "time_trusted" if trusted else "time_untrusted")
        if not trusted:
            return
        self.step_s = 0
        for bed in self.beds.values():
            if bed.episode is not None and bed.episode.provisional and bed.live_alarm is None:
                self._judge_episode(bed, bed.episode)

    def _on_occupancy(self, bed: Bed, event: Mapping[str, Any]) -> None:
        state = event["state"]
        if event.get("vitals_valid") is not None:
            self._set_valid(bed, bool(event["vitals_valid"]))
        elif state == "occupied" and bed.raw != "occupied":
            self._set_valid(bed, True)
        if state != bed.raw and bed.valid:
            bed.valid_since = -(10**9)  # valid from the first second of what the report tells
        self._report(bed, state, event.get("state_age_s", 0), [])

    def _on_belt_report(self, bed: Bed, event: Mapping[str, Any]) -> None:
        self._report(bed, event["state"], event["state_age_s"], [])

    def _on_link_up(self, bed: Bed, event: Mapping[str, Any]) -> None:
        self._report(bed, event["state"], event["state_age_s"], event.get("finished_absences") or [])

    def _on_link_down(self, bed: Bed, event: Mapping[str, Any]) -> None:
        if bed.heard:
            bed.heard, bed.last_heard, bed.silent_since = False, self.now, self.now

    def _on_vitals(self, bed: Bed, event: Mapping[str, Any]) -> None:
        if not bed.heard:
            return  # vitals are no report that ends a silence (rule 17), and a silent belt tells nothing
        valid = bool(event.get("valid", True))
        bed.vitals.take(event, valid, self.now)
        self._set_valid(bed, valid)

    def _set_valid(self, bed: Bed, valid: bool) -> None:
        if valid and not bed.valid:
            bed.valid_since = self.now
        elif bed.valid and not valid:
            bed.invalid_since = self.now
        bed.valid = valid

    def _on_acknowledge(self, bed: Bed, event: Mapping[str, Any]) -> None:
        alarm = bed.alarm
        if alarm is None or alarm.state == "acknowledged":
            self.line(bed, "ack_ignored")
        elif alarm.state == "latched":
            self.line(bed, "ack")
            self._clear_alarm(bed, "acked_after_return")
        else:
            self._acknowledge_live(bed, alarm)

    _on_wall_cancel = _on_acknowledge

    def _acknowledge_live(self, bed: Bed, alarm: Alarm) -> None:
        self.line(bed, "ack")
        self._silence(bed)
        alarm.state, alarm.acknowledged_at = "acknowledged", self.now

    def _on_assist(self, bed: Bed, event: Mapping[str, Any]) -> None:
        if not bed.at_work:
            return
        bed.mode, bed.until = "assist", self.now + bed.profile["assist_s"]
        if bed.alarm is not None and bed.alarm.state == "unacknowledged":
            self._acknowledge_live(bed, bed.alarm)

    def _on_maintenance_on(self, bed: Bed, event: Mapping[str, Any]) -> None:
        self._stop_work(bed, "maintenance")
        bed.mode, bed.until = "maintenance", self.now + bed.profile["maintenance_max_s"]

    def _on_maintenance_off(self, bed: Bed, event: Mapping[str, Any]) -> None:
        if bed.mode == "maintenance":
            bed.mode, bed.resumed_at = "active", self.now

    def _on_away_on(self, bed: Bed, event: Mapping[str, Any]) -> None:
        if bed.mode != "away":
            self._stop_work(bed, "away")
            bed.mode, bed.until, bed.away_noticed = "away", None, False

    def _on_away_off(self, bed: Bed, event: Mapping[str, Any]) -> None:
        if bed.mode == "away":
            bed.mode, bed.resumed_at = "active", self.now

    def _stop_work(self, bed: Bed, reason: str) -> None:
        """Rule 14: closes episode and alarm, clears resident notices and a raised belt_offline."""
        self._silence(bed)
        self._clear_alarm(bed, reason)
        bed.episode, bed.armed, bed.first_exit = None, False, False
        for code in list(bed.notices):
            self.clear_notice(bed, code)
        bed.vitals.reset()
        if bed.offline:
            bed.offline = False
            self.line(bed, "tech_clear", "belt_offline")

    def _on_unbind(self, bed: Bed, event: Mapping[str, Any]) -> None:
        if bed.alarm is not None and bed.alarm.state == "unacknowledged":
            self.line(bed, "refused", "alarm_active")
            return
        self._clear_alarm(bed, "unbound")
        bed.bound, bed.episode, bed.armed = False, None, False

    def _on_configure(self, bed: Bed, event: Mapping[str, Any]) -> None:
        changes = event["profile"]
        profile = merged(bed.profile, changes)
        error = config_error(profile["windows"], changes.get("timezone"))
        if error is not None:
            self.line(bed, "refused", error)
            return
        bed.profile = profile
        episode = bed.episode
        if not profile["windows"]:
            self._silence(bed)
            self._clear_alarm(bed, "rule_disabled")
            if episode is not None:
                episode.base = None
        elif episode is not None and bed.live_alarm is None:
            if "windows" in changes:
                self._judge_episode(bed, episode)
            elif "allowed_s" in changes:
                episode.allowed = changes["allowed_s"]

    # -- hearing a belt (rule 16) -------------------------------------------------------------------

    def _report(self, bed: Bed, state: str, age: int, finished: list[Mapping[str, int]]) -> None:
        if bed.heard:
            if state != bed.raw:
                self._set_raw(bed, state, self.now - age)
            return
        bed.heard = True
        if bed.offline:
            bed.offline = False
            self.line(bed, "tech_clear", "belt_offline")
        if self.radio_down:
            self.radio_down = False
            self.line(None, "tech_clear", "radio_down")
        self._replay_gap(bed, self._gap_changes(bed, state, age, finished))
        bed.restarted = False

    def _gap_changes(self, bed: Bed, state: str, age: int, finished: list[Mapping[str, int]]) -> list[Change]:
        """What raw did inside the gap, from the finished absences and the present state."""
        changes: list[Change] = []
        raw, not_before = bed.raw, bed.last_heard
        ended = sorted((self.now - item["ended_ago_s"], item["duration_s"]) for item in finished)
        for end, duration in ended:
            if not bed.last_heard < end <= self.now:
                continue
            if bed.occupancy == "unknown" and duration < bed.profile["exit_confirm_s"]:
                continue  # a dropout is no exit, and without an absence nothing returns
            if raw != "empty":
                changes.append((max(end - duration, not_before), "empty", False))
            changes.append((end, "occupied", True))
            raw, not_before = "occupied", end
        if state != raw:
            changes.append((max(self.now - age, not_before), state, False))
        return changes

    def _replay_gap(self, bed: Bed, changes: list[Change]) -> None:
        """Confirm, arm and settle after the fact, second by second through the gap, without sound."""
        was_sounding = bed.alarm is not None and bed.alarm.sounding
        mark = len(self.log)
        bed.open_before = bed.episode is not None and not bed.episode.held
        # What raw was between the last report and the first change told is not known: it confirms nothing.
        known_from = changes[0][0] if changes and not changes[0][2] else bed.last_heard
        for instant in range(bed.last_heard, self.now + 1):
            if instant > known_from or not changes or changes[0][2]:
                self._occupancy_rules(bed, instant)
            else:
                self._settle_if_due(bed, instant)
            for at, state, recorded in changes:
                if at == instant:
                    disclosed = bed.absence_in_gap or (bed.restarted and bed.open_before)
                    self._set_raw(bed, state, at)
                    bed.absence_in_gap = state == "empty"
                    bed.found_return = at if state == "occupied" and disclosed else None
                    if recorded and bed.occupancy == "absent":
                        self._return_confirmed(bed, at)  # the belt itself tells that the absence is finished
            if instant >= known_from:
                self._occupancy_rules(bed, instant)
        if was_sounding and bed.alarming and bed.alarm is not None:
            # The sound never stopped in the room: a return and a resumed exit that are both past are silent.
            bed.alarm.sounding = True
            self.log[mark:] = [text for text in self.log[mark:] if "audio_off" not in text]

    def _set_raw(self, bed: Bed, state: str, since: int) -> None:
        bed.raw, bed.raw_since, bed.raw_confirmed = state, since, False
        bed.first_exit, bed.absence_in_gap = False, False
        bed.found_return = None

    def _judge(self) -> None:
        radio = self._judge_radio()
        for bed in self.beds.values():
            if bed.bound:
                self._judge_modes(bed)
                if bed.heard:
                    self._occupancy_rules(bed, self.now)
                self._judge_alarm(bed)
                self._judge_silence(bed)
        if radio:
            self.line(None, "tech_raise", "radio_down")
        for bed in self.beds.values():
            if bed.bound:
                self._judge_notices(bed)


def model_log(scenario: Mapping[str, Any]) -> list[str]:
    """The log lines the text asks for, for a valid scenario."""
    return Model(scenario).run()
