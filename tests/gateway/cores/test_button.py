"""button: presses by debounced times, and the bed that a press means."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cores.button import (
    DEBOUNCE_MS,
    LONG_MS,
    STUCK_MS,
    Button,
    Press,
    bed_to_acknowledge,
    bed_to_assist,
)
from tests.gateway.views import view


def told(edges: list[tuple[int, bool]], until_ms: int, pressed: bool = False) -> list[tuple[int, Press]]:
    """(when, press) of a button whose level changes at `edges`, waited for as a shell does."""
    button = Button(0, pressed)
    log: list[tuple[int, Press]] = []
    pending = list(edges)
    while True:
        due_ms = button.next_deadline_ms()
        if pending and (due_ms is None or pending[0][0] <= due_ms):
            at_ms, level = pending.pop(0)
            log += [(at_ms, press) for press in button.level(at_ms, level)]
        elif due_ms is not None and due_ms <= until_ms:
            log += [(due_ms, press) for press in button.advance(due_ms)]
        else:
            return log


def test_a_short_press_is_told_at_its_release() -> None:
    assert told([(100, True), (400, False)], 9000) == [(400 + DEBOUNCE_MS, "short")]


def test_a_long_press_is_told_while_held_and_its_release_says_nothing() -> None:
    assert told([(100, True), (5000, False)], 9000) == [(100 + LONG_MS, "long")]


@pytest.mark.parametrize(("held_ms", "press"), [(LONG_MS - 1, "short"), (LONG_MS, "long")])
def test_two_seconds_make_a_press_long(held_ms: int, press: Press) -> None:
    assert [p for _, p in told([(0, True), (held_ms, False)], 9000)] == [press]


def test_bouncing_makes_one_press_of_one() -> None:
    edges = [(100, True), (105, False), (110, True), (400, False), (404, True), (409, False)]
    assert told(edges, 9000) == [(409 + DEBOUNCE_MS, "short")]


def test_a_bounce_in_a_long_press_does_not_cut_it() -> None:
    assert told([(0, True), (1000, False), (1010, True), (3000, False)], 9000) == [(LONG_MS, "long")]


def test_a_spike_is_no_press() -> None:
    assert told([(100, True), (100 + DEBOUNCE_MS - 1, False)], 9000) == []


def test_a_stuck_button_is_told_once_and_its_release_too() -> None:
    assert told([(0, True), (60_000, False)], 90_000) == [
        (LONG_MS, "long"), (STUCK_MS, "stuck"), (60_000 + DEBOUNCE_MS, "freed")
    ]  # fmt: skip


def test_a_button_found_pressed_is_no_press_but_may_be_stuck() -> None:
    assert told([(5000, False)], 60_000, pressed=True) == []
    assert told([], 60_000, pressed=True) == [(STUCK_MS, "stuck")]


@given(st.lists(st.tuples(st.integers(1, 4000), st.booleans()), max_size=12))
@settings(max_examples=200)
def test_presses_are_never_more_than_times_pressed(steps: list[tuple[int, bool]]) -> None:
    at_ms, level, edges = 0, False, []
    for wait_ms, pressed in steps:
        at_ms += wait_ms
        edges.append((at_ms, pressed))
    log = told(edges, at_ms + 40_000)
    downs = sum(pressed and not before for before, pressed in zip([level, *(p for _, p in steps)],
                                                                 [p for _, p in steps], strict=False))
    assert sum(press in ("short", "long") for _, press in log) <= downs
    assert [when for when, _ in log] == sorted(when for when, _ in log)


def test_a_short_press_answers_the_most_urgent_alarm() -> None:
    views = [
        view("A"),
        view("B", alarm="latched", priority="high"),
        view("C", alarm="unacknowledged", priority="medium", level=3),
        view("D", alarm="unacknowledged", priority="high", level=1, alarm_since_ms=200),
        view("E", alarm="unacknowledged", priority="high", level=1, alarm_since_ms=100),
        view("F", alarm="acknowledged", priority="high"),
    ]
    assert bed_to_acknowledge(views) == "E"
    assert bed_to_acknowledge(views[:3]) == "C"
    assert bed_to_acknowledge(views[:2]) == "B"
    assert bed_to_acknowledge(views[:1]) is None


def test_a_long_press_means_the_alarm_then_who_is_out_then_the_only_bed() -> None:
    out_late = view("B", state="absent", deadline_ms=900)
    out_soon = view("C", state="absent", deadline_ms=500)
    answered = view("D", alarm="acknowledged")
    unanswered = view("E", alarm="unacknowledged", priority="low")
    assert bed_to_assist([view("A"), out_late, out_soon, answered, unanswered]) == "E"
    assert bed_to_assist([view("A"), out_late, out_soon, answered]) == "D"
    assert bed_to_assist([view("A"), out_late, out_soon]) == "C"
    assert bed_to_assist([view("A")]) == "A"
    assert bed_to_assist([view("A"), view("B")]) is None
