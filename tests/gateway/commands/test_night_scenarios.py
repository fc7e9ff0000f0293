"""NIGHT_REPORT.md as cases: facts, and what the norm makes of them, worked out by hand; through `sleepbelt night`."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.night import main

FOLDER = Path(__file__).parents[2] / "scenarios" / "night"
CASES = sorted(FOLDER.glob("*.json"))
RUNS = {"minute_runs": ("minutes", "at", 60), "epoch_runs": ("epochs", "start", 30)}


def spelt_out(facts: dict[str, Any]) -> dict[str, Any]:
    """`minute_runs` and `epoch_runs` ({"start", "count", fields}) as the single items the command reads."""
    for runs, (name, key, step_s) in RUNS.items():
        for run in facts.pop(runs, []):
            start, count = datetime.fromisoformat(run.pop("start")), run.pop("count")
            facts.setdefault(name, []).extend(
                {key: (start + timedelta(seconds=step_s * i)).isoformat(), **run} for i in range(count)
            )
    return facts


@pytest.mark.parametrize("file", CASES, ids=[case.stem for case in CASES])
def test_a_night_as_the_norm_words_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = json.loads(file.read_text("utf-8"))
    expect = case["expect"]
    text = json.dumps(spelt_out(case["facts"])).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    code = main(["--facts", "-", "--json"])
    output = capsys.readouterr()
    if "error" in expect:
        assert (code, output.out) == (2, "")
        assert f"-: {expect['error']}: " in output.err
        return
    assert code == 0
    answer = json.loads(output.out)
    found = answer if "night" in expect else {**answer["night"], "night": answer["night"]}
    assert {name: found[name] for name in expect} == expect, case["why"]


def test_each_scenario_has_a_name_of_its_own() -> None:
    assert [json.loads(file.read_text("utf-8"))["id"] for file in CASES] == [file.stem for file in CASES]
