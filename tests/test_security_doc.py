"""docs/security.md: every test that it names as proof exists."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "security.md"


def test_each_threat_names_a_test_that_exists() -> None:
    named = set(re.findall(r"test_[a-z0-9_]+", DOCUMENT.read_text("utf-8")))
    files = list(TESTS.rglob("test_*.py"))
    there = {file.stem for file in files}
    for file in files:
        there |= set(re.findall(r"def (test_[a-z0-9_]+)", file.read_text("utf-8")))
    assert len(named) > 8
    assert named <= there, f"no such test: {sorted(named - there)}"
