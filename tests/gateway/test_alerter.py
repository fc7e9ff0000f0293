"""alerter: the highest priority sounds, and a channel that hangs delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from gpiozero.pins.mock import MockFactory

from gateway.alerter.alerter import Alerter
from gateway.alerter.channel import GIVEN_UP, Channel, Delivery
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


# -- in-room sound, tests, records ---------------------------------------------------------------------------------


async def test_a_channel_in_the_room_is_silent_unless_sound_in_rooms_is_wanted() -> None:
    taker = Taker()
    async with running(Channel("buzzer", taker.show, in_room=True)) as alerter:
        alerter.hand(HIGH)
        await asyncio.wait_for(taker.arrived.wait(), 5)
        taker.arrived.clear()
        alerter.room_sound = True
        alerter.hand(LOW)
        await asyncio.wait_for(taker.arrived.wait(), 5)
    assert [signal.sound for signal in taker.taken] == ["", "low"]
    assert taker.taken[0].light == "high"


async def test_a_self_test_passes_or_says_why_and_shows_what_was_shown_before() -> None:
    taker, broken = Taker(), Taker(failures=1)
    good = Channel("good", taker.show, test=lambda: taker.show(LOW))
    bad = Channel("bad", taker.show, test=lambda: broken.show(LOW))
    async with running(good, bad):
        assert await good.self_test() == ""
        assert await bad.self_test() == "no such pin"
        assert bad.failing == "no such pin"
    assert taker.taken == [LOW, QUIET, QUIET]


async def test_an_alarm_ends_a_self_test_and_goes_first() -> None:
    taker, hanging = Taker(), Taker(hangs=True)
    channel = Channel("light", taker.show, test=lambda: hanging.show(LOW))
    async with running(channel) as alerter:
        asked = asyncio.create_task(channel.self_test())
        await asyncio.sleep(0.01)
        alerter.hand(HIGH)
        assert await asyncio.wait_for(asked, 1) == GIVEN_UP
        await asyncio.wait_for(taker.arrived.wait(), 1)
    assert taker.taken == [HIGH]
    assert not channel.failing


@pytest.mark.asyncio(loop_factories=["virtual"])
async def test_a_channel_that_hangs_fails_its_test() -> None:
    channel = Channel("light", Taker().show, test=lambda: Taker(hangs=True).show(LOW))
    async with running(channel):
        assert await channel.self_test() == "no answer within 15 s"


@pytest.mark.asyncio(loop_factories=["virtual"])
async def test_a_delivery_that_failed_at_first_is_recorded_at_its_failure_and_at_its_end() -> None:
    channel = Channel("pin", Taker(failures=2).show)
    told: list[Delivery] = []
    channel.on_delivery = lambda _, delivery: told.append(delivery)
    async with running(channel) as alerter:
        alerter.hand(HIGH)
        await asyncio.sleep(5)
    assert [(delivery.attempts, delivery.error) for delivery in told] == [(1, "no such pin"), (3, "")]
    assert list(channel.deliveries) == told


async def test_a_buzzer_and_a_light_test_themselves_by_their_pins() -> None:
    factory = MockFactory()
    for kind, number in (("buzzer", 5), ("light", 6)):
        output = PinOutput(kind, number, factory)  # type: ignore[arg-type]
        try:
            await output.test()
            assert [state.state for state in factory.pin(number).states][-2:] == [True, False]
        finally:
            output.close()


async def test_a_pin_that_cannot_be_had_is_an_error_that_names_it() -> None:
    factory = MockFactory()
    light = PinOutput("light", 5, factory)
    with pytest.raises(OSError, match="pin 5"):
        PinOutput("buzzer", 5, factory)
    light.close()
