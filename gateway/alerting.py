"""Local alerting as one part of the gateway: channels, the relay's heartbeats, buttons, self-tests, and their record.

What is decided stands in cores (alive, button, self_test); what reaches hardware in gateway/alerter. Nothing here waits
for the disk: records are handed to the store and forgotten.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from gateway.alerter.build import build_alerter, build_buttons
from gateway.alerter.channel import GIVEN_UP, Channel, Delivery
from gateway.alerter.signal import QUIET, Signal
from gateway.clock import GatewayClock
from gateway.config import Config
from gateway.cores.alive import TURN_LIMIT_MS, Alive
from gateway.cores.button import Press, bed_to_acknowledge, bed_to_assist
from gateway.cores.leave_bed import Now
from gateway.cores.self_test import SelfTests
from gateway.room import Room
from gateway.store_files import EventRow, Writes

__all__ = ["DEADLINES", "RADIO", "Alerting"]

log = logging.getLogger(__name__)

RADIO, DEADLINES = "radio", "deadlines"
"""The parts of the alarm path whose turns make a heartbeat."""
FIRST_TEST_S = 60.0
TEST_EVERY_S = 30.0
SHOWN_MAX = 200
TRIAL_QUIET_MS_MAX = 5000


class Alerting:
    """Make it, `bind` it to the room, then `run`. `hand` and `turn` return at once."""

    def __init__(
        self,
        config: Config,
        clock: GatewayClock,
        put: Callable[[Writes], None],
        page: Callable[[Signal], Awaitable[None]],
    ) -> None:
        self._config = config.alerter
        self.timezone = config.gateway.timezone
        self._clock = clock
        self._put = put
        self._room: Room | None = None
        self._alive = Alive((RADIO, DEADLINES))
        self._since_ms = time.monotonic_ns() // 1_000_000
        self._told_hanging = False
        self._testing = asyncio.Lock()
        self._stuck: set[str] = set()
        self._buttons_fail = ""
        self.alerter = build_alerter(config.alerter, page)
        for channel in self.alerter.channels:
            channel.on_delivery = self._delivered
        try:
            self._buttons = build_buttons(config.alerter, self.pressed)
        except OSError as error:
            log.error("buttons: %s", error)
            self._buttons, self._buttons_fail = None, str(error)
        self.tests = self._self_tests(None)
        self._real = QUIET
        self._trial: Signal | None = None
        # Told of (channel, after real ms, error) of a test alarm, and of the point that a test alarm is answered from.
        self.on_trial_delivery: Callable[[str, int, str], None] = lambda channel, after_ms, error: None
        self.on_trial_press: Callable[[str], None] = lambda point: None
        self.on_trial_lost: Callable[[], None] = lambda: None
        """A real alarm has taken the test alarm's place."""

    def bind(self, room: Room) -> None:
        """The room that buttons act on, and in whose state the results of self-tests are kept."""
        self._room = room
        try:
            self.tests = self._self_tests(room.kept.get("self_tests"))
        except (KeyError, TypeError, ValueError) as error:
            log.error("the results of earlier self-tests cannot be used (%r)", error)
        room.kept["self_tests"] = self.tests.to_state()
        self._choose_room_sound()

    def hand(self, signal: Signal) -> None:
        """Give every channel the present signal; a test alarm gives way to a real one, and to nothing else."""
        self._real = signal
        if self._trial is not None and not signal.alarming:
            return
        lost, self._trial = self._trial is not None, None
        self.alerter.hand(signal)
        if lost:
            self.on_trial_lost()

    def turn(self, part: str) -> None:
        """RADIO or DEADLINES did its work once more; when all do, the relay hears a heartbeat."""
        now_ms = time.monotonic_ns() // 1_000_000
        self._alive.turn(part, now_ms)
        if part != DEADLINES:
            return
        hanging = self._alive.hanging(now_ms)
        # At the start the radio takes its first turn after the deadlines': silence is right then, and no news.
        is_late = self._alive.is_complete or now_ms - self._since_ms > TURN_LIMIT_MS
        if hanging and is_late and not self._told_hanging:
            log.error("no heartbeat for the relay: %s takes no turns", " and ".join(hanging))
        self._told_hanging = bool(hanging) and is_late
        if not hanging:
            self.alerter.beat()

    def hanging(self) -> tuple[str, ...]:
        """Parts of the alarm path that take no turns; none before each has taken its first."""
        return tuple(self._alive.hanging(time.monotonic_ns() // 1_000_000)) if self._alive.is_complete else ()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.alerter.run())
            tasks.create_task(self._test_when_due())
            if self._buttons is not None:
                tasks.create_task(self._buttons.run())

    def close(self) -> None:
        """Let go of the hardware."""
        self.alerter.close()
        if self._buttons is not None:
            self._buttons.close()

    def troubles(self) -> list[str]:
        """Codes of what is wrong at present, for the board."""
        troubles = []
        if self.alerter.failing() or self._buttons_fail:
            troubles.append("alert_channel")
        if self.tests.untested(self._now()):
            troubles.append("alert_channels_untested")
        if self._stuck:
            troubles.append("button_stuck")
        if self._trial is not None:
            troubles.append("test_alarm")
        return troubles

    # -- the walk test's alarm ---------------------------------------------------------------------------------------

    @property
    def trial(self) -> bool:
        """Whether a test alarm is on."""
        return self._trial is not None

    def trial_on(self, bed: str) -> bool:
        """Sound and light every channel as for a real alarm of `bed`, in rooms too; False while there is a real one."""
        if self._real.alarming:
            return False
        self._trial = self.alerter.signal = Signal("medium", "medium", False, (bed,))
        for channel in self.alerter.channels:
            channel.hand(self._trial, room_sound=True)
        return True

    def trial_off(self) -> None:
        """Back to what is real."""
        if self._trial is not None:
            self._trial = None
            self.alerter.hand(self._real)

    async def trial_answered(self) -> int:
        """End the test alarm; real ms until the last channel has fallen quiet, `TRIAL_QUIET_MS_MAX` if one does not."""
        began_ms = time.monotonic_ns() // 1_000_000
        self.trial_off()
        while (past_ms := time.monotonic_ns() // 1_000_000 - began_ms) < TRIAL_QUIET_MS_MAX:
            last = [channel.deliveries[-1] for channel in self.alerter.channels if channel.deliveries]
            if all(not delivery.signal.alarming and not delivery.error for delivery in last):
                return max([delivery.done_ms - began_ms for delivery in last if delivery.done_ms > began_ms], default=0)
            await asyncio.sleep(0.01)
        return past_ms

    # -- records -----------------------------------------------------------------------------------------------------

    def deliveries(self) -> dict[str, Any]:
        """Channels as they are, and the newest deliveries that are remembered."""
        records = self.alerter.deliveries()[:SHOWN_MAX]
        return {
            "channels": [self._channel(channel) for channel in self.alerter.channels],
            "in_room_sound": self.alerter.room_sound,
            "untested": self.tests.untested(self._now()),
            "deliveries": [self._delivery(name, delivery) for name, delivery in records],
        }

    def _channel(self, channel: Channel) -> dict[str, Any]:
        result = self.tests.results.get(channel.name)
        return {
            "channel": channel.name,
            "place": "room" if channel.in_room else "staff",
            "reaches_staff_offline": channel.reaches_staff,
            "failing": channel.failing,
            "last_test": None if result is None else asdict(result),
        }

    def _delivery(self, name: str, delivery: Delivery) -> dict[str, Any]:
        speed = self._clock.scale.speed
        ago_ms = time.monotonic_ns() // 1_000_000 - delivery.handed_ms
        beds = self._room.beds if self._room is not None else {}
        took_ms = delivery.done_ms - delivery.handed_ms
        return {
            "channel": name,
            "beds": list(delivery.signal.beds),
            "alarms": [beds[bed].alarm_id for bed in delivery.signal.beds if bed in beds],
            "sound": delivery.signal.sound,
            "handed_utc_ms": self._clock.utc_ms() - round(ago_ms * speed),
            "delivered_after_ms": None if delivery.error else took_ms,
            "failed_after_ms": took_ms if delivery.error else None,
            "attempts": delivery.attempts,
            "error": delivery.error,
        }

    def _delivered(self, channel: Channel, delivery: Delivery) -> None:
        if delivery.signal is self._trial:
            self.on_trial_delivery(channel.name, delivery.done_ms - delivery.handed_ms, delivery.error)
            self._note("test_delivery", json.dumps(self._delivery(channel.name, delivery), separators=(",", ":")))
            return
        # The end of all alarms is no delivery to anybody, unless it fails: then something goes on sounding.
        if delivery.signal.alarming or delivery.error:
            self._note("delivery", json.dumps(self._delivery(channel.name, delivery), separators=(",", ":")))

    def _note(self, event: str, detail: str, who: str = "") -> None:
        now = self._now()
        utc_ms = max(0, now.utc_ms)
        self._put(Writes(events=[EventRow(now.now_ms, utc_ms, now.trusted, "", event, detail, "", who)]))

    # -- buttons -----------------------------------------------------------------------------------------------------

    def pressed(self, index: int, press: Press) -> None:
        """A press of the configuration's button `index`."""
        button = self._config.buttons[index]
        who = f"button:{button.name}"
        log.info("button %s: %s", button.name, press)
        if press == "stuck":
            self._stuck.add(button.name)
            self._note("tech_raise", f"button_stuck {button.name}")
        elif press == "freed":
            self._stuck.discard(button.name)
            self._note("tech_clear", f"button_stuck {button.name}")
        elif self._trial is not None and press == "short":
            self.on_trial_press(who)
        elif self._room is not None:
            views = self._room.views(self._room.now())
            own = [views[label] for label in button.beds if label in views]
            action = "acknowledge" if press == "short" else "assist"
            bed = bed_to_acknowledge(own) if press == "short" else bed_to_assist(own)
            if bed is None and len(own) == 1:
                bed = own[0].bed  # ignored there, and audited as rule 11 wants it
            if bed is None:
                self._note("ack_ignored" if press == "short" else "assist_ignored", "no bed to tell from another", who)
            else:
                self._room.act(bed, action, who)

    # -- self-tests --------------------------------------------------------------------------------------------------

    async def test_now(self) -> dict[str, str] | str:
        """Test every channel: name -> "" or why it failed; `night` or `alarming` if this is no time for it."""
        if self.alerter.signal.alarming:
            return "alarming"
        if not self.tests.daytime(self._now()):
            return "night"
        return await self._test([channel.name for channel in self.alerter.channels if channel.testable])

    async def _test_when_due(self) -> None:
        await asyncio.sleep(FIRST_TEST_S)
        while True:
            await self._test(self.tests.due(self._now(), self.alerter.signal.alarming))
            self._choose_room_sound()
            await asyncio.sleep(min(TEST_EVERY_S, self._clock.real_delay_s(600.0)))

    async def _test(self, names: list[str]) -> dict[str, str]:
        errors: dict[str, str] = {}
        async with self._testing:
            for channel in self.alerter.channels:
                if channel.name not in names or self.alerter.signal.alarming:
                    continue
                error = await channel.self_test()
                if error == GIVEN_UP:
                    break  # still due: tried again once the alarm is over
                errors[channel.name] = error
                self.tests.done(self._now(), channel.name, error)
                self._note("self_test", f"{channel.name} {'passed' if not error else 'failed: ' + error}")
        if errors and self._room is not None:
            self._room.kept["self_tests"] = self.tests.to_state()
            self._room.save()
            self._choose_room_sound()
        return errors

    def _self_tests(self, state: Mapping[str, Any] | None) -> SelfTests:
        reaching = {channel.name: channel.reaches_staff for channel in self.alerter.channels if channel.testable}
        plan = self._config.self_test
        return SelfTests(reaching, plan.hour, plan.every_days, self.timezone, self._now(), state)

    def _choose_room_sound(self) -> None:
        self.alerter.room_sound = self._config.in_room_sound or self.tests.untested(self._now())

    def _now(self) -> Now:
        return Now(self._clock.elapsed_ms(), self._clock.utc_ms(), self._clock.trusted())
