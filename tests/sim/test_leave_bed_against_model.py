"""Random nights through the product and through the naive model of LEAVE_BED.md: both must write the same log.

SLEEPBELT_HISTORIES sets how many (default 150); SLEEPBELT_FIRST_HISTORY sets the first seed, to look for new ones.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.cores.scenario import as_result, read_scenario, run_scenario

from .histories import WATCH, history
from .leave_bed_model import model_log
from .shrink import shrink

HISTORIES = int(os.environ.get("SLEEPBELT_HISTORIES", "150"))
FIRST = int(os.environ.get("SLEEPBELT_FIRST_HISTORY", "0"))
BATCH = 25
EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "scenarios" / "leave_bed"
SHIPPED = Path(__file__).resolve().parents[1] / "scenarios" / "leave_bed"


def product_log(scenario: dict[str, Any]) -> list[str]:
    parsed = read_scenario(scenario)
    log: list[str] = as_result(parsed, run_scenario(parsed))["log"]
    return log


def comparable(log: list[str]) -> tuple[list[str], list[str]]:
    """`exit` and `return` apart: the text fixes no order between them and the alarm lines of their second."""
    apart = [line for line in log if line.split()[1].split(".")[-1] in ("exit", "return")]
    return [line for line in log if line not in apart], apart


def differs(scenario: dict[str, Any]) -> bool:
    return comparable(product_log(scenario)) != comparable(model_log(scenario))


def explanation(scenario: dict[str, Any]) -> str:
    """The disagreement made small, as a scenario file and both logs."""
    small = shrink(scenario, differs)
    expected = json.dumps({**small, "expect": model_log(small)}, indent=1)
    decided = json.dumps(product_log(small), indent=1)
    return f"{small['id']}: the model expects\n{expected}\nbut the product decides\n{decided}"


@pytest.mark.parametrize("first", range(FIRST, FIRST + HISTORIES, BATCH))
def test_product_and_model_agree_on_random_nights(first: int) -> None:
    for seed in range(first, min(first + BATCH, FIRST + HISTORIES)):
        scenario = history(seed)
        if differs(scenario):
            pytest.fail(explanation(scenario))


def test_model_passes_every_example_of_the_specification() -> None:
    files = [*sorted(SHIPPED.glob("*.json")), *sorted(EXAMPLES.glob("*.json"))]
    assert files
    for path in files:
        scenario = json.loads(path.read_text(encoding="utf-8"))
        assert model_log(scenario) == scenario["expect"], scenario["title"]


def test_a_seed_always_makes_the_same_night() -> None:
    assert history(7) == history(7)


def test_random_nights_reach_every_kind_of_event_and_line() -> None:
    nights = [history(seed) for seed in range(60)]
    events = Counter(event["event"] for night in nights for event in night["events"])
    lines = Counter(line.split()[1].split(".")[-1] for night in nights for line in model_log(night))
    assert len(events) == 18
    assert set(lines) == set(WATCH)
