"""Attention notices on heart and respiration rate: sustained time beyond a limit, of good-quality samples only.

Chosen readings. The values of a reading hold 10 s at most; that it was valid holds until the belt says otherwise, as a
flag of an occupancy report does. Time beyond a limit adds up over poor samples and short spells in range; 30 s on end
in range, at least the hysteresis inside the limit, start it over and clear the notice. Between limit and hysteresis
neither counts.
"""

from __future__ import annotations

from gateway.cores.facts import GOOD_QUALITY, Vitals
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.state import Sample, VitalWatch

HOLD_MS = 10_000
BACK_IN_RANGE_MS = 30_000
HEART_HYSTERESIS_BPM = 3
RESPIRATION_HYSTERESIS_PER_MIN = 2
VITAL_NOTICES = ("hr_high", "hr_low", "rr_high", "rr_low")


def rate_reported(bed: Bed, valid: bool, since_ms: int, reason: str | None = None) -> None:
    """Whether there is a valid rate from now on; if there was none before, since `since_ms`."""
    rate = bed.state.rate
    if not valid:
        if rate.since_ms is not None or rate.lost_ms is None:
            rate.lost_ms = bed.now_ms
        rate.since_ms = None
        rate.reason = reason or rate.reason
    elif rate.since_ms is None:
        rate.since_ms, rate.reason = since_ms, ""


def take_vitals(bed: Bed, fact: Vitals) -> None:
    """A new reading replaces the last. One from a belt that is not heard is none."""
    state = bed.state
    if not state.heard:
        return
    count_vitals(bed, bed.now_ms)
    present = fact.heart_rate_bpm is not None or fact.respiration_per_min is not None
    valid = present if fact.valid is None else fact.valid
    good = valid and (fact.quality is None or fact.quality >= GOOD_QUALITY)
    state.sample = Sample(bed.now_ms, fact.heart_rate_bpm, fact.respiration_per_min, good)
    rate_reported(bed, valid, bed.now_ms, fact.reason)


def judge_vitals(bed: Bed) -> None:
    """Raise and clear the vital notices that are due."""
    count_vitals(bed, bed.now_ms)
    for code in VITAL_NOTICES:
        if getattr(bed.profile, code) is None:
            bed.state.watches.pop(code, None)
            bed.clear_notice(code, rule=code)
    for code, watch in bed.state.watches.items():
        if watch.back_ms >= BACK_IN_RANGE_MS:
            watch.beyond_ms = 0
            bed.clear_notice(code, rule=code)
        elif watch.beyond_ms >= to_ms(bed.profile.sustain_s):
            bed.raise_notice(code, rule=code)


def count_vitals(bed: Bed, until_ms: int) -> None:
    """Give the time since the last look to the counts it belongs to."""
    state, sample = bed.state, bed.state.sample
    from_ms, state.sampled_to_ms = state.sampled_to_ms, until_ms
    if sample is None or bed.suspended:
        return
    span_ms = min(until_ms, sample.at_ms + HOLD_MS) - from_ms  # never before the sample: taking it looked too
    for code in VITAL_NOTICES:
        side = _side(bed, code, sample)
        if side == "poor":
            continue
        watch = state.watches.setdefault(code, VitalWatch())
        if span_ms > 0:
            if side == "beyond":
                watch.beyond_ms += span_ms
            watch.back_ms = watch.back_ms + span_ms if side == "back" else 0


def next_vital_ms(bed: Bed) -> list[int]:
    """When a count now running comes to its end, if the reading holds that long."""
    sample = bed.state.sample
    if sample is None:
        return []
    due = []
    for code, watch in bed.state.watches.items():
        side = _side(bed, code, sample)
        if side == "beyond":
            due.append(bed.state.sampled_to_ms + to_ms(bed.profile.sustain_s) - watch.beyond_ms)
        elif side == "back":
            due.append(bed.state.sampled_to_ms + BACK_IN_RANGE_MS - watch.back_ms)
    return [at_ms for at_ms in due if at_ms <= sample.at_ms + HOLD_MS]


def _side(bed: Bed, code: str, sample: Sample) -> str:
    """poor (or no limit) / beyond / back / between."""
    limit: float | None = getattr(bed.profile, code)
    heart = code.startswith("hr")
    value = sample.heart_rate_bpm if heart else sample.respiration_per_min
    if limit is None or value is None or not sample.good:
        return "poor"
    inside = limit - value if code.endswith("high") else value - limit
    if inside < 0:
        return "beyond"
    return "back" if inside >= (HEART_HYSTERESIS_BPM if heart else RESPIRATION_HYSTERESIS_PER_MIN) else "between"
