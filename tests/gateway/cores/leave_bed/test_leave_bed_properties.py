"""Invariants over random histories: never early, never lost, never doubled; what must change nothing does not."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cores import facts
from gateway.cores.effects import Effect
from gateway.cores.leave_bed import Now, Ward
from gateway.cores.leave_bed.ward import in_log_order
from gateway.cores.profile import Profile, Window

START_UTC_MS = 1_795_453_200_000  # 2026-11-23 01:00 in Shanghai, inside the window until 06:00
END_S = 4 * 3600
ALLOWED_S = 600
PROFILE = Profile(windows=(Window(allowed_s=ALLOWED_S),), prealert_s=60, assist_s=300, maintenance_max_s=900)
BEDS = ("A", "B")

Moment = tuple[int, facts.Fact]

bounded = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

beds = st.sampled_from(BEDS)
raw_states = st.sampled_from([facts.EMPTY, facts.EMPTY, facts.OCCUPIED, facts.OCCUPIED, facts.UNCLEAR])
ages_s = st.sampled_from([0, 0, 0, 4, 30, 600])
reports = st.builds(facts.Occupancy, beds, raw_states, ages_s)
absences = st.builds(facts.FinishedAbsence, st.integers(0, 4000), st.integers(0, 2000))
answers = st.builds(facts.Acknowledge, beds) | st.builds(facts.WallCancel, beds) | st.builds(facts.Assist, beds)
suspensions = (
    st.builds(facts.MaintenanceOn, beds)
    | st.builds(facts.MaintenanceOff, beds)
    | st.builds(facts.AwayOn, beds)
    | st.builds(facts.AwayOff, beds)
)
links = st.builds(facts.LinkDown, beds) | st.builds(
    facts.LinkUp, beds, raw_states, ages_s, st.lists(absences, max_size=3).map(tuple)
)
restarts = st.builds(facts.GatewayDown) | st.builds(facts.GatewayUp)
anything = reports | reports | reports | answers | suspensions | links | restarts


def histories(of: st.SearchStrategy[facts.Fact]) -> st.SearchStrategy[list[Moment]]:
    times = st.integers(0, END_S) | st.integers(0, END_S // 60).map(lambda minute: minute * 60)
    return st.lists(st.tuples(times, of), max_size=40).map(lambda moments: sorted(moments, key=lambda one: one[0]))


def unchanged(ward: Ward) -> Ward:
    return ward


def run(
    moments: list[Moment],
    *,
    touch: Callable[[Ward], Ward] = unchanged,
    wall_ms: Callable[[int], int] = lambda at_ms: START_UTC_MS + at_ms,
    watch: Callable[[Ward, list[Effect]], None] = lambda ward, effects: None,
) -> list[Effect]:
    """Hand `moments` over one by one; `touch` may replace the ward between them, `watch` looks after each."""
    ward = Ward(dict.fromkeys(BEDS, PROFILE), "Asia/Shanghai", Now(0, wall_ms(0)))
    for bed in BEDS:
        ward.assume(bed, facts.OCCUPIED, 7200)
    decided: list[Effect] = []
    for at_s, fact in [*moments, (END_S, None)]:
        now = Now(at_s * 1000, wall_ms(at_s * 1000))
        # When a gateway that crashed was last alive depends on when it was last asked; these stop before they start.
        stopped = [facts.GatewayDown()] if isinstance(fact, facts.GatewayUp) else []
        effects = ward.handle(now) if fact is None else ward.handle(now, *stopped, fact)
        watch(ward, effects)
        decided += effects
        ward = touch(ward)
    return in_log_order(decided)


@bounded
@given(histories(anything))
def test_a_restart_from_stored_state_at_any_instant_changes_nothing(moments: list[Moment]) -> None:
    stored = run(moments, touch=lambda ward: Ward.from_state(json.loads(json.dumps(ward.to_state()))))
    assert stored == run(moments)


@bounded
@given(histories(anything), st.lists(st.integers(0, END_S), max_size=30))
def test_asking_in_between_changes_nothing(moments: list[Moment], asked_s: list[int]) -> None:
    # A fact about no bed of this ward is nothing but a look at the clock.
    looks: list[Moment] = [(at_s, facts.Acknowledge("nobody")) for at_s in asked_s]
    assert run(sorted([*moments, *looks], key=lambda one: one[0])) == run(moments)


@bounded
@given(histories(reports))
def test_a_report_heard_twice_changes_nothing(moments: list[Moment]) -> None:
    twice = [one for at_s, fact in moments for one in ((at_s, fact), (at_s, fact))]
    assert run(twice) == run(moments)


@bounded
@given(histories(reports | answers), st.integers(-7200, 7200))
def test_a_clock_step_inside_the_window_changes_nothing(moments: list[Moment], step_s: int) -> None:
    # The window is made wide enough that no step leads out of it; only elapsed time may matter then.
    stepped = run(moments, wall_ms=lambda at_ms: START_UTC_MS - 3_600_000 + at_ms + (step_s * 1000 if at_ms else 0))
    assert stepped == run(moments, wall_ms=lambda at_ms: START_UTC_MS - 3_600_000 + at_ms)


@bounded
@given(histories(reports))
def test_no_alarm_is_early_and_none_comes_without_its_exit(moments: list[Moment]) -> None:
    decided = run(moments)
    for index, effect in enumerate(decided):
        if effect.event == "alarm_raise":
            exits = [one for one in decided[:index] if one.bed == effect.bed and one.event == "exit"]
            # An exit is confirmed 5 s after it began, or later when its report came late with an age up to 600 s.
            assert exits
            assert effect.at_ms >= exits[-1].at_ms - 605_000 + ALLOWED_S * 1000


@bounded
@given(st.integers(0, 2 * 3600), st.integers(ALLOWED_S, 3600), histories(reports.filter(lambda one: one.bed == "B")))
def test_no_absence_over_the_allowance_is_lost(left_s: int, out_s: int, other: list[Moment]) -> None:
    own: list[Moment] = [(left_s, facts.Occupancy("A", "empty")), (left_s + out_s, facts.Occupancy("A", "occupied"))]
    decided = run(sorted([*own, *other], key=lambda one: one[0]))
    raised = [effect.at_ms for effect in decided if effect.bed == "A" and effect.event == "alarm_raise"]
    # Back in the very second of the deadline, the return under confirmation holds the alarm back (rule 9).
    assert raised == ([] if out_s == ALLOWED_S else [(left_s + ALLOWED_S) * 1000])


@bounded
@given(histories(anything))
def test_alarms_and_sounds_come_in_pairs_never_doubled(moments: list[Moment]) -> None:
    down = any(isinstance(fact, facts.GatewayDown | facts.GatewayUp) for _, fact in moments)
    alarming, sounding = dict.fromkeys(BEDS, False), dict.fromkeys(BEDS, False)
    for effect in run(moments):
        bed = effect.bed or ""
        if effect.event in ("alarm_raise", "alarm_clear"):
            assert alarming[bed] == (effect.event == "alarm_clear")
            alarming[bed] = effect.event == "alarm_raise"
        if effect.event in ("audio_on", "audio_off"):
            # A gateway that goes down falls silent without a line.
            assert down or sounding[bed] == (effect.event == "audio_off")
            sounding[bed] = effect.event == "audio_on"


@bounded
@given(histories(anything))
def test_nothing_alarms_while_a_carer_is_present_or_the_bed_is_suspended(moments: list[Moment]) -> None:
    def watch(ward: Ward, effects: list[Effect]) -> None:
        for bed in BEDS:
            view = ward.view(bed, Now(END_S * 1000, START_UTC_MS))
            if view.mode != "active":
                assert view.alarm != "unacknowledged"
                assert not view.sounding

    run(moments, watch=watch)


@bounded
@given(histories(anything))
def test_a_deadline_is_always_after_what_was_judged(moments: list[Moment]) -> None:
    judged_ms = [0]

    def watch(ward: Ward, effects: list[Effect]) -> None:
        judged_ms.extend(effect.at_ms for effect in effects)
        due_ms = ward.next_deadline_ms()
        assert due_ms is None or due_ms > max(judged_ms)

    run(moments, watch=watch)
