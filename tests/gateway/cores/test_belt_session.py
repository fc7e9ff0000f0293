"""belt_session: facts from reports and beacons, silence, order, history."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cores.belt_session import CREDITS, HISTORY_STALLED_MS, NOTHING, BeltSession, Outcome
from gateway.cores.facts import FinishedAbsence, LinkDown, LinkUp, Occupancy, TurnOver, Vitals
from protocol.wire import frames
from tests.gateway.cores.belt_talk import beacon, hello, minute, report
from tests.hil_box.failure_table import MUST_SHOW, add_row

T0 = 1_000_000


def heard_session() -> BeltSession:
    session = BeltSession("A")
    session.opened(T0, hello())
    session.report(T0, report(0))
    return session


def test_the_first_report_is_a_link_up_with_the_belts_own_age() -> None:
    session = BeltSession("A")
    session.opened(T0, hello())
    facts = session.report(T0, report(50, "empty", 30, exit_count=2)).facts
    assert facts[0] == LinkUp("A", "empty", 30.0, (), True, True)


def test_a_belt_that_never_saw_anybody_since_its_boot_says_so() -> None:
    session = BeltSession("A")
    (link_up, *_) = session.report(T0, report(50, "empty", 50, exit_count=0)).facts
    assert isinstance(link_up, LinkUp)
    assert not link_up.ever_occupied


def test_later_reports_are_occupancy_and_vitals() -> None:
    facts = heard_session().report(T0 + 1000, report(1, "empty", 6)).facts
    assert facts == [Occupancy("A", "empty", 6.0, True, False), Vitals("A", True, 61.5, 14.5, 80)]


def test_a_delayed_report_is_made_older_by_its_delay() -> None:
    (occupancy, _) = heard_session().report(T0 + 3400, report(1, "empty", 6)).facts
    assert isinstance(occupancy, Occupancy)
    assert occupancy.state_age_s == pytest.approx(8.4, abs=0.01)


def test_a_repeated_or_older_report_changes_nothing() -> None:
    session = heard_session()
    session.report(T0 + 2000, report(2))
    before = session.to_state()
    for uptime_s in (2, 1, 0):
        outcome = session.report(T0 + 3000, report(uptime_s, "empty", 9))
        assert not outcome.accepted
        assert not outcome.facts
    assert session.to_state() == before


def test_silence_is_told_once_with_the_moment_last_heard() -> None:
    session = heard_session()
    deadline_ms = session.next_deadline_ms()
    assert deadline_ms == T0 + 5000
    assert not session.advance(T0 + 4999).facts
    assert session.advance(T0 + 5000).facts == [LinkDown("A", T0)]
    assert not session.advance(T0 + 60_000).facts


def test_after_silence_the_session_brings_the_finished_absences() -> None:
    session = heard_session()
    session.advance(T0 + 10_000)
    session.opened(T0 + 100_000, hello(uptime_s=100))
    session.absences(T0 + 100_000, 1, 100_000, ((40, 20), (10, 5)))
    (link_up, _) = session.report(T0 + 101_000, report(101, "occupied", 11, exit_count=2)).facts
    assert isinstance(link_up, LinkUp)
    assert link_up.finished_absences == (FinishedAbsence(41.0, 20), FinishedAbsence(11.0, 5))


def test_a_link_loss_shorter_than_the_silence_is_no_silence() -> None:
    session = heard_session()
    session.closed(T0 + 1000)
    session.opened(T0 + 3000, hello(uptime_s=3))
    (fact, _) = session.report(T0 + 3000, report(3)).facts
    assert isinstance(fact, Occupancy)


def test_beacons_alone_carry_occupancy() -> None:
    session = BeltSession("A")
    assert isinstance(session.beacon(T0, 5, beacon("empty", 20, exit_count_low=3)).facts[0], LinkUp)
    assert session.beacon(T0 + 1000, 6, beacon("occupied", 0)).facts[0] == Occupancy("A", "occupied", 0.0, True, True)


def test_a_repeated_beacon_never_counts_as_heard() -> None:
    session = BeltSession("A")
    session.beacon(T0, 5, beacon())
    assert not session.beacon(T0 + 4000, 5, beacon()).accepted
    assert session.advance(T0 + 5000).facts == [LinkDown("A", T0)]


def test_a_beacon_beside_a_session_is_only_a_sign_of_life() -> None:
    session = heard_session()
    assert not session.beacon(T0 + 2900, 1, beacon("empty", 1)).facts
    assert not session.advance(T0 + 5000).facts
    assert session.advance(T0 + 7900).facts == [LinkDown("A", T0 + 2900)]


def test_a_return_seen_by_beacon_waits_for_the_session_that_knows_the_absences() -> None:
    session = heard_session()
    session.advance(T0 + 10_000)
    assert not session.beacon(T0 + 60_000, 1, beacon("occupied", 5, exit_count_low=1)).facts
    session.opened(T0 + 61_000, hello(uptime_s=61))
    session.absences(T0 + 61_000, 1, 61_000, ((6, 30),))
    (link_up, _) = session.report(T0 + 61_000, report(61, "occupied", 6, exit_count=1)).facts
    assert isinstance(link_up, LinkUp)
    assert link_up.finished_absences == (FinishedAbsence(6.0, 30),)


def test_a_return_seen_by_beacon_is_told_without_a_session_after_a_while() -> None:
    session = heard_session()
    session.advance(T0 + 10_000)
    session.beacon(T0 + 60_000, 1, beacon("occupied", 5, exit_count_low=1))
    assert isinstance(session.advance(T0 + 65_000).facts[0], LinkUp)


def test_an_exit_seen_by_beacon_waits_for_nobody() -> None:
    session = heard_session()
    session.advance(T0 + 10_000)
    assert isinstance(session.beacon(T0 + 60_000, 1, beacon("empty", 5, exit_count_low=1)).facts[0], LinkUp)


def test_a_turn_over_is_counted_once_and_not_over_a_reboot() -> None:
    session = heard_session()
    facts = session.report(T0 + 1000, report(1, turn_over_count=1)).facts
    assert TurnOver("A") in facts
    assert TurnOver("A") not in session.report(T0 + 2000, report(2, turn_over_count=1)).facts
    assert TurnOver("A") not in session.report(T0 + 3000, report(0.5, turn_over_count=5, boot_id=2)).facts


def test_a_poor_rate_is_left_out_beside_a_good_one() -> None:
    (_, vitals) = heard_session().report(T0 + 1000, report(1, respiration_quality=20)).facts
    assert vitals == Vitals("A", True, 61.5, None, 80)


def test_missing_records_are_asked_for_when_a_session_opens() -> None:
    session = BeltSession("A")
    outcome = session.opened(T0, hello(record_seq=40, oldest_seq=3))
    assert outcome.sends == [(frames.HISTORY, (1, 3, 40, CREDITS))]


def test_history_goes_on_by_credits_and_ends_when_all_is_there() -> None:
    session = BeltSession("A")
    session.opened(T0, hello(record_seq=30))
    sends = []
    for seq in range(1, 31):
        outcome = session.record(T0 + seq, minute(seq, 60 * seq))
        assert [placed.record.seq for placed in outcome.records] == [seq]
        sends += outcome.sends
    assert sends == [(frames.CREDIT, (1, CREDITS // 2))] * 3
    assert not session.history_end(T0 + 40, 1, 30, 1, 30).sends


def test_a_record_that_leaves_a_gap_is_dropped_and_the_gap_asked_for() -> None:
    session = BeltSession("A")
    session.opened(T0, hello(record_seq=1))
    session.record(T0, minute(1, 60))
    outcome = session.record(T0 + 1000, minute(3, 180))
    assert not outcome.accepted
    assert outcome.sends == [(frames.HISTORY, (2, 2, 3, CREDITS))]
    assert session.record(T0 + 1100, minute(2, 120)).accepted
    assert session.record(T0 + 1200, minute(3, 180)).accepted


def test_a_record_sent_again_is_not_taken_again() -> None:
    session = BeltSession("A")
    session.opened(T0, hello(record_seq=1))
    session.record(T0, minute(1, 60))
    assert not session.record(T0, minute(1, 60)).records


def test_records_that_the_ring_no_longer_has_are_named() -> None:
    session = BeltSession("A", state={"next_seq": 5})
    outcome = session.opened(T0, hello(record_seq=90, oldest_seq=50))
    assert outcome.lost_records == (5, 49)
    assert outcome.sends[0][1][1] == 50


def test_a_ring_made_anew_starts_a_new_numbering() -> None:
    session = BeltSession("A", state={"next_seq": 500})
    outcome = session.opened(T0, hello(record_seq=2, oldest_seq=1))
    assert outcome.lost_records is None
    assert outcome.sends[0][1][1:3] == (1, 2)


def test_a_history_that_stalls_is_asked_for_again() -> None:
    session = BeltSession("A")
    session.opened(T0, hello(record_seq=3))
    assert not session.advance(T0 + HISTORY_STALLED_MS - 1).sends
    assert session.advance(T0 + HISTORY_STALLED_MS).sends == [(frames.HISTORY, (2, 1, 3, CREDITS))]


def test_what_a_request_skips_is_asked_for_at_once_and_once() -> None:
    """Records 4 and 5 were on their way when the belt heard of the new request."""
    session = BeltSession("A")
    session.opened(T0, hello(record_seq=30))
    assert session.record(T0 + 10, minute(1, 60)).accepted
    assert session.record(T0 + 20, minute(3, 180)).sends == [(frames.HISTORY, (2, 2, 30, CREDITS))]
    assert not session.record(T0 + 30, minute(4, 240)).sends
    assert not session.record(T0 + 40, minute(5, 300)).sends
    # The new answer, whose first record is lost too.
    assert session.record(T0 + 50, minute(3, 180)).sends == [(frames.HISTORY, (3, 2, 30, CREDITS))]
    assert session.record(T0 + 60, minute(2, 120)).accepted
    # A live record is newer than what was asked for: no loss.
    assert not session.record(T0 + 70, minute(31, 1860)).sends


class LossyBelt:
    """Answers requests in order, a record each 30 ms, over a radio that takes 60 ms a way and loses frames."""

    def __init__(self, records: int, share: float, seed: int) -> None:
        self._records, self._share, self._random = records, share, Random(seed)
        self._answer: list[int] = []  # next seq, last, credits
        self.requests = 0
        self.down: list[tuple[int, int, tuple[int, ...]]] = []
        self.up: list[tuple[int, int]] = []

    def send(self, now_ms: int, sends: list[tuple[int, tuple[int, ...]]]) -> None:
        for kind, values in sends:
            self.requests += kind == frames.HISTORY
            if self._random.random() >= self._share:
                self.down.append((now_ms + 60, kind, values))

    def step(self, now_ms: int) -> None:
        while self.down and self.down[0][0] <= now_ms:
            _, kind, values = self.down.pop(0)
            if kind == frames.HISTORY:
                self._answer = [values[1], values[2], values[3]]
            elif self._answer:
                self._answer[2] += values[1]
        if self._answer and self._answer[0] <= self._answer[1] and self._answer[2]:
            if self._random.random() >= self._share:
                self.up.append((now_ms + 60, self._answer[0]))
            self._answer[0] += 1
            self._answer[2] -= 1


@pytest.mark.parametrize("seed", range(5))
def test_four_hours_of_records_come_over_a_radio_that_loses_a_third_in_two_minutes(seed: int) -> None:
    session, belt, taken, now_ms = BeltSession("A"), LossyBelt(240, 0.3, seed), 0, T0
    belt.send(T0, session.opened(T0, hello(record_seq=240)).sends)
    while taken < 240:
        now_ms += 30
        belt.step(now_ms)
        while belt.up and belt.up[0][0] <= now_ms:
            outcome = session.record(now_ms, minute(belt.up.pop(0)[1], 60))
            taken += len(outcome.records)
            belt.send(now_ms, outcome.sends)
        belt.send(now_ms, session.advance(now_ms).sends)
        assert now_ms < T0 + 120_000
    assert belt.requests < 240


def test_a_record_of_a_boot_never_heard_has_no_time_and_one_heard_has() -> None:
    session = BeltSession("A")
    session.opened(T0, hello(record_seq=2, boot_id=7, uptime_s=600))
    (old,) = session.record(T0, minute(1, 60, boot_id=6)).records
    (new,) = session.record(T0, minute(2, 540, boot_id=7)).records
    assert old.at_ms is None
    assert new.at_ms == T0 - 60_000


def test_a_restart_keeps_numbering_and_anchors_and_counts_the_belt_as_unheard() -> None:
    session = heard_session()
    session.record(T0, minute(1, 60))
    again = BeltSession("A", state=json.loads(json.dumps(session.to_state())))
    assert again.next_seq == session.next_seq
    assert again.anchor_ms(1) == T0
    assert isinstance(again.report(T0 + 9000, report(9)).facts[0], LinkUp)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=80))
def test_whatever_order_and_however_often_records_come_each_is_taken_once_in_order(
    arrivals: list[tuple[int, bool]],
) -> None:
    session = BeltSession("A")
    session.opened(T0, hello(record_seq=40))
    taken = []
    for seq, _ in arrivals:
        taken += [placed.record.seq for placed in session.record(T0, minute(seq, 60 * seq)).records]
    assert taken == list(range(1, len(taken) + 1))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["empty", "occupied", "unclear"]), st.lists(st.integers(0, 30))),
        min_size=1,
        max_size=30,
    )
)
def test_copies_of_earlier_reports_that_come_late_in_any_order_change_nothing(
    told: list[tuple[int, str, list[int]]],
) -> None:
    plain, disturbed = heard_session(), heard_session()
    reports, uptime_s = [report(0)], 0
    for pause_s, occupancy, late in told:
        uptime_s += pause_s
        reports.append(report(uptime_s, occupancy, 0, turn_over_count=len(reports)))
        now_ms = T0 + uptime_s * 1000
        expected = plain.report(now_ms, reports[-1]).facts
        assert disturbed.report(now_ms, reports[-1]).facts == expected
        for number in late:
            assert not disturbed.report(now_ms + 500, reports[number % len(reports)]).facts
    assert disturbed.to_state() == plain.to_state()
    assert disturbed.next_deadline_ms() == plain.next_deadline_ms()


@pytest.mark.parametrize("ppm", [-100, 100])
def test_a_belts_clock_that_drifts_a_hundred_millionths_makes_no_state_older_than_it_is(ppm: int) -> None:
    """A day in one boot: 8.6 s of drift in all; radio delays of up to half a second on top."""
    session, excess_ms = BeltSession("A", 1.0), 0.0
    for second in range(1, 86_400):
        delay_ms = second * 7919 % 500
        now_ms = second * 1000 + delay_ms
        uptime_s = second * (1 + ppm / 1e6)
        outcome = session.report(now_ms, report(uptime_s, "empty", age_s=round(uptime_s)))
        anchor_ms = session.anchor_ms(1)
        assert anchor_ms is not None
        # Where the belt's "now" is placed: never after it was heard, never more than the delay and a second before.
        late_ms = now_ms - (anchor_ms + uptime_s * 1000)
        assert -1 <= late_ms <= delay_ms + 1000
        assert outcome.accepted
        excess_ms = max(excess_ms, late_ms - delay_ms)
    add_row(MUST_SHOW, f"clock drift of {ppm:+d} ppm (every tier: the core)",
            "a day in one boot, 8.6 s of drift in all, 0 to 0.5 s of radio delay",
            "what the belt says is placed never later than it was heard, at most "
            f"{excess_ms / 1000:.2f} s earlier than the delay explains")


def test_time_that_leads_to_nothing_says_so_by_the_one_outcome_that_stands_for_it() -> None:
    """The room looks at every belt twice a second and does no more for this."""
    session = heard_session()
    assert session.advance(T0 + 1000) is NOTHING
    assert Outcome() == NOTHING
    session.closed(T0)
    assert session.advance(T0 + 5000) is not NOTHING
