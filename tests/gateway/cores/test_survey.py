"""survey: the verdict follows the walk test's limits, the advice follows the cause."""

from __future__ import annotations

import pytest

from gateway.cores.survey import survey


@pytest.mark.parametrize(("rssi", "heard", "neighbours", "verdict", "first"), [
    ([-60.0] * 50, 180, 0, "good", None),
    ([-78.0] * 50, 180, 0, "close", "door_closed"),
    ([-60.0] * 40 + [-89.0] * 10, 180, 0, "close", "door_closed"),
    ([-81.0] * 50, 180, 0, "weak", "move_gateway"),
    ([-81.0] * 50, 180, 2, "weak", "turn_belt"),
    ([-60.0] * 50, 170, 0, "lossy", "wifi"),
    ([], 0, 0, "silent", "power"),
    ([], 180, 0, "good", "strength_unknown"),
])  # fmt: skip
def test_verdict_and_first_advice(
    rssi: list[float], heard: int, neighbours: int, verdict: str, first: str | None
) -> None:
    result = survey(rssi, heard, 180, neighbours)
    assert (result.verdict, next(iter(result.advice), None)) == (verdict, first)
    assert result.passed == (verdict in ("good", "close"))


def test_the_limits_themselves_pass() -> None:
    assert survey([-80.0] * 9, 171, 180).passed
    assert not survey([-80.5] * 9, 171, 180).passed
    assert not survey([-80.0] * 9, 170, 180).passed
