"""The small shells of the belt: uptime, watchdog, timer ring, sampler, event queue."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.belt.radio import QUEUE_EVENTS, QUEUE_RESERVED, EventQueue
from firmware_py.belt.sampler import Sampler
from firmware_py.belt.supervisor import Supervisor
from firmware_py.belt.timer_ring import RING_SAMPLES
from firmware_py.belt.uptime import TICKS_PERIOD, Uptime
from tests.firmware_py.belt.timers import ShakyTimer


@given(st.integers(0, TICKS_PERIOD - 1), st.lists(st.integers(0, TICKS_PERIOD // 2 - 1), max_size=50))
def test_uptime_adds_up_whatever_the_ticks_do(start: int, steps: list[int]) -> None:
    now = [start]
    uptime = Uptime(lambda: now[0] % TICKS_PERIOD)
    for step in steps:
        now[0] += step
        assert uptime.ms() == now[0] - start


def test_the_watchdog_is_fed_when_every_task_has_reported() -> None:
    fed: list[int] = []
    noted: list[int] = []
    supervisor = Supervisor(3, lambda: fed.append(1), noted.append)
    for task in (0, 1, 0, 1, 1):
        supervisor.beat(task)
    assert fed == []
    assert noted == [0b001, 0b011]  # what a hang now would leave behind
    supervisor.beat(2)
    assert fed == [1]
    assert noted[-1] == 0


def test_one_silent_task_starves_the_watchdog() -> None:
    fed: list[int] = []
    supervisor = Supervisor(2, lambda: fed.append(1), lambda tasks: None)
    supervisor.beat(0)
    supervisor.beat(1)
    for _ in range(100):
        supervisor.beat(0)
    assert fed == [1]


def test_a_timer_ring_gives_whole_blocks_in_order() -> None:
    timer = ShakyTimer()
    ring = timer.ring()
    timer.run(250)
    buf = array("h", [0] * 10)
    assert [ring.read_into(buf), buf[0], ring.first_index] == [10, 1, 0]
    assert [ring.read_into(buf), buf[9], ring.first_index] == [10, 20, 10]
    assert ring.read_into(buf) == 0


def test_a_timer_ring_that_overflowed_says_how_much_is_gone() -> None:
    timer = ShakyTimer()
    ring = timer.ring()
    timer.run(10 * (RING_SAMPLES + 40))
    buf = array("h", [0] * 10)
    assert ring.read_into(buf) == 10
    assert ring.gap == 50
    assert buf[0] == ring.first_index + 1
    assert ring.read_into(buf) == 10
    assert ring.gap == 0


@pytest.mark.parametrize("burst", [True, False])
@pytest.mark.parametrize("start", [0, TICKS_PERIOD - 300])
def test_a_flash_erase_that_stops_the_timer_is_a_gap_of_its_length(burst: bool, start: int) -> None:
    """45 ms without interrupts; afterwards the missed ticks come all at once, or never."""
    timer = ShakyTimer(start)
    ring = timer.ring()
    timer.run(200)
    timer.erase(45, burst)
    timer.run(355)
    buf = array("h", [0] * 10)
    told = []
    while ring.read_into(buf):
        told.append((ring.first_index, ring.gap, list(buf)))
    assert sum(gap for _, gap, _ in told) == (3 if burst else 4)  # of a burst one counts
    assert told[-1][0] + 10 >= 50
    assert all(values == [first + 1 + i for i in range(10)] for first, _, values in told[-2:])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.booleans()), max_size=12))
def test_a_timer_ring_keeps_the_boards_time_whatever_stops_the_timer(stops: list[tuple[int, int, bool]]) -> None:
    timer = ShakyTimer()
    ring = timer.ring()
    buf = array("h", [0] * 10)
    total = 0
    for run_ms, erase_ms, burst in (*stops, (200, 0, False)):
        timer.run(run_ms)
        timer.erase(erase_ms, burst)
        timer.run(30)
        while ring.read_into(buf):
            total += ring.gap + 10
            assert ring.first_index + 10 == total
    assert 0 <= timer.now_ms // 10 - total <= 11


class _Steady:
    """A sensor that always has a block; every `lossy`-th block follows a gap of as many samples."""

    bits = 10
    first_index = 0

    def __init__(self, rate_hz: int, gaps: list[int]) -> None:
        self.rate_hz = rate_hz
        self.bits = 10
        self.gap = 0
        self._gaps = gaps

    def start(self) -> None: ...

    def read_into(self, buf: array[int]) -> int:
        self.gap = self._gaps.pop(0) if self._gaps else 0
        return len(buf)


class _Counting:
    """Stands for the pipeline: counts what is pushed between seconds."""

    def __init__(self) -> None:
        self.pushed = 0
        self.gaps = 0
        self.seconds: list[int] = []

    def push(self, buf: array[int], n: int, gap: int = 0) -> None:
        self.pushed += n
        self.gaps += gap

    def advance(self) -> list[int]:
        self.seconds.append(self.pushed)
        return [len(self.seconds)]


@settings(max_examples=30)
@given(st.sampled_from([50, 77, 100, 125, 200, 250, 1000]))
def test_seconds_are_cut_every_fifty_samples_at_any_sensor_rate(rate_hz: int) -> None:
    pipeline: Any = _Counting()
    sampler = Sampler(_Steady(rate_hz, []), pipeline)
    for _ in range(200):
        sampler.read()
        sampler.process()
    assert pipeline.seconds == [50 * (i + 1) for i in range(len(pipeline.seconds))]
    assert len(pipeline.seconds) >= 17


def test_lost_samples_reach_the_pipeline_as_a_gap() -> None:
    pipeline: Any = _Counting()
    sampler = Sampler(_Steady(100, [0, 40, 0]), pipeline)
    for _ in range(10):
        sampler.read()
        sampler.process()
    assert (pipeline.gaps, sampler.samples_lost) == (20, 40)
    assert pipeline.pushed == 50


def test_a_short_gap_is_bridged_so_that_time_goes_on() -> None:
    pipeline: Any = _Counting()
    sampler = Sampler(_Steady(100, [0, 7, 0, 20, 3]), pipeline)
    for _ in range(7):
        sampler.read()
        sampler.process()
    assert (pipeline.gaps, sampler.samples_lost, pipeline.pushed) == (0, 30, 50)


def test_events_leave_the_queue_in_order() -> None:
    queue = EventQueue()
    for number in range(5):
        queue.put(3, number, bytes([number]))
    assert [queue.get() for _ in range(6)] == [*[(3, n, bytes([n])) for n in range(5)], None]


def test_events_beyond_the_queue_are_dropped_and_counted() -> None:
    queue = EventQueue()
    for number in range(QUEUE_EVENTS + 3):
        queue.put(3, number, b"")
    assert queue.dropped == 3 + QUEUE_RESERVED
    assert queue.get() == (3, 0, b"")
