"""The rules of LEAVE_BED.md for one second, as the reference model reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model_state import DEFAULTS, RADIO_SPREAD_S, UNCLEAR_S, WATCHED, Alarm, Bed, Episode, merged
from .model_wall_time import WallTime


class Rules:
    """Beds, their log, and what one second of judgement does to them."""

    def __init__(self, scenario: Mapping[str, Any]) -> None:
        self.scenario = scenario
        self.time = WallTime(scenario)
        self.now = 0
        self.step_s = 0
        self.trusted = True
        self.up = True
        self.radio_down = False
        self.log: list[str] = []
        self.late_lines: list[str] = []
        self.watch = set(scenario.get("watch") or WATCHED)
        profile = merged(DEFAULTS, scenario.get("profile") or {})
        self.beds = {name: self._new_bed(name, profile) for name in scenario.get("beds") or ["A"]}

    def _new_bed(self, name: str, profile: Mapping[str, Any]) -> Bed:
        initial = self.scenario.get("initial") or {}
        bed = Bed(name, dict(profile))
        bed.raw = initial.get("state", "occupied")
        age = initial.get("state_age_s", 7200)
        bed.raw_since = -age
        first = bool(initial.get("first_contact", False))
        if bed.raw == "empty":
            if first:
                bed.first_exit = age <= bed.profile["carry_in_s"]
            else:
                bed.occupancy, bed.raw_confirmed = "absent", True
        elif bed.raw == "occupied" and not first:
            bed.occupancy = "present" if age >= bed.profile["entry_confirm_s"] else "absent"
            bed.raw_confirmed = bed.occupancy == "present"
            bed.presence_start = -age
            bed.armed = bed.raw_confirmed and age >= bed.profile["settle_s"]
        return bed

    # -- the log --------------------------------------------------------------------------------

    def line(self, bed: Bed | None, event: str, detail: str = "") -> None:
        """One log line; notices wait for the end of their second, over all beds."""
        if event not in self.watch:
            return
        name = f"{bed.name}.{event}" if bed is not None and len(self.beds) > 1 else event
        text = f"{self.time.label(self.now)} {name} {detail}".rstrip()
        (self.late_lines if event in ("notice", "notice_clear") else self.log).append(text)

    def notice(self, bed: Bed, code: str) -> None:
        if code not in bed.notices:
            bed.notices.append(code)
            self.line(bed, "notice", code)

    def clear_notice(self, bed: Bed, code: str) -> None:
        if code in bed.notices:
            bed.notices.remove(code)
            self.line(bed, "notice_clear", code)

    def _judge_modes(self, bed: Bed) -> None:
        if bed.until is None or self.now < bed.until:
            return
        if bed.mode == "maintenance":
            bed.resumed_at = bed.until
            self.line(bed, "tech_raise", "maintenance_timeout")
        if bed.mode in ("maintenance", "assist"):
            bed.mode = "active"
        bed.until = None

    def _occupancy_rules(self, bed: Bed, instant: int) -> None:
        """Rules 1 to 5 at one instant, which lies in the past while a gap is replayed."""
        profile = bed.profile
        exit_at = bed.raw_since + profile["exit_confirm_s"]
        if bed.raw == "empty" and not bed.raw_confirmed and instant >= exit_at:
            # Presence lasts until the exit is confirmed: who was held or present for settle_s by then has settled.
            self._settle_if_due(bed, min(instant, exit_at))
            bed.raw_confirmed = True
            self._exit_confirmed(bed, instant)
        elif bed.raw == "occupied" and not bed.raw_confirmed:
            start = max(bed.raw_since, bed.valid_since) if profile["require_vitals"] else bed.raw_since
            valid = bed.valid or not profile["require_vitals"]
            if valid and instant - start >= profile["entry_confirm_s"]:
                bed.raw_confirmed = True
                self._return_confirmed(bed, start)
        self._settle_if_due(bed, instant)

    def _settle_if_due(self, bed: Bed, instant: int) -> None:
        counted_from = max(bed.presence_start, bed.resumed_at)
        if bed.occupancy == "present" and bed.at_work and instant - counted_from >= bed.profile["settle_s"]:
            self._settled(bed)

    def _exit_confirmed(self, bed: Bed, instant: int) -> None:
        self.clear_notice(bed, "check_bed")
        if bed.occupancy == "absent":
            return
        bed.occupancy = "absent"
        for code in ("not_up_by", "reposition", "no_signal"):
            self.clear_notice(bed, code)
        episode = bed.episode
        if episode is not None:
            episode.held = False
        elif (bed.armed or bed.first_exit) and bed.at_work and instant >= bed.resumed_at:
            bed.episode = Episode(bed.raw_since)
            self._judge_episode(bed, bed.episode)
            self.line(bed, "exit")
            self._repeated_exits(bed, bed.episode)
        bed.armed = bed.first_exit = False

    def _repeated_exits(self, bed: Bed, episode: Episode) -> None:
        count, span = bed.profile["repeat_count"], bed.profile["repeat_span_s"]
        if episode.base != episode.out_since:
            return  # not in a window
        bed.exits.append(episode.out_since)
        recent = [at for at in bed.exits if episode.out_since - at <= span]
        quiet = bed.repeated_at is not None and self.now - bed.repeated_at < span
        if count and len(recent) >= count and not quiet:
            bed.repeated_at = self.now
            self.line(bed, "notice", "repeated_exits")

    def _return_confirmed(self, bed: Bed, start: int) -> None:
        self.clear_notice(bed, "check_bed")
        if bed.occupancy == "present":
            return
        bed.occupancy, bed.presence_start = "present", start
        self.clear_notice(bed, "not_in_bed_by")
        if bed.mode == "away" and not bed.away_noticed:
            bed.away_noticed = True
            self.line(bed, "notice", "occupied_while_away")
        episode = bed.episode
        if episode is None:
            return
        episode.held = True
        self._silence(bed)
        if episode.prealert_up:
            episode.prealert_up = False
            self.line(bed, "prealert_clear")
        if self._was_missed(bed, episode):
            episode.missed = True
            self.line(bed, "missed_alarm")

    def _was_missed(self, bed: Bed, episode: Episode) -> bool:
        """Rules 16 and 17: an absence found ended at or after base + allowed that no alarm told of."""
        if bed.found_return is None or episode.base is None or episode.missed:
            return False
        late = bed.found_return >= episode.base + episode.allowed
        return late and bed.mode == "active" and bed.live_alarm is None

    def _settled(self, bed: Bed) -> None:
        if bed.episode is not None:
            self.line(bed, "return")
            bed.episode = None
            alarm = bed.live_alarm
            if alarm is not None and alarm.state == "unacknowledged" and bed.profile["latch"] == "visual":
                alarm.state = "latched"
                self.line(bed, "alarm_latched")
            elif alarm is not None:
                self._clear_alarm(bed, "returned")
        if not bed.armed:
            bed.armed = True
            if bed.mode == "assist":
                bed.mode, bed.until = "active", None

    # -- the alarm ------------------------------------------------------------------------------------

    def _judge_episode(self, bed: Bed, episode: Episode) -> None:
        """Rule 6 (and 18): base, allowance and window end as elapsed instants."""
        windows = bed.profile["windows"]
        episode.base, episode.window_end = None, None
        episode.dropped, episode.provisional = False, not self.trusted
        if not windows:
            return
        if not self.trusted:
            episode.base, episode.allowed = episode.out_since, min(window["allowed_s"] for window in windows)
            return
        out = episode.out_since
        instants = self.time.window_instants(windows, out, self.step_s)
        for start, end, window in instants:
            if start <= out < end:
                episode.base, episode.allowed, episode.window_end = out, window["allowed_s"], end
                return
        for start, end, window in instants:
            if 0 < start - out <= bed.profile["carry_in_s"]:
                episode.base, episode.allowed, episode.window_end = start, window["allowed_s"], end
                return

    def _silence(self, bed: Bed) -> None:
        if bed.alarm is not None and bed.alarm.sounding:
            bed.alarm.sounding = False
            self.line(bed, "audio_off")

    def _clear_alarm(self, bed: Bed, reason: str) -> None:
        if bed.alarm is not None:
            bed.alarm = None
            self.line(bed, "alarm_clear", reason)

    def _judge_alarm(self, bed: Bed) -> None:
        episode = bed.episode
        if episode is None:
            return
        stop_at_end = bed.profile["tail"] == "stop_at_end"
        if stop_at_end and bed.live_alarm is None and episode.window_end is not None and self.now >= episode.window_end:
            episode.dropped = True
        if episode.held:
            return
        if bed.live_alarm is None:
            self._raise_if_due(bed, episode)
        elif bed.alarming and bed.alarm is not None:
            self._escalate(bed, bed.alarm)
        elif bed.alarm is not None and bed.mode == "active":
            self._realarm_if_due(bed, bed.alarm)

    def _realarm_if_due(self, bed: Bed, alarm: Alarm) -> None:
        if self.now >= alarm.acknowledged_at + bed.profile["realarm_s"]:
            level = min(2, bed.profile["max_level"])
            bed.alarm = Alarm(level=level)
            self.line(bed, "realarm", f"L{level}")
            self.line(bed, "audio_on")

    def _raise_if_due(self, bed: Bed, episode: Episode) -> None:
        deadline = episode.deadline
        touched = bed.raw == "occupied" and self.now - bed.raw_since < bed.profile["entry_confirm_s"]
        if deadline is None or episode.base is None or bed.mode != "active" or touched:
            return
        prealert_s = bed.profile["prealert_s"]
        if self.now < deadline:
            if prealert_s and not episode.prealerted and self.now >= max(deadline - prealert_s, episode.base):
                episode.prealerted = episode.prealert_up = True
                self.line(bed, "prealert")
            return
        missed_while_down = bed.restarted and bed.boot_at is not None and deadline < bed.boot_at
        if missed_while_down and bed.boot_at is not None and self.now < bed.boot_at + bed.profile["boot_wait_s"]:
            return  # rule 17
        self._clear_alarm(bed, "superseded")
        bed.alarm = Alarm()
        episode.alarmed, episode.prealert_up = True, False
        self.line(bed, "alarm_raise", bed.profile["priority"])
        self.line(bed, "audio_on")

    def _escalate(self, bed: Bed, alarm: Alarm) -> None:
        if not alarm.sounding:  # resumed (rule 5) or restarted (rule 17)
            alarm.sounding = True
            self.line(bed, "audio_on")
        if alarm.counted_s >= bed.profile["escalate_after_s"] and alarm.level < bed.profile["max_level"]:
            alarm.level += 1
            alarm.counted_s = 0
            self.line(bed, "escalate", f"L{alarm.level}")

    # -- technical and other notices ----------------------------------------------------------------

    def _judge_radio(self) -> bool:
        """Whether all belts fell silent together, which is said once instead of for each."""
        beds = [bed for bed in self.beds.values() if bed.bound]
        if self.radio_down or len(beds) < 2 or any(bed.heard or bed.offline for bed in beds):
            return False
        first = min(beds, key=lambda bed: bed.silent_since)
        spread = max(bed.silent_since for bed in beds) - first.silent_since
        if spread > RADIO_SPREAD_S or self.now < first.silent_since + first.profile["offline_after_s"]:
            return False
        self.radio_down = True
        return True

    def _judge_silence(self, bed: Bed) -> None:
        if bed.heard or self.radio_down or bed.offline or not bed.at_work:
            return
        if self.now >= bed.silent_since + bed.profile["offline_after_s"]:
            bed.offline = True
            self.line(bed, "tech_raise", "belt_offline")

    def _judge_notices(self, bed: Bed) -> None:
        if not bed.at_work:
            return
        profile = bed.profile
        present_s = self.now - bed.presence_start if bed.occupancy == "present" else -1
        if bed.occupancy == "absent" and self._is_minute(profile["not_in_bed_by"]):
            self.notice(bed, "not_in_bed_by")
        if present_s >= profile["not_up_lookback_s"] and self._is_minute(profile["not_up_by"]):
            self.notice(bed, "not_up_by")
        unclear = bed.heard and bed.armed and bed.raw == "unclear" and self.now - bed.raw_since >= UNCLEAR_S
        if unclear and self._inside_window(bed):
            self.notice(bed, "check_bed")
        if profile["reposition_s"] and present_s >= profile["reposition_s"]:
            self.notice(bed, "reposition")
        self._judge_no_signal(bed, present_s)
        for code in bed.vitals.due(profile):
            self.notice(bed, code)
        for code in bed.vitals.over():
            self.clear_notice(bed, code)

    def _is_minute(self, minute: str | None) -> bool:
        return minute is not None and self.trusted and self.time.is_first_pass(minute, self.now, self.step_s)

    def _judge_no_signal(self, bed: Bed, present_s: int) -> None:
        if bed.valid:
            self.clear_notice(bed, "no_signal")
        elif bed.profile["no_signal_s"] and bed.heard:
            without_s = min(present_s, self.now - bed.invalid_since)
            if without_s >= bed.profile["no_signal_s"]:
                self.notice(bed, "no_signal")

    def _inside_window(self, bed: Bed) -> bool:
        windows = bed.profile["windows"]
        if not self.trusted:
            return bool(windows)
        instants = self.time.window_instants(windows, self.now, self.step_s)
        return any(start <= self.now < end for start, end, _ in instants)
