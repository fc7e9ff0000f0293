"""A bed is judged only when it changed or an instant of its own has come; judging all of them always is no different.

The reference is a ward that is stored and restored before every moment and every few seconds in between: what has just
been restored judges every bed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.cores import facts
from gateway.cores.effects import Effect
from gateway.cores.leave_bed import Now, Ward
from gateway.cores.leave_bed.ward import in_log_order
from gateway.cores.profile import Profile, Window
from tests.calls import counted_calls

START_UTC_MS = 1_795_447_800_000  # 2026-11-22 23:30 in Shanghai
END_S = 2 * 3600
LOOK_S = 45
NIGHT = (Window(start_min=22 * 60, end_min=30, allowed_s=300), Window(start_min=60, end_min=360, allowed_s=600))
PROFILES = {
    "A": Profile(windows=(Window(allowed_s=600),), prealert_s=60, assist_s=300, maintenance_max_s=900),
    "B": Profile(windows=NIGHT, tail="stop_at_end", latch="visual", not_in_bed_by=10, not_up_by=100,
                 reposition_s=1800, no_signal_s=300, hr_high=100, hr_low=50, rr_high=22, rr_low=9, sustain_s=60),
    "C": Profile(windows=NIGHT, require_vitals=True, repeat_count=2, repeat_span_s=3600, escalate_after_s=120,
                 realarm_s=240, boot_wait_s=60, offline_after_s=90),
    "D": Profile(hr_high=90, sustain_s=30, no_signal_s=120, offline_after_s=100),
}  # fmt: skip

beds = st.sampled_from(list(PROFILES))
states = st.sampled_from([facts.EMPTY, facts.EMPTY, facts.OCCUPIED, facts.OCCUPIED, facts.UNCLEAR])
ages_s = st.sampled_from([0, 0, 0, 4, 30, 600])
rates = st.sampled_from([None, 8.0, 21.0, 40.0, 48.0, 70.0, 95.0, 99.0, 120.0])
qualities = st.sampled_from([None, 20, 90])
vitals = st.builds(facts.Vitals, beds, st.sampled_from([None, True, False]), rates, rates, qualities)
absences = st.lists(st.builds(facts.FinishedAbsence, st.integers(0, 4000), st.integers(0, 2000)), max_size=3).map(tuple)
heard = st.builds(facts.Occupancy, beds, states, ages_s) | st.builds(facts.BeltReport, beds, states, ages_s)
links = st.builds(facts.LinkDown, beds) | st.builds(facts.LinkUp, beds, states, ages_s, absences)
people = st.one_of([st.builds(kind, beds) for kind in (
    facts.Acknowledge, facts.WallCancel, facts.Assist, facts.MaintenanceOn, facts.MaintenanceOff, facts.AwayOn,
    facts.AwayOff, facts.TurnOver, facts.Unbind)])  # fmt: skip
changes = st.sampled_from([
    {"hr_high": 60}, {"hr_high": None}, {"windows": []}, {"not_up_by": "01:20"}, {"prealert_s": 0}, {"settle_s": 30},
    {"windows": [{"start": "23:00", "end": "05:00", "allowed_s": 400}]}, {"reposition_s": 600}, {"sustain_s": 90},
])  # fmt: skip
settings_ = st.builds(facts.Configure, beds, changes)
restarts = st.builds(facts.GatewayDown) | st.builds(facts.GatewayUp)


@dataclass(frozen=True)
class Step:
    """From here on the wall clock is off by so much, and trusted or not."""

    off_ms: int
    trusted: bool


steps = st.builds(Step, st.sampled_from([0, 0, 300, 700, -700, 61_000, -3_600_000]), st.booleans())
anything = st.one_of(heard, heard, heard, vitals, vitals, links, people, settings_, restarts, steps)
times = st.integers(0, END_S) | st.integers(0, END_S // 60).map(lambda minute: minute * 60)
histories = st.lists(st.tuples(times, anything), max_size=60).map(lambda them: sorted(them, key=lambda one: one[0]))


def run(history: list[tuple[int, Any]], *, eager: bool) -> tuple[list[Effect], Any]:
    """(what was decided, the state in the end)."""
    ward = Ward(PROFILES, "Asia/Shanghai", Now(0, START_UTC_MS))
    clock = Step(0, True)
    decided: list[Effect] = []
    looks = [(at_s, None) for at_s in range(LOOK_S, END_S, LOOK_S)]
    for at_s, what in sorted([*history, *looks], key=lambda one: one[0]):
        if eager:
            ward = Ward.from_state(json.loads(json.dumps(ward.to_state())))
        if isinstance(what, Step):
            clock, what = what, None
        now = Now(at_s * 1000, START_UTC_MS + at_s * 1000 + clock.off_ms, clock.trusted)
        stopped = [facts.GatewayDown()] if isinstance(what, facts.GatewayUp) else []
        decided += ward.handle(now) if what is None else ward.handle(now, *stopped, what)
        if not eager:
            for bed in PROFILES:
                view = ward.view(bed, now)
                assert ward.essence(bed) == (view.state, view.since_ms, view.deadline_ms, view.alarm, view.level,
                                             view.mode, view.armed, view.silent)  # fmt: skip
    return in_log_order(decided), json.loads(json.dumps(ward.to_state()))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
@example([(44, facts.Occupancy("D", facts.OCCUPIED)), (44, facts.Vitals("D", True, 120.0)),
          (52, facts.Configure("D", {"hr_high": 130}))])  # fmt: skip
@example([(10, facts.Occupancy("B", facts.EMPTY, 600)), (400, Step(700, True))])
def test_judging_every_bed_always_decides_the_same(history: list[tuple[int, Any]]) -> None:
    lazy, eager = run(history, eager=False), run(history, eager=True)
    assert lazy[0] == eager[0]
    assert lazy[1] == eager[1]


def test_a_fact_that_waits_for_its_judgement_moves_the_next_deadline() -> None:
    ward = Ward({"A": PROFILES["A"]}, "Asia/Shanghai", Now(0, START_UTC_MS))
    ward.assume("A", facts.OCCUPIED, 7200)
    ward.advance(Now(1000, START_UTC_MS + 1000))
    before_ms = ward.next_deadline_ms()
    ward.apply(Now(2000, START_UTC_MS + 2000), facts.Occupancy("A", facts.EMPTY))
    assert before_ms != ward.next_deadline_ms() == 7000


def test_a_report_costs_its_own_bed_and_not_the_ward() -> None:
    def calls(beds: int) -> int:
        ward = Ward({str(n): PROFILES["A"] for n in range(beds)}, "Asia/Shanghai", Now(0, START_UTC_MS))
        for n in range(beds):
            ward.assume(str(n), facts.OCCUPIED, 7200)
        ward.advance(Now(0, START_UTC_MS))
        with counted_calls() as counted:
            for second in range(1, 101):
                now = Now(second * 1000, START_UTC_MS + second * 1000)
                said = facts.BeltReport("0", facts.OCCUPIED, 7200 + second, True)
                ward.handle(now, said, facts.Vitals("0", True, 60.0))
        return counted()

    assert calls(8) < 1.5 * calls(1)


def _now(second: int) -> Now:
    return Now(second * 1000, START_UTC_MS + second * 1000)


def _two_beds() -> Ward:
    ward = Ward({"A": PROFILES["A"], "B": PROFILES["A"]}, "Asia/Shanghai", _now(0))
    for bed in ("A", "B"):
        ward.assume(bed, facts.OCCUPIED, 7200)
    ward.advance(_now(0))
    return ward


def test_the_beds_that_were_judged_are_told_once_and_in_their_order() -> None:
    ward = _two_beds()
    assert ward.take_judged() == ["A", "B"]
    assert ward.take_judged() == []
    ward.handle(_now(1), facts.BeltReport("B", facts.OCCUPIED, 7201, True))
    assert ward.take_judged() == ["B"]
    ward.advance(_now(2))
    assert ward.take_judged() == []


def test_a_bed_that_nothing_happened_to_is_shown_in_the_window_that_began_meanwhile() -> None:
    night = Profile(windows=(Window(start_min=23 * 60 + 40, end_min=360, allowed_s=300),))
    ward = Ward({"A": night, "B": PROFILES["A"]}, "Asia/Shanghai", _now(0))
    for bed in ("A", "B"):
        ward.assume(bed, facts.OCCUPIED, 7200)
    ward.advance(_now(0))
    assert not ward.view("A", _now(0)).window_open
    for second in range(60, 660, 60):
        ward.handle(_now(second), facts.BeltReport("B", facts.OCCUPIED, 7200, True))
    assert ward.view("A", _now(601)).window_open


def test_a_bed_that_is_told_to_have_been_heard_all_along_is_judged_anew() -> None:
    ward = _two_beds()
    ward.take_judged()
    ward.assume("A", facts.EMPTY, 100)
    ward.advance(_now(1))
    assert "A" in ward.take_judged()


def test_a_bed_whose_instant_is_still_to_come_is_not_judged() -> None:
    ward = _two_beds()
    ward.handle(_now(1), facts.BeltReport("A", facts.EMPTY, 5, True))
    ward.take_judged()
    due_ms = ward.next_deadline_ms()
    assert due_ms is not None
    ward.advance(Now(due_ms - 1, START_UTC_MS + due_ms - 1))
    assert ward.take_judged() == []
    ward.advance(Now(due_ms, START_UTC_MS + due_ms))
    assert ward.take_judged() == ["A"]


def test_when_the_radio_goes_down_every_bed_is_judged_also_one_whose_own_silence_is_shorter() -> None:
    ward = _two_beds()
    ward.handle(_now(1), facts.LinkDown("A"))
    ward.handle(_now(21), facts.LinkDown("B"))
    ward.take_judged()
    raised = ward.advance(_now(1 + int(PROFILES["A"].offline_after_s)))
    assert [(effect.bed, effect.event) for effect in raised] == [(None, "tech_raise")]
    assert ward.take_judged() == ["A", "B"]
