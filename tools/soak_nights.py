"""Random nights of one bed: how far each alarm is from the instant at which it was due, and whether one was lost.

    python -m tools.soak_nights --nights 10000 [--seed 1]

What is due is worked out from the night's script alone (leaving + allowance, or the window's start + allowance), apart
from the rules. The ward is asked as the gateway asks it: late by up to the quarter of a second of its deadline loop,
stored and restored now and then, its wall clock set, its belt silent. Prints the rows name, value, unit, limit, ratio
as a JSON list; exit code 1 if an alarm was early, late, lost or not due.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.cores import facts
from gateway.cores.effects import ALARM_RAISE, Effect
from gateway.cores.leave_bed import Now, Ward
from gateway.cores.profile import Profile, Window
from gateway.deadlines import ADVANCE_S_MAX
from tools.bench_rows import print_rows, row

EVENING_UTC_MS = 1_795_438_800_000  # 2026-11-23 21:00 in Shanghai; the window opens an hour later
OPENS_MS = 3_600_000
NIGHT_MS = 10 * 3_600_000
ERROR_MS_MAX = 1000
RECOGNISED_MS_MAX = 8000
"""A belt says that the bed is empty up to this long after it was left, and since when."""


@dataclass
class Findings:
    """What the nights showed; all but `nights`, `absences` and `errors_ms` must stay empty."""

    nights: int = 0
    absences: int = 0
    errors_ms: list[int] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    not_due: list[str] = field(default_factory=list)

    def wrong(self) -> list[str]:
        return [*self.early, *self.late, *self.lost, *self.not_due]


@dataclass(frozen=True, slots=True)
class Absence:
    """The resident leaves at `left_ms` for `out_ms`; the belt tells each change `recognised_ms` later."""

    left_ms: int
    out_ms: int
    recognised_ms: int
    meanwhile: str
    """silent (until the return) / clock_set / process_replaced / nothing."""

    @property
    def told_ms(self) -> int:
        return self.left_ms + self.recognised_ms

    @property
    def back_ms(self) -> int:
        return self.left_ms + self.out_ms

    @property
    def told_back_ms(self) -> int:
        """When the gateway can know of the return."""
        return self.back_ms if self.meanwhile == "silent" else self.back_ms + self.recognised_ms

    def due_ms(self, allowed_ms: int, confirm_ms: int) -> int | None:
        """When the alarm is due; None if the return is known before."""
        base_ms = max(self.left_ms, OPENS_MS)
        due_ms = max(base_ms + allowed_ms, self.left_ms + max(confirm_ms, self.recognised_ms))
        return due_ms if due_ms < self.told_back_ms else None


class Gateway:
    """The ward behind a loop that is up to a quarter of a second late, on a wall clock that people set."""

    def __init__(self, rng: random.Random, profile: Profile) -> None:
        self._rng = rng
        self._step_ms = 0
        self.raised_ms: list[int] = []
        self._ward = Ward({"A": profile}, "Asia/Shanghai", self._now(0))
        self._ward.assume("A", facts.OCCUPIED, 7200)
        self._take(0, self._ward.advance(self._now(0)))

    def _now(self, at_ms: int) -> Now:
        return Now(at_ms, EVENING_UTC_MS + at_ms + self._step_ms)

    def run_until(self, until_ms: int) -> None:
        """Meet every deadline before `until_ms`, each a little late."""
        while (due_ms := self._ward.next_deadline_ms()) is not None and due_ms < until_ms:
            at_ms = min(until_ms, due_ms + self._rng.randrange(round(ADVANCE_S_MAX * 1000)))
            self._take(at_ms, self._ward.advance(self._now(at_ms)))

    def hand(self, at_ms: int, *happened: facts.Fact) -> None:
        self.run_until(at_ms)
        self._take(at_ms, self._ward.handle(self._now(at_ms), *happened))

    def set_wall_clock(self, at_ms: int, by_ms: int) -> None:
        self.run_until(at_ms)
        self._step_ms += by_ms
        self._take(at_ms, self._ward.advance(self._now(at_ms)))

    def replace_process(self) -> None:
        """What the store kept is all that is left."""
        self._ward = Ward.from_state(json.loads(json.dumps(self._ward.to_state())))

    def _take(self, at_ms: int, effects: Sequence[Effect]) -> None:
        # The moment at which the shell is told counts, not the moment that stands in the effect.
        self.raised_ms += [at_ms for effect in effects if effect.event == ALARM_RAISE]


def absences(rng: random.Random, allowed_ms: int) -> Iterator[Absence]:
    """Absences of one night, each long enough after the last that the bed is armed again."""
    at_ms = rng.randrange(600_000, 4_000_000)
    while at_ms < NIGHT_MS - 4_000_000:
        near_ms = allowed_ms + rng.choice((-60_000, -15_000, 15_000, 60_000)) + rng.randrange(5_000)
        out_ms = max(20_000, rng.choice((near_ms, near_ms, rng.randrange(30_000, 3_600_000))))
        meanwhile = rng.choice(("silent", "clock_set", "process_replaced", "nothing", "nothing"))
        yield Absence(at_ms, out_ms, rng.randrange(1000, RECOGNISED_MS_MAX), meanwhile)
        at_ms += out_ms + rng.randrange(120_000, 7_200_000)


def play(seed: int, findings: Findings) -> None:
    """One night under its own seed."""
    rng = random.Random(seed)
    allowed_ms = rng.choice((0, 60, 300, 600, 1200, 2400)) * 1000
    confirm_ms = rng.choice((3000, 5000))
    window = Window(allowed_s=allowed_ms / 1000)
    profile = Profile(windows=(window,), exit_confirm_s=confirm_ms / 1000, latch=rng.choice(("visual", "none")))
    gateway = Gateway(rng, profile)
    due_ms: list[int] = []
    for absence in absences(rng, allowed_ms):
        findings.absences += 1
        due = absence.due_ms(allowed_ms, confirm_ms)
        due_ms += [] if due is None else [due]
        _leave_and_return(rng, gateway, absence)
    gateway.run_until(NIGHT_MS)
    findings.nights += 1
    _compare(seed, due_ms, gateway.raised_ms, findings)


def _leave_and_return(rng: random.Random, gateway: Gateway, absence: Absence) -> None:
    """Tell the gateway of the absence and of its end, and do in between what happens meanwhile."""
    age_s = absence.recognised_ms / 1000
    gateway.hand(absence.told_ms, facts.Occupancy("A", facts.EMPTY, age_s))
    confirmed_ms = absence.left_ms + RECOGNISED_MS_MAX
    meanwhile_ms = rng.randrange(confirmed_ms, absence.back_ms)
    if absence.meanwhile == "silent":
        gateway.hand(meanwhile_ms, facts.LinkDown("A"))
        gateway.hand(absence.back_ms, facts.LinkUp("A", facts.OCCUPIED, 0))
        return
    if absence.meanwhile == "clock_set":
        by_ms = rng.choice((-7_200_000, -61_000, 61_000, 7_200_000))
        gateway.set_wall_clock(meanwhile_ms, by_ms)
        gateway.set_wall_clock(absence.back_ms, -by_ms)
    elif absence.meanwhile == "process_replaced":
        gateway.run_until(meanwhile_ms)
        gateway.replace_process()
    gateway.hand(absence.told_back_ms, facts.Occupancy("A", facts.OCCUPIED, age_s))


def _compare(seed: int, due_ms: Sequence[int], raised_ms: Sequence[int], findings: Findings) -> None:
    """Match each alarm with what was due."""
    waiting = list(due_ms)
    for at_ms in raised_ms:
        due = next((one for one in waiting if abs(at_ms - one) <= 60_000), None)
        if due is None:
            findings.not_due.append(f"seed {seed}: alarm at {at_ms} ms")
            continue
        waiting.remove(due)
        findings.errors_ms.append(at_ms - due)
        if at_ms < due:
            findings.early.append(f"seed {seed}: due {due} ms, raised {due - at_ms} ms before")
        elif at_ms - due > ERROR_MS_MAX:
            findings.late.append(f"seed {seed}: due {due} ms, raised {at_ms - due} ms after")
    findings.lost += [f"seed {seed}: due {one} ms, never raised" for one in waiting]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak_nights", description=__doc__.split("\n", 1)[0],
                                     epilog="Example: python -m tools.soak_nights --nights 10000")  # fmt: skip
    parser.add_argument("--nights", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(argv)
    if asked.nights < 1:
        parser.error("--nights: must be at least 1")
    findings = Findings()
    started = time.monotonic()
    for number in range(asked.nights):
        play(asked.seed * 1_000_000 + number, findings)
    for wrong in findings.wrong()[:20]:
        print(wrong, file=sys.stderr)
    errors = findings.errors_ms or [0]
    print_rows([
        row("soak.nights", findings.nights, "count"),
        row("soak.nights.absences", findings.absences, "count"),
        row("soak.nights.alarms", len(findings.errors_ms), "count"),
        row("soak.nights.deadline_error_max", max(errors), "ms", ERROR_MS_MAX, source="never early, at most 1 s late"),
        row("soak.nights.deadline_error_mean", sum(errors) / len(errors), "ms"),
        row("soak.nights.early", len(findings.early), "count"),
        row("soak.nights.late", len(findings.late), "count"),
        row("soak.nights.lost", len(findings.lost), "count"),
        row("soak.nights.not_due", len(findings.not_due), "count"),
        row("soak.nights.run_time", time.monotonic() - started, "s"),
    ])  # fmt: skip
    return 1 if findings.wrong() else 0


if __name__ == "__main__":
    sys.exit(main())
