"""Which installed version of the gateway starts, when it may be changed, and whether a new one has proved itself.

The packaged version lies in one place that updates never touch; each update has a folder ("slot") of its own, so that
going back is a matter of starting another folder. A new version is on trial for a few starts: a crash, a hang, a power
cut or a worse gateway than before ends the trial, and the version before it starts again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from protocol.phrase import Phrase

__all__ = [
    "PACKAGED",
    "TRIAL_STARTS",
    "Running",
    "Slots",
    "SlotsError",
    "begin_trial",
    "choose",
    "commit",
    "may_update",
    "newer",
    "packaged",
    "proved",
    "roll_back",
]

PACKAGED = ""
"""The slot that the package manager owns."""
TRIAL_STARTS = 2
"""Starts of a version on trial: the first, and one after a power cut in the middle of it."""
FAILED_MAX = 20
FRESH_MS = 20_000
"""A word of the gateway's health older than this is none: it is written every 5 s."""
SETTLE_MS = 60_000
"""How long a version on trial has to run well: every part of the alarm path takes a turn each second."""
TRIAL_MS = 300_000
"""A version that has not run well for SETTLE_MS by then has failed."""

_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")


class SlotsError(ValueError):
    """The update cannot be taken; the message says why."""


@dataclass(frozen=True, slots=True)
class Slots:
    """`current` starts unless `trial` has starts left; `failed` are not tried again."""

    current: str = PACKAGED
    trial: str | None = None
    starts_left: int = 0
    failed: tuple[str, ...] = ()

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Slots:
        """What `to_state` wrote; ValueError, KeyError or TypeError for anything else."""
        trial = state["trial"]
        slots = cls(str(state["current"]), None if trial is None else str(trial), int(state["starts_left"]),
                    tuple(str(version) for version in state["failed"]))  # fmt: skip
        for version in (slots.current, slots.trial or PACKAGED):
            if version != PACKAGED:
                _numbers(version)
        return slots

    def to_state(self) -> dict[str, Any]:
        return {"current": self.current, "trial": self.trial, "starts_left": self.starts_left, "failed": self.failed}


@dataclass(frozen=True, slots=True)
class Running:
    """What a running gateway says of itself: version, state of its health, how old that word is, beds that are open."""

    version: str
    state: str
    reasons: tuple[str, ...]
    age_ms: int
    open_beds: tuple[str, ...]


def newer(version: str, than: str) -> bool:
    """Whether `version` comes after `than`; SlotsError for a version that is no row of numbers."""
    return _numbers(version) > _numbers(than)


def may_update(running: Running | None) -> tuple[str, ...]:
    """Why this is no moment to change the version; empty: go ahead. A gateway that does not run watches nobody."""
    if running is None or running.age_ms > FRESH_MS:
        return ()
    return tuple(Phrase("bed {bed} has an alarm or an absence open", bed=bed) for bed in running.open_beds)


def begin_trial(slots: Slots, version: str, running_version: str) -> Slots:
    """The staged `version` starts next; SlotsError if it must not."""
    if slots.trial is not None:
        raise SlotsError(Phrase("version {trial} is on trial; wait for its end", trial=slots.trial))
    if version in slots.failed:
        raise SlotsError(
            Phrase("version {version} was tried and did not work; build one with another number", version=version)
        )
    if not newer(version, running_version):
        raise SlotsError(
            Phrase(
                "version {version} is not newer than {running_version}, which runs; rollback goes back",
                version=version,
                running_version=running_version,
            )
        )
    return replace(slots, trial=version, starts_left=TRIAL_STARTS)


def choose(slots: Slots) -> tuple[Slots, str]:
    """At a start of the gateway: the slot to start, and the state to keep before it starts."""
    if slots.trial is None:
        return slots, slots.current
    if slots.starts_left <= 0:
        after = roll_back(slots)
        return after, after.current
    return replace(slots, starts_left=slots.starts_left - 1), slots.trial


def commit(slots: Slots) -> Slots:
    """The version on trial has proved itself."""
    assert slots.trial is not None
    return replace(slots, current=slots.trial, trial=None, starts_left=0)


def roll_back(slots: Slots) -> Slots:
    """The version on trial has failed, or without a trial the current one is given up for the packaged one."""
    given_up = slots.trial if slots.trial is not None else slots.current
    failed = tuple(dict.fromkeys([*slots.failed, given_up]))[-FAILED_MAX:] if given_up != PACKAGED else slots.failed
    current = slots.current if slots.trial is not None else PACKAGED
    return Slots(current, None, 0, failed)


def packaged(slots: Slots, version: str) -> Slots:
    """The package manager has installed `version`: it takes over from slots that are not newer, and ends a trial."""
    ended = replace(slots, trial=None, starts_left=0)
    if ended.current != PACKAGED and not newer(ended.current, version):
        return replace(ended, current=PACKAGED)
    return ended


def proved(
    version: str, before: Running | None, now: Running | None, well_since_ms: int | None, began_ms: int, now_ms: int
) -> tuple[Literal["wait", "commit", "roll_back"], int | None]:
    """The verdict on a trial that began at `began_ms`, and since when it runs well; asked once a second.

    It must be no worse than `before`: no reason in its health that was not there. One that started for the first time
    has nothing to be compared with, and must be well.
    """
    if _is_well(version, before, now):
        since_ms = now_ms if well_since_ms is None else well_since_ms
        return ("commit" if now_ms - since_ms >= SETTLE_MS else "wait"), since_ms
    if now_ms - began_ms >= TRIAL_MS:
        return "roll_back", None
    return "wait", None


def _is_well(version: str, before: Running | None, now: Running | None) -> bool:
    if now is None or now.age_ms > FRESH_MS or now.version != version or now.state == "dead":
        return False
    if now.state == "ok":
        return True
    return before is not None and now.state == "degraded" and set(now.reasons) <= set(before.reasons)


def _numbers(version: str) -> tuple[int, ...]:
    if not _VERSION.fullmatch(version):
        raise SlotsError(Phrase("{version} is no version such as 1.4.2", version=repr(version)))
    numbers = [int(part) for part in version.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
