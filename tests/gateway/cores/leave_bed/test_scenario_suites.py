"""Every shipped scenario, and every example of the specification where it is at hand, is decided as expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cores.scenario import as_result, read_scenario, run_scenario

ROOT = Path(__file__).resolve().parents[4]
OWN = sorted((ROOT / "tests" / "scenarios" / "leave_bed").glob("*.json"))
SPECIFIED = sorted((ROOT.parent / "shared" / "scenarios" / "leave_bed").glob("*.json"))


@pytest.mark.parametrize("path", [*OWN, *SPECIFIED], ids=lambda path: path.stem)
def test_the_log_is_the_expected_one(path: Path) -> None:
    scenario = read_scenario(json.loads(path.read_text(encoding="utf-8")))
    result = as_result(scenario, run_scenario(scenario))
    assert result["log"] == list(scenario.expect or ())


def test_there_is_a_scenario_of_our_own_for_every_rule() -> None:
    named = {path.stem[4:6] for path in OWN if path.stem.startswith("rule")}
    assert named == {f"{number:02d}" for number in range(1, 24)}
