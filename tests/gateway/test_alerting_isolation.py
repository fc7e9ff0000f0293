"""alerting: eight alarms at once reach relay, light and page within 2 s although one channel hangs for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.bench_alerting import BEDS, ENDS, LIMIT_S, clock, measure


async def test_eight_alarms_at_once_reach_every_end_within_2_s_with_one_channel_hung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in clock().items():
        monkeypatch.setenv(name, value)
    took = await measure(tmp_path, rounds=2)
    for end in ENDS:
        assert len(took[end]) == 2 * BEDS
        assert max(took[end]) < LIMIT_S, end
