"""The walk test of one bed: eight steps, each passed or failed with its evidence, before anybody relies on the bed.

| step | what the technician does | passes if |
|---|---|---|
| `empty` | keeps off the bed | 60 s without anything but empty |
| `lie_down` | lies down | occupied within 15 s |
| `rate` | lies still | a rate within 120 s |
| `roll` | rolls over twice and sits up | movement is seen and no exit |
| `get_up` | gets up | absent within 10 s |
| `alarm` | listens to the test alarm, 30 s | every configured channel took it and is confirmed |
| `acknowledge` | answers it from each point | every channel quiet within 2 s of each press |
| `radio` | nothing | 3 minutes: median at least -80 dBm, at least 95 % of the reports |

Instants are elapsed ms. The radio's three minutes begin with the test, so that step 8 seldom makes anybody wait. What
the body's rates are stands nowhere: technicians see that there is one, and after how long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.cores.survey import survey

__all__ = ["STEPS", "Step", "WalkTest"]

STEPS = ("empty", "lie_down", "rate", "roll", "get_up", "alarm", "acknowledge", "radio")
EMPTY_MS = 60_000
SETTLE_MS = 30_000
LIE_DOWN_MS = 15_000
RATE_MS = 120_000
ROLL_MS = 300_000
GET_UP_MS = 10_000
ALARM_MS = 30_000
ANSWER_MS = 120_000  # how long a confirmation or a press is waited for
ACKNOWLEDGE_MS = 2_000
RADIO_MS = 180_000
LATE_MS = 3_000  # what was heard in time but comes to us late still counts: a step fails this much after its limit
BURST_GAP_MS = 3_000  # still for this long, and the next movement is another one
MOVEMENTS_MIN = 2
RSSI_MAX = 20_000

StepState = Literal["waiting", "running", "passed", "failed"]


@dataclass(slots=True)
class Step:
    """`reason`: code of why it failed. `evidence`: what was measured, numbers and words only."""

    name: str
    state: StepState = "waiting"
    started_ms: int = 0
    ended_ms: int = 0
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"step": self.name, "state": self.state, "reason": self.reason, "evidence": dict(self.evidence),
                "seconds": round((self.ended_ms - self.started_ms) / 1000, 1) if self.ended_ms else None}


class WalkTest:
    """Call `go` when the technician starts the step at hand; facts come by the other methods, time by `advance`.

    `effects` collects what the shell has to do, oldest first: `alarm_on`, `alarm_off`.
    """

    def __init__(self, bed: str, channels: Sequence[str], points: Sequence[str], now_ms: int) -> None:
        """`channels`: every configured alert channel; `points`: every place from which an alarm can be answered."""
        self.bed = bed
        self.channels, self.points = tuple(channels), tuple(points)
        self.steps = [Step(name) for name in STEPS]
        self.began_ms = now_ms
        self.at = 0
        self.effects: list[str] = []
        self._occupancy = ""
        self._state = ""
        self._exits: int | None = None
        self._heard_ms: int | None = None
        self._moved_ms: int | None = None
        self._gone_ms, self._settled = now_ms, False  # when the step at hand was started; empty was seen in it
        self._reports: dict[tuple[str, int], int] = {}  # kind and number of a report -> when it was heard
        self._rssi: list[tuple[int, float]] = []

    # -- what the technician does ------------------------------------------------------------------------------------

    @property
    def step(self) -> Step | None:
        """The step at hand; None once all are over."""
        return self.steps[self.at] if self.at < len(self.steps) else None

    @property
    def finished(self) -> bool:
        return self.step is None

    @property
    def passed(self) -> bool:
        return all(step.state == "passed" for step in self.steps)

    def go(self, now_ms: int) -> bool:
        """Start the step at hand, or once more one that has failed; False if there is none to start."""
        step = self.step
        if step is None or step.state == "running":
            return False
        if step.name == "radio" and step.state == "failed":
            self.began_ms = now_ms  # another try has its own three minutes: the old ones would fail it again
        self.steps[self.at] = step = Step(step.name, "running", now_ms)
        self._moved_ms = None
        self._gone_ms, self._settled = now_ms, False
        if step.name == "alarm":
            step.evidence = {"confirmed": [], "not_heard": [], "delivered_ms": {}, "errors": {}}
            self.effects.append("alarm_on")
        elif step.name == "acknowledge":
            step.evidence = {"latency_ms": {}}
            self.effects.append("alarm_on")
        elif step.name == "roll":
            step.evidence = {"movements": 0, "exits_before": self._exits}
        elif step.name == "get_up" and self._state == "absent":
            # Up before the tap: noticed already.
            step.evidence = {"absent_after_s": 0.0}
            self._end(now_ms)
        self.advance(now_ms)
        return True

    def done(self, now_ms: int) -> None:
        """The technician has rolled over twice and sits."""
        step = self._running("roll")
        if step is None:
            return
        if step.evidence["movements"] < MOVEMENTS_MIN:
            self._end(now_ms, "no_movement")
        else:
            self._end(now_ms)

    def skip(self, now_ms: int) -> None:
        """Leave a step that failed as it is and go on."""
        step = self.step
        if step is not None and step.state == "failed":
            self.at += 1
            self._start_by_itself(now_ms)

    def confirm(self, now_ms: int, channel: str, heard: bool) -> None:
        """The technician (or somebody at the other end) heard or saw the test alarm on this channel, or did not."""
        step = self._running("alarm")
        if step is None or channel not in self.channels:
            return
        for name in ("confirmed", "not_heard"):
            if channel in step.evidence[name]:
                step.evidence[name].remove(channel)
        step.evidence["confirmed" if heard else "not_heard"].append(channel)
        self.advance(now_ms)

    # -- what is heard -----------------------------------------------------------------------------------------------

    def said(
        self, now_ms: int, occupancy: str, *, rate: bool, moving: bool, exits: int, report: tuple[str, int]
    ) -> None:
        """A report or a beacon of the bed's belt; `report`: its kind and number, so that none counts twice."""
        self._heard_ms = now_ms
        self._reports[report] = now_ms
        before, self._occupancy = self._occupancy, occupancy
        self._exits = exits
        step = self.step
        if step is None or step.state != "running":
            return
        since_s = round((now_ms - step.started_ms) / 1000, 1)
        if step.name == "empty":
            self._lay_empty(now_ms, step, occupancy)
        elif step.name == "lie_down" and occupancy == "occupied":
            step.evidence["occupied_after_s"] = since_s
            self._end(now_ms, "" if now_ms - step.started_ms <= LIE_DOWN_MS else "not_occupied")
        elif step.name == "rate" and rate:
            step.evidence["rate_after_s"] = since_s
            self._end(now_ms, "" if now_ms - step.started_ms <= RATE_MS else "no_rate")
        elif step.name == "roll":
            self._rolled(now_ms, step, occupancy, exits, moving)
        elif step.name == "get_up" and occupancy == "empty" != before:
            step.evidence["empty_after_s"] = since_s
        self.advance(now_ms)

    def ward(self, now_ms: int, state: str) -> None:
        """What the leave-bed rules say of the bed: unknown, present, absent, held."""
        before, self._state = self._state, state
        step = self.step
        if step is None or step.state != "running" or state == before:
            return
        if step.name == "get_up" and state == "absent":
            step.evidence["absent_after_s"] = round((now_ms - step.started_ms) / 1000, 1)
            self._end(now_ms, "" if now_ms - step.started_ms <= GET_UP_MS else "not_absent")
        elif step.name == "roll" and state == "absent":
            self._end(now_ms, "exit")

    def strength(self, now_ms: int, rssi_dbm: float) -> None:
        """How strongly one advertisement of the belt was heard."""
        if len(self._rssi) < RSSI_MAX:
            self._rssi.append((now_ms, rssi_dbm))

    def delivered(self, now_ms: int, channel: str, after_ms: int, error: str) -> None:
        """A channel has taken the test alarm, or not."""
        step = self._running("alarm")
        if step is not None and channel in self.channels:
            if error:
                step.evidence["errors"][channel] = error
            else:
                step.evidence["errors"].pop(channel, None)
                step.evidence["delivered_ms"].setdefault(channel, after_ms)
            self.advance(now_ms)

    def acknowledged(self, now_ms: int, point: str, latency_ms: int, way_ms: int | None = None) -> None:
        """The test alarm was answered from `point`, and the last channel fell quiet `latency_ms` (real) later.

        `way_ms`: how long the answer was on its way to us before; None where that is nothing.
        """
        step = self._running("acknowledge")
        if step is None or point not in self.points:
            return
        latencies: dict[str, int] = step.evidence["latency_ms"]
        whole_ms = latency_ms + (way_ms or 0)
        if whole_ms <= latencies.get(point, whole_ms):
            latencies[point] = whole_ms
            if way_ms is not None:
                step.evidence.setdefault("way_ms", {})[point] = way_ms
        step.started_ms = now_ms  # the wait for the next point begins
        if set(latencies) == set(self.points):
            slow = [name for name, taken_ms in latencies.items() if taken_ms > ACKNOWLEDGE_MS]
            self._end(now_ms, "slow" if slow else "")
        else:
            self.effects.append("alarm_on")

    def points_missing(self) -> list[str]:
        """From where the test alarm has still to be answered; nowhere while that is not the step at hand."""
        step = self._running("acknowledge")
        return [] if step is None else [name for name in self.points if name not in step.evidence["latency_ms"]]

    def interrupted(self, now_ms: int) -> None:
        """A real alarm has taken the test alarm's place: what was noticed since proves nothing."""
        if self._running("alarm") is not None or self._running("acknowledge") is not None:
            self._end(now_ms, "real_alarm")

    # -- time --------------------------------------------------------------------------------------------------------

    def next_deadline_ms(self) -> int | None:
        """When `advance` may decide something."""
        step = self.step
        if step is None or step.state != "running":
            return None
        if step.name == "radio":
            return self.began_ms + RADIO_MS
        after_ms = {
            "empty": EMPTY_MS, "lie_down": LIE_DOWN_MS + LATE_MS, "rate": RATE_MS + LATE_MS, "roll": ROLL_MS,
            "get_up": GET_UP_MS + LATE_MS, "alarm": ALARM_MS, "acknowledge": ANSWER_MS,
        }[step.name]  # fmt: skip
        if step.name == "alarm" and "alarm_ended" in step.evidence:
            after_ms += ANSWER_MS
        return step.started_ms + after_ms + 1

    def advance(self, now_ms: int) -> None:
        """Decide what is due."""
        step = self.step
        if step is None or step.state != "running":
            return
        past_ms = now_ms - step.started_ms
        if step.name == "empty" and past_ms >= EMPTY_MS:
            step.evidence["empty_s"] = EMPTY_MS // 1000
            # A belt that says nothing is not an empty bed.
            silent = self._heard_ms is None or now_ms - self._heard_ms > EMPTY_MS // 2
            self._end(now_ms, "silent" if silent else "")
        elif step.name == "lie_down" and past_ms > LIE_DOWN_MS + LATE_MS:
            self._end(now_ms, "not_occupied")
        elif step.name == "rate" and past_ms > RATE_MS + LATE_MS:
            self._end(now_ms, "no_rate")
        elif step.name == "roll" and past_ms > ROLL_MS:
            self._end(now_ms, "no_answer")
        elif step.name == "get_up" and past_ms > GET_UP_MS + LATE_MS:
            self._end(now_ms, "not_absent")
        elif step.name == "alarm":
            self._judge_alarm(now_ms, step, past_ms)
        elif step.name == "acknowledge" and past_ms > ANSWER_MS:
            step.evidence["missing"] = self.points_missing()
            self._end(now_ms, "no_answer")
        elif step.name == "radio":
            self._judge_radio(now_ms, step)

    # -- the whole ---------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """For the page, the certificate and the store."""
        step = self.step
        return {
            "bed": self.bed, "finished": self.finished, "passed": self.passed,
            "step": None if step is None else step.name, "channels": list(self.channels),
            "points": list(self.points), "steps": [each.to_json() for each in self.steps],
        }  # fmt: skip

    # -- inside ------------------------------------------------------------------------------------------------------

    def _running(self, name: str) -> Step | None:
        step = self.step
        return step if step is not None and step.name == name and step.state == "running" else None

    def _lay_empty(self, now_ms: int, step: Step, occupancy: str) -> None:
        if occupancy == "empty":
            self._settled = True
        elif occupancy == "unclear" and not self._settled and now_ms - self._gone_ms <= SETTLE_MS:
            step.started_ms = now_ms  # a belt that was just plugged in: its minute begins when it has made up its mind
        else:
            step.evidence["seen"] = occupancy
            self._end(now_ms, "not_empty")

    def _rolled(self, now_ms: int, step: Step, occupancy: str, exits: int, moving: bool) -> None:
        if moving:
            if self._moved_ms is None or now_ms - self._moved_ms > BURST_GAP_MS:
                step.evidence["movements"] += 1
            self._moved_ms = now_ms
        before = step.evidence["exits_before"]
        if occupancy == "empty" or (before is not None and exits != before):
            self._end(now_ms, "exit")

    def _judge_alarm(self, now_ms: int, step: Step, past_ms: int) -> None:
        evidence = step.evidence
        if past_ms >= ALARM_MS and "alarm_ended" not in evidence:
            evidence["alarm_ended"] = True
            self.effects.append("alarm_off")
        missing = [name for name in self.channels if name not in evidence["confirmed"]]
        answered = not [name for name in missing if name not in evidence["not_heard"]]
        if "alarm_ended" not in evidence or (not answered and past_ms <= ALARM_MS + ANSWER_MS):
            return
        # A channel that somebody saw and heard worked, whatever it reported of itself; the error stays as evidence.
        if missing:
            evidence["missing"] = missing
        self._end(now_ms, "not_confirmed" if missing else "")

    def _judge_radio(self, now_ms: int, step: Step) -> None:
        if now_ms < self.began_ms + RADIO_MS:
            return
        from_ms = now_ms - RADIO_MS
        rssi = [value for at_ms, value in self._rssi if at_ms > from_ms]
        heard: dict[str, int] = {}
        for (kind, _), at_ms in self._reports.items():
            heard[kind] = heard.get(kind, 0) + (at_ms > from_ms)
        found = survey(rssi, max(heard.values(), default=0), RADIO_MS / 1000)
        step.evidence |= found.to_json()
        self._end(now_ms, "" if found.passed else found.verdict)

    def _end(self, now_ms: int, reason: str = "") -> None:
        step = self.step
        assert step is not None
        step.state, step.reason, step.ended_ms = "failed" if reason else "passed", reason, now_ms
        if step.name in ("alarm", "acknowledge"):
            self.effects.append("alarm_off")
        if not reason:
            self.at += 1
            self._start_by_itself(now_ms)

    def _start_by_itself(self, now_ms: int) -> None:
        """Lying still follows lying down, and the radio asks nothing of anybody."""
        step = self.step
        if step is not None and step.name in ("rate", "radio"):
            self.go(now_ms)


def result_state(test: Mapping[str, Any], utc_ms: int, who: str, belt: str) -> dict[str, Any]:
    """A finished test as it is kept and certified."""
    return {**test, "utc_ms": utc_ms, "who": who, "belt": belt}
