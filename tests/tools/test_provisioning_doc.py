"""docs/provisioning.md: each test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = sorted(set(re.findall(r"`(tests/[^`:]+::\w+)`", (ROOT / "docs/provisioning.md").read_text("utf-8"))))


def test_every_clause_has_its_tests() -> None:
    assert len(NAMED) > 25


@pytest.mark.parametrize("name", NAMED)
def test_each_test_it_names_exists(name: str) -> None:
    file, _, function = name.partition("::")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert function in names
