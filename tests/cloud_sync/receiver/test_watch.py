"""Minutes not watched: from what gateways say, joined only where they said it, each second counted once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync.receiver.watch import WatchLog, seconds_by_reason
from protocol.batch import LiveBed, LiveSnapshot

STRETCHES = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)).map(lambda p: (min(p) * 1000, max(p) * 1000)))


def said(at_s: int, why: str = "", bed: str = "1", trusted: bool = True) -> LiveSnapshot:
    return LiveSnapshot("gw", at_s * 1000, trusted, (LiveBed(bed, "present", watched=not why, why_unwatched=why),))


def spans(*snapshots: LiveSnapshot) -> list[tuple[str, int, int]]:
    log = WatchLog()
    for snapshot in snapshots:
        log.hear(snapshot)
    return [(span.reason, span.from_utc_ms // 1000, span.to_utc_ms // 1000) for span in log.take()]


def test_a_reason_holds_until_the_gateway_says_otherwise() -> None:
    assert spans(said(0, "away"), said(5, "away"), said(10), said(15)) == [("away", 0, 10)]


def test_a_new_reason_begins_a_new_stretch() -> None:
    assert spans(said(0, "away"), said(5, "silent"), said(10)) == [("away", 0, 5), ("silent", 5, 10)]


def test_nothing_is_claimed_for_the_time_between_distant_snapshots() -> None:
    assert spans(said(0, "away"), said(600, "away"), said(605)) == [("away", 600, 605)]


def test_a_gateway_without_a_trusted_clock_dates_nothing() -> None:
    assert spans(said(0, "away", trusted=False), said(5, "away", trusted=False)) == []


def test_what_the_gateway_told_counts_before_what_was_not_received() -> None:
    assert seconds_by_reason([("away", (0, 60_000))], [(30_000, 120_000)], (0, 100_000)) == {
        "away": 60, "no_record": 40,
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(told=STRETCHES, silent=STRETCHES)
def test_each_second_is_counted_once(told: list[tuple[int, int]], silent: list[tuple[int, int]]) -> None:
    found = seconds_by_reason([(f"r{n % 3}", stretch) for n, stretch in enumerate(told)], silent, (10_000, 80_000))
    covered = {second for start, end in [*told, *silent] for second in range(start // 1000, end // 1000)}
    assert sum(found.values()) == len(covered & set(range(10, 80)))
