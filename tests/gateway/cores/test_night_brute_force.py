"""The interval arithmetic against a second implementation: one state per second, counted by hand."""

from __future__ import annotations

import random
from itertools import groupby
from typing import Any

import pytest

from gateway.cores.night import build_report
from gateway.cores.night_facts import Epoch, NightFacts, Presence, Span
from gateway.cores.night_rest import considered_span
from tests.gateway.cores.night_cases import D

NIGHTS = 150


def random_night(seed: int) -> NightFacts:
    """A rest in one piece by construction (short gaps), with silences, exits and stages at any second."""
    rng = random.Random(seed)
    empty = NightFacts("Asia/Shanghai", D, ())
    at = considered_span(empty).start_utc_s + 10 * 3600 - rng.randrange(7200)
    presences, silences, epochs = [], [], []
    for _ in range(rng.randint(1, 5)):
        end = at + rng.choice((600, 5000, 9000)) + rng.randrange(300)
        presences.append(Presence(at, end))
        at = end + rng.choice((20, 400, 3000)) + rng.randrange(60)
    start, end = presences[0].start_utc_s, presences[-1].end_utc_s or 0
    at = start - 100
    while at < end and rng.random() < 0.8:
        at += rng.randrange(3000)
        length = rng.choice((5, 100, 900)) + rng.randrange(20)
        silences.append(Span(at, at + length))
        at += length
    asleep = False
    for second in range(start - rng.randrange(30), end, 30):
        asleep = asleep if rng.random() < 0.9 else not asleep
        epochs.append(Epoch(second, asleep))
    return NightFacts("Asia/Shanghai", D, tuple(presences), silences=tuple(silences), epochs=tuple(epochs))


def seconds_of(facts: NightFacts) -> list[tuple[str, int]]:
    """(state, epoch number or -1) of each second from bed entry to rise."""
    start, end = facts.occupancy[0].start_utc_s, facts.occupancy[-1].end_utc_s or 0
    states = [("out", -1)] * (end - start)
    for presence in facts.occupancy:
        for second in range(presence.start_utc_s - start, (presence.end_utc_s or 0) - start):
            states[second] = ("wake", -1)
    for number, epoch in enumerate(facts.epochs or ()):
        for second in range(max(0, epoch.start_utc_s - start), min(end, epoch.start_utc_s + 30) - start):
            if states[second][0] == "wake" and epoch.asleep:
                states[second] = ("sleep", number)
    for silence in facts.silences:
        for second in range(max(0, silence.start_utc_s - start), min(end, silence.end_utc_s) - start):
            states[second] = ("no_data", -1)
    return states


def counted(facts: NightFacts) -> dict[str, Any]:
    states = seconds_of(facts)
    names = [state for state, _ in states]
    runs, at = [], 0
    for state, group in groupby(states, key=lambda s: s[0]):
        members = list(group)
        runs.append((state, at, len({number for _, number in members})))
        at += len(members)
    onset = next((at for state, at, epochs in runs if state == "sleep" and epochs >= 10), None)
    figures: dict[str, Any] = {
        "night_span_s": len(names),
        "no_data_s": names.count("no_data"),
        "out_of_bed_total_s": names.count("out"),
        "time_in_bed_s": names.count("wake") + names.count("sleep"),
        "total_sleep_s": names.count("sleep"),
        "sleep_onset_latency_s": onset,
        "wake_after_sleep_onset_s": None,
        "awakenings": None,
    }
    if onset is not None:
        last = len(names) - names[::-1].index("sleep")
        after = ["wake" if name == "out" else name for name in names[onset:last]]
        bouts = [len(list(group)) for name, group in groupby(after) if name == "wake"]
        figures["wake_after_sleep_onset_s"] = sum(bouts)
        figures["awakenings"] = sum(1 for bout in bouts if bout >= 300)
    if 10 * (len(names) - names.count("no_data")) < 9 * len(names):
        for name in ("total_sleep_s", "sleep_onset_latency_s", "wake_after_sleep_onset_s", "awakenings"):
            figures[name] = None
    return figures


@pytest.mark.parametrize("batch", range(5))
def test_random_nights_add_up_as_they_do_second_by_second(batch: int) -> None:
    for seed in range(batch * NIGHTS // 5, (batch + 1) * NIGHTS // 5):
        facts = random_night(seed)
        report = build_report(facts)
        expected = counted(facts)
        if report is None:
            # Too little inside the window: that rule has tests of its own.
            continue
        assert {name: getattr(report, name) for name in expected} == expected, f"seed {seed}"
        assert sum(piece.span.seconds for piece in report.timeline) == report.night_span_s
