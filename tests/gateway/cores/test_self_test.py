"""self_test: due by local day and hour, never at night or during an alarm; what is proven for 30 days."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.cores.leave_bed import Now
from gateway.cores.self_test import PROOF_MS, SelfTests

ZONE = "Asia/Shanghai"
DAY_MS = 86_400_000
NOON_UTC = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # noon in Shanghai
CHANNELS = {"relay": True, "light": True, "page": False}


def at(days: float = 0, hours: float = 0, *, trusted: bool = True) -> Now:
    """Local noon of day 0, and so much later."""
    later = timedelta(days=days, hours=hours)
    utc_ms = round((NOON_UTC + later).timestamp() * 1000)
    return Now(50 * DAY_MS + round(later.total_seconds() * 1000), utc_ms, trusted)


def planned(hour: int = 10, every_days: int = 7) -> SelfTests:
    return SelfTests(CHANNELS, hour, every_days, ZONE, at())


def test_a_channel_never_tested_is_due_when_the_hour_has_come() -> None:
    assert planned().due(at(), False) == ["relay", "light", "page"]
    assert planned(hour=13).due(at(), False) == []
    assert planned(hour=13).due(at(hours=1), False) == ["relay", "light", "page"]


@pytest.mark.parametrize(("hours", "daytime"), [(8.99, True), (9, False), (18.99, False), (19, True)])
def test_the_night_from_21_to_7_makes_no_sound(hours: float, daytime: bool) -> None:
    assert planned(hour=7).daytime(at(hours=hours)) is daytime
    assert bool(planned(hour=7).due(at(hours=hours), False)) is daytime


def test_without_trusted_time_nothing_is_due_because_it_may_be_night() -> None:
    assert planned().due(at(trusted=False), False) == []


def test_during_an_alarm_nothing_is_due() -> None:
    assert planned().due(at(), True) == []


def test_a_channel_that_passed_is_due_after_so_many_days_and_one_that_failed_the_next_day() -> None:
    core = planned()
    core.done(at(), "relay", "")
    core.done(at(), "light", "no such pin")
    assert core.due(at(hours=1), False) == ["page"]
    assert core.due(at(days=1), False) == ["light", "page"]
    assert "relay" not in core.due(at(days=6), False)
    assert "relay" in core.due(at(days=7, hours=-2), False)


def test_a_missed_hour_is_made_up_later_that_day() -> None:
    assert planned(hour=7).due(at(hours=8), False)


def test_a_pass_proves_for_thirty_days() -> None:
    core = planned()
    core.done(at(), "relay", "")
    passed = at()
    assert not core.untested(Now(passed.now_ms + PROOF_MS, 0, True))
    assert core.untested(Now(passed.now_ms + PROOF_MS + 1, 0, True))


def test_a_failure_later_does_not_take_the_proof_back_nor_renew_it() -> None:
    core = planned()
    core.done(at(), "relay", "")
    core.done(at(days=20), "relay", "stuck")
    assert not core.untested(at(days=29))
    assert core.untested(at(days=31))


def test_a_channel_that_needs_the_network_or_is_in_the_room_proves_nothing() -> None:
    core = planned()
    core.done(at(days=29), "page", "")
    assert core.untested(at(days=31))


def test_a_new_gateway_has_thirty_days_for_its_first_proof() -> None:
    assert not planned().untested(at(days=30))
    assert planned().untested(at(days=30.1))


def test_a_restart_continues_exactly() -> None:
    core = planned()
    core.done(at(), "relay", "")
    core.done(at(days=1), "light", "no such pin")
    state = json.loads(json.dumps(core.to_state()))
    again = SelfTests(CHANNELS, 10, 7, ZONE, at(days=2), state)
    assert again.results == core.results
    assert [again.untested(at(days=day)) for day in (29, 31)] == [False, True]
    assert again.to_state() == core.to_state()


def test_a_channel_no_longer_configured_proves_nothing_and_is_forgotten() -> None:
    core = planned()
    core.done(at(), "relay", "")
    again = SelfTests({"light": True}, 10, 7, ZONE, at(days=1), core.to_state())
    assert again.untested(at(days=31))
    assert again.to_state()["results"] == {}
