"""The small shells of the belt: uptime, watchdog, timer ring, sampler, event queue."""

from __future__ import annotations

from array import array
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.belt.radio import QUEUE_EVENTS, QUEUE_RESERVED, EventQueue
from firmware_py.belt.sampler import Sampler
from firmware_py.belt.supervisor import Supervisor
from firmware_py.belt.timer_ring import RING_SAMPLES, TimerRing
from firmware_py.belt.uptime import TICKS_PERIOD, Uptime


@given(st.integers(0, TICKS_PERIOD - 1), st.lists(st.integers(0, TICKS_PERIOD // 2 - 1), max_size=50))
def test_uptime_adds_up_whatever_the_ticks_do(start: int, steps: list[int]) -> None:
    now = [start]
    uptime = Uptime(lambda: now[0] % TICKS_PERIOD)
    for step in steps:
        now[0] += step
        assert uptime.ms() == now[0] - start


def test_the_watchdog_is_fed_when_every_task_has_reported() -> None:
    fed: list[int] = []
    supervisor = Supervisor(3, lambda: fed.append(1))
    for task in (0, 1, 0, 1, 1):
        supervisor.beat(task)
    assert fed == []
    supervisor.beat(2)
    assert fed == [1]


def test_one_silent_task_starves_the_watchdog() -> None:
    fed: list[int] = []
    supervisor = Supervisor(2, lambda: fed.append(1))
    supervisor.beat(0)
    supervisor.beat(1)
    for _ in range(100):
        supervisor.beat(0)
    assert fed == [1]


def _ring() -> tuple[TimerRing, list[int]]:
    counts = [0]

    def read_u16() -> int:
        counts[0] += 1
        return counts[0] % 2048 << 4

    ring = TimerRing(read_u16, lambda rate_hz, tick: None, 100)
    ring.start()
    return ring, counts


def test_a_timer_ring_gives_whole_blocks_in_order() -> None:
    ring, _ = _ring()
    buf = array("h", [0] * 10)
    for _ in range(25):
        ring.tick(None)
    assert [ring.read_into(buf), buf[0], ring.first_index] == [10, 1, 0]
    assert [ring.read_into(buf), buf[9], ring.first_index] == [10, 20, 10]
    assert ring.read_into(buf) == 0


def test_a_timer_ring_that_overflowed_says_how_much_is_gone() -> None:
    ring, _ = _ring()
    buf = array("h", [0] * 10)
    for _ in range(RING_SAMPLES + 40):
        ring.tick(None)
    assert ring.read_into(buf) == 10
    assert ring.gap == 50
    assert buf[0] == ring.first_index + 1


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
