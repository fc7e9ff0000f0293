"""The signal path on recordings of real beds, with loose floors; skipped where the recordings are not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.firmware_py.belt.signals import report

BEDS = Path(__file__).parents[4] / "shared" / "data" / "bed_bcg_226hz_dev.npz"
pytestmark = pytest.mark.skipif(not BEDS.exists(), reason="the recordings in ../shared/data are not here")


def test_rates_on_real_beds_agree_with_the_offline_trackers() -> None:
    data = np.load(BEDS, allow_pickle=False)
    reference = (data["hr_reference_a_bpm"] + data["hr_reference_b_bpm"]) / 2
    usable = data["still"] & data["references_agree"]
    errors, windows = [], 0
    for k in (0, 3, 5, 9):
        rows = report(data["samples"][k], int(data["sample_rate_hz"]))
        for j, time_s in enumerate(data["reference_time_s"]):
            if 30 <= time_s <= len(rows) - 5 and usable[k][j]:
                windows += 1
                value = rows[int(time_s) + 4][2]  # a rate at time_s + 5 describes time_s
                errors += [value / 10 - reference[k][j]] if value >= 0 else []
    assert len(errors) > 0.85 * windows
    assert np.abs(errors).mean() < 0.8


def test_the_real_empty_bed_has_no_vitals_and_is_empty() -> None:
    data = np.load(BEDS, allow_pickle=False)
    (k,) = np.flatnonzero(data["segment_ids"] == "Subject51_1534797207")
    rows = report(data["samples"][k], int(data["sample_rate_hz"]))
    assert all(row[2] < 0 and row[5] < 0 for row in rows)
    assert all(row[0] == 0 for row in rows[30:])
