"""Every kind of process fault at least once, under a seed: nothing lost, nothing doubled, nothing missing."""

from __future__ import annotations

from pathlib import Path

from tools.soak_faults import FAULTS, is_clean, soak


def test_kills_stalls_restarts_and_repeated_batches_lose_and_double_nothing(tmp_path: Path) -> None:
    found = soak(8, 4, tmp_path)
    assert is_clean(found), found
    assert all(found["faults"][fault] for fault in FAULTS)
    assert found["repeated"] > 0
