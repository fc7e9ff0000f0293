"""alerter: the highest priority sounds, and a channel that hangs delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.alerter.alerter import Alerter
from gateway.alerter.channel import Channel
from gateway.alerter.pins import PinOutput
from gateway.alerter.signal import QUIET, Signal, signal_of
from gateway.cores.leave_bed import BedView
from tests.gateway.views import view

HIGH = Signal("high", "high", False, ("A",))
LOW = Signal("low", "low", False, ("B",))


@asynccontextmanager
async def running(*channels: Channel) -> AsyncIterator[Alerter]:
    alerter = Alerter(list(channels))
    task = asyncio.create_task(alerter.run())
    try:
        yield alerter
    finally:
        task.cancel()
        await asyncio.wait([task])


class Taker:
    """A channel's end that takes signals, fails the first few, or hangs."""

    def __init__(self, failures: int = 0, hangs: bool = False) -> None:
        self.taken: list[Signal] = []
        self._failures = failures
        self._hangs = hangs
        self.arrived = asyncio.Event()

    async def show(self, signal: Signal) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        if self._failures:
            self._failures -= 1
            raise OSError("no such pin")
        self.taken.append(signal)
        self.arrived.set()


@pytest.mark.parametrize(
    ("views", "signal"),
    [
        ([], QUIET),
        ([view("A")], QUIET),
        ([view("A", alarm="unacknowledged", sounding=True)], Signal("medium", "medium", False, ("A",))),
        ([view("A", alarm="acknowledged")], Signal("", "medium", True, ("A",))),
        ([view("A", alarm="latched")], Signal("", "medium", True, ("A",))),
        ([view("A", alarm="unacknowledged", sounding=False)], Signal("", "medium", False, ("A",))),
        (
            [
                view("A", alarm="unacknowledged", sounding=True, priority="low"),
                view("B", alarm="unacknowledged", sounding=True, priority="high"),
                view("C", alarm="acknowledged", priority="high"),
            ],
            Signal("high", "high", False, ("B", "A", "C")),
        ),
    ],
)
def test_the_signal_follows_the_beds(views: list[BedView], signal: Signal) -> None:
    assert signal_of(views) == signal


async def test_a_signal_reaches_every_channel_and_is_recorded() -> None:
    takers = [Taker(), Taker()]
    channels = [Channel(f"c{i}", taker.show) for i, taker in enumerate(takers)]
    async with running(*channels) as alerter:
        alerter.hand(HIGH)
        for taker in takers:
            await asyncio.wait_for(taker.arrived.wait(), 5)
    for channel in channels:
        assert [(d.signal, d.attempts, d.error) for d in channel.deliveries] == [(HIGH, 1, "")]


async def test_a_channel_that_hangs_delays_no_other() -> None:
    hanging, good = Taker(hangs=True), Taker()
    async with running(Channel("hanging", hanging.show), Channel("good", good.show)) as alerter:
        for signal in (HIGH, LOW, QUIET):
            good.arrived.clear()
            alerter.hand(signal)
            await asyncio.wait_for(good.arrived.wait(), 1)
    assert good.taken == [HIGH, LOW, QUIET]


@pytest.mark.asyncio(loop_factories=["virtual"])
async def test_a_failing_channel_is_tried_until_it_works_and_says_so_meanwhile() -> None:
    taker = Taker(failures=3)
    channel = Channel("pin", taker.show)
    async with running(channel) as alerter:
        alerter.hand(HIGH)
        await asyncio.sleep(0.1)
        assert alerter.failing() == {"pin": "no such pin"}
        await taker.arrived.wait()
        await asyncio.sleep(0.1)
        assert alerter.failing() == {}
    assert channel.deliveries[-1].attempts == 4


@pytest.mark.asyncio(loop_factories=["virtual"])
async def test_a_newer_signal_replaces_one_that_cannot_be_delivered() -> None:
    taker = Taker(failures=2)
    channel = Channel("pin", taker.show)
    async with running(channel) as alerter:
        alerter.hand(HIGH)
        await asyncio.sleep(0.05)
        alerter.hand(QUIET)
        await taker.arrived.wait()
    assert taker.taken == [QUIET]


@pytest.mark.asyncio(loop_factories=["virtual"])
async def test_a_channel_that_hangs_is_given_up_after_its_time() -> None:
    channel = Channel("pin", Taker(hangs=True).show, timeout_s=2.0)
    async with running(channel) as alerter:
        alerter.hand(HIGH)
        await asyncio.sleep(2.1)
        assert "no answer within 2 s" in alerter.failing()["pin"]


async def test_the_same_signal_is_handed_on_once() -> None:
    taker = Taker()
    async with running(Channel("c", taker.show)) as alerter:
        alerter.hand(HIGH)
        alerter.hand(HIGH)
        await asyncio.wait_for(taker.arrived.wait(), 5)
    assert taker.taken == [HIGH]


async def test_pins_follow_the_signal() -> None:
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    light = PinOutput("light", 5, factory)
    pin = factory.pin(5)
    try:
        await light.show(Signal("", "high", True, ("A",)))
        assert pin.state
        await light.show(QUIET)
        assert not pin.state
    finally:
        light.close()
