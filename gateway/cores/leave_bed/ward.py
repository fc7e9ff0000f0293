"""All beds of one gateway: hands facts to their bed, judges every bed, and what only all beds together can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.cores.effects import Effect
from gateway.cores.facts import Fact
from gateway.cores.leave_bed.clock import Now
from gateway.cores.leave_bed.view import BedView
from gateway.cores.profile import Profile


class Ward:
    """The rules of LEAVE_BED.md over all beds of one gateway."""

    def __init__(self, profiles: Mapping[str, Profile], timezone: str, now: Now) -> None:
        """`profiles` by bed. Every bed starts unheard and unknown (rule 21); each profile names its own time zone."""

    def handle(self, now: Now, *facts: Fact) -> list[Effect]:
        """Apply `facts`, which all became known at `now`, then judge that moment; deadlines before it are met first."""
        raise NotImplementedError

    def advance(self, now: Now) -> list[Effect]:
        """Decide everything that is due by `now`."""
        raise NotImplementedError

    def next_deadline_ms(self) -> int | None:
        """The earliest moment at which `advance` could decide something; None while nothing is waited for."""
        raise NotImplementedError

    def view(self, bed: str, now: Now) -> BedView:
        """What a page shows of `bed`."""
        raise NotImplementedError

    def profile(self, bed: str) -> Profile:
        """The settings in force."""
        raise NotImplementedError

    def bind(self, bed: str, profile: Profile, now: Now) -> None:
        """A new bed, or a new belt on an unbound bed: it starts unheard and unknown (rule 21)."""
        raise NotImplementedError

    def to_state(self) -> dict[str, Any]:
        """Everything the rules remember, JSON-able."""
        raise NotImplementedError

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Ward:
        """The ward exactly as it was; hand it `GatewayUp` if the process had stopped."""
        raise NotImplementedError
