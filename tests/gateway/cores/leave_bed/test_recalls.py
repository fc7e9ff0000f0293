"""Two recalls of bed-exit alarms by others, as tests of ours (docs/hazards.md, H1 and H2).

One cancelled at the wall unit never fired again. Another showed its armed light while it was silenced.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cores import facts
from gateway.cores.profile import Profile, Window
from tests.gateway.cores.leave_bed.nights import do, empty, occupied, only
from tests.gateway.cores.leave_bed.test_views import LEFT, MINUTE, after, in_bed

ALWAYS = Profile(windows=(Window(all_day=True),))


def clock(minutes: int) -> str:
    return f"{22 + minutes // 60:02d}:{minutes % 60:02d}:00"


def test_cancelled_at_the_wall_unit_it_fires_again_while_the_resident_is_still_out() -> None:
    events = empty("22:00:00"), do("22:21:00", "wall_cancel")
    said = only("alarm_raise ack realarm audio_on audio_off", *events, end="22:40:00")
    assert said == ["22:20:00 alarm_raise medium", "22:20:00 audio_on", "22:21:00 ack", "22:21:00 audio_off",
                    "22:31:00 realarm L2", "22:31:00 audio_on"]  # fmt: skip


def test_cancelled_again_and_again_it_fires_again_and_again() -> None:
    cancels = [do(clock(21 + 11 * count), "wall_cancel") for count in range(5)]
    said = only("realarm", empty("22:00:00"), *cancels, end="23:59:00", profile={"windows": [{"all_day": True}]})
    assert len(said) == 5


def test_cancelled_at_the_wall_unit_the_next_absence_alarms_like_the_first() -> None:
    nights = [empty("22:00:00"), do("22:20:30", "wall_cancel"), occupied("22:22:00"), empty("22:30:00")]
    said = only("alarm_raise", *nights, end="22:55:00")
    assert said == ["22:20:00 alarm_raise medium", "22:50:00 alarm_raise medium"]


def test_a_press_before_the_alarm_cancels_nothing_that_comes_after_it() -> None:
    events = empty("22:00:00"), do("22:19:59", "wall_cancel"), do("22:20:00", "wall_cancel")
    assert only("alarm_raise audio_on audio_off", *events, end="22:40:00") == [
        "22:20:00 alarm_raise medium", "22:20:00 audio_on"
    ]  # fmt: skip


@pytest.mark.parametrize("silencer", [facts.Assist, facts.MaintenanceOn, facts.AwayOn])
@pytest.mark.parametrize("first", [[], [LEFT]])
def test_what_holds_alarms_back_is_never_shown_as_watching(silencer: Any, first: list[Any]) -> None:
    view = after(in_bed(), *first, (60_000, silencer("A")), look_ms=61_000)
    assert (view.watched, view.mode != "active") == (False, True)
    assert view.not_watched_reason


def test_a_silent_belt_and_a_switched_off_rule_are_not_shown_as_watching() -> None:
    off = (0, facts.Configure("A", {"windows": []}))
    assert after(in_bed(), off, look_ms=1_000).not_watched_reason == "rule_off"
    assert after(in_bed(), (0, facts.LinkDown("A")), look_ms=1_000).not_watched_reason == "silent"


@given(
    st.lists(
        st.tuples(st.integers(0, 90 * 60), st.sampled_from([facts.Acknowledge, facts.Assist, facts.MaintenanceOn,
                                                            facts.MaintenanceOff, facts.AwayOn, facts.AwayOff])),
        max_size=6,
    )
)  # fmt: skip
def test_whoever_silences_what_and_when_a_long_absence_alarms_or_shows_that_it_is_not_watched(
    pressed: list[tuple[int, Any]],
) -> None:
    """Hours out of bed, looking armed, and no alarm: what the second recall was."""
    happened = sorted(((second * 1000, fact("A")) for second, fact in pressed), key=lambda pair: pair[0])
    view = after(in_bed(ALWAYS), LEFT, *happened, look_ms=180 * MINUTE)
    assert view.alarm != "none" or (not view.watched and view.not_watched_reason)
