"""Deadlines of simulated nights, as `make soak` counts them by the thousand."""

from __future__ import annotations

from tools.soak_nights import ERROR_MS_MAX, Findings, play


def test_no_alarm_of_sixty_random_nights_is_early_late_lost_or_not_due() -> None:
    findings = Findings()
    for seed in range(60):
        play(seed, findings)
    assert findings.wrong() == []
    assert len(findings.errors_ms) > 100
    assert 0 <= min(findings.errors_ms) <= max(findings.errors_ms) <= ERROR_MS_MAX
