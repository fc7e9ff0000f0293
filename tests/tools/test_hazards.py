"""docs/hazards.md: each hazard has a rule and a test, and each test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/hazards.md").read_text("utf-8")
LINES = [line for line in TEXT.splitlines() if re.match(r"\| H\d+ ", line)]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES]
NAMED = sorted({name for row in ROWS for name in re.findall(r"`(tests/[^`]+)`", row[4])})


def test_hazards_are_numbered_without_a_hole() -> None:
    assert [row[0] for row in ROWS] == [f"H{number}" for number in range(1, len(ROWS) + 1)]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_hazard_has_a_severity_a_rule_and_a_test(row: list[str]) -> None:
    assert len(row) == 5
    assert row[2] in ("S1", "S2", "S3")
    assert len(row[3]) > 20
    assert "`tests/" in row[4]


@pytest.mark.parametrize("name", NAMED)
def test_each_test_it_names_exists_and_runs(name: str) -> None:
    file, _, function = name.partition("::")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
             and node.name == function]  # fmt: skip
    assert found, f"{name}: no such test"
    decorators = ast.unparse(ast.Module(body=list(found), type_ignores=[])).split("def ")[0]
    assert "skip" not in decorators
    assert "xfail" not in decorators


def test_the_two_recalls_are_there() -> None:
    assert "cancelled at the wall unit" in ROWS[0][1]
    assert "looks armed while it is silenced" in ROWS[1][1]
