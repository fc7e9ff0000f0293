"""One bed at the moment that is being judged: its state, its profile, the two clocks and the log of what is decided."""

from __future__ import annotations

from gateway.cores.effects import NOTICE, NOTICE_CLEAR, Effect
from gateway.cores.leave_bed.state import SUSPENDED_MODES, BedState
from gateway.cores.profile import Profile
from gateway.cores.windows import covering, upcoming


def to_ms(seconds: float) -> int:
    return round(seconds * 1000)


class Bed:
    """What every rule works on. The ward sets the clocks before it applies a fact or judges a moment."""

    __slots__ = (
        "boot_ms", "due_ms", "effects", "facility_zone", "is_due_known", "is_open", "name", "now_ms", "offset_ms",
        "profile", "state", "trusted",
    )  # fmt: skip

    def __init__(self, name: str, profile: Profile, facility_zone: str, state: BedState) -> None:
        self.name = name
        self.facility_zone = facility_zone
        self.profile = profile
        self.state = state
        self.now_ms = 0
        self.offset_ms = 0
        self.trusted = True
        self.boot_ms: int | None = None
        self.effects: list[Effect] = []
        self.is_open = True
        """Something about it changed since it was judged."""
        self.is_due_known = False
        self.due_ms: int | None = None
        """If that is known and it is not open: when a judgement could decide something next, None for never."""

    def log(self, event: str, detail: str = "", *, rule: str, reason: str = "") -> None:
        self.effects.append(Effect(self.now_ms, self.name, event, detail, rule, reason))

    def raise_notice(self, code: str, *, rule: str, reason: str = "") -> None:
        """A notice that lasts until it is cleared; raised once."""
        if code not in self.state.notices:
            self.state.notices.append(code)
            self.log(NOTICE, code, rule=rule, reason=reason)

    def clear_notice(self, code: str, *, rule: str) -> None:
        if code in self.state.notices:
            self.state.notices.remove(code)
            self.log(NOTICE_CLEAR, code, rule=rule)

    def later_of(self, one_ms: int | None, other_ms: int | None) -> int:
        """The later of two instants, of which either may not have come; now if neither has."""
        return max((at_ms for at_ms in (one_ms, other_ms) if at_ms is not None), default=self.now_ms)

    def utc_ms(self, at_ms: int) -> int:
        return at_ms + self.offset_ms

    @property
    def zone(self) -> str:
        """The time zone this bed's windows are written in."""
        return self.profile.timezone or self.facility_zone

    @property
    def suspended(self) -> bool:
        """Maintenance or away: no resident rule applies."""
        return self.state.mode in SUSPENDED_MODES

    def window_open(self, at_ms: int) -> bool:
        """Rule 18: without trusted time every window counts as open."""
        windows = self.profile.windows
        if not self.trusted:
            return bool(windows)
        return covering(windows, self.zone, self.utc_ms(at_ms)) is not None

    def next_opening_ms(self) -> int | None:
        """When the next window opens, on the elapsed clock as the wall clock goes now."""
        opening = upcoming(self.profile.windows, self.zone, self.utc_ms(self.now_ms))
        return None if opening is None else opening.start_utc_ms - self.offset_ms
