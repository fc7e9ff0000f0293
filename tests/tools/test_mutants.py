"""What the mutation run changes, and what it refuses."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools.mutants import find_mutants
from tools.mutation import SURVIVORS, accepted_survivors

SOURCE = '''\
"""Text stays."""

LIMIT = 5


def over(value: int, limits: list[int]) -> bool:
    """Text stays."""
    if value < LIMIT and limits:
        limits.append(value)
    return max(limits) >= value + 1
'''


def mutants_of(folder: Path, source: str) -> list[tuple[str, str]]:
    """(key, changed source) of every mutant."""
    path = folder / "core.py"
    path.write_text(source)
    changed = []
    for number in range(len(find_mutants(path)[1])):
        tree, mutants = find_mutants(path)
        mutants[number].apply()
        changed.append((mutants[number].key, ast.unparse(tree)))
    return changed


def test_conditions_constants_arithmetic_and_statements_are_changed(tmp_path: Path) -> None:
    keys = [key for key, _ in mutants_of(tmp_path, SOURCE)]
    for wanted in (
        "core.py module: 5 -> 6",
        "core.py over: value < LIMIT -> value <= LIMIT",
        "core.py over: value < LIMIT -> value >= LIMIT",
        "core.py over: value < LIMIT and limits -> value < LIMIT or limits",
        "core.py over: value < LIMIT and limits -> limits",
        "core.py over: limits.append(value) -> pass",
        "core.py over: return max(limits) >= value + 1 -> return None",
        "core.py over: max(limits) -> min(limits)",
        "core.py over: value + 1 -> value - 1",
    ):
        assert wanted in keys


def test_every_mutant_is_another_program_under_a_name_of_its_own(tmp_path: Path) -> None:
    changed = mutants_of(tmp_path, SOURCE)
    same = ast.unparse(ast.parse(SOURCE))
    assert all(source != same and compile(source, "core.py", "exec") for _, source in changed)
    assert len({key for key, _ in changed}) == len(changed)


def test_a_survivor_is_accepted_for_a_written_reason_only(tmp_path: Path) -> None:
    file = tmp_path / "survivors.toml"
    file.write_text('[[survivors]]\nreason = " "\nmutants = ["core.py over: 1 -> 2"]\n')
    with pytest.raises(ValueError, match="reason"):
        accepted_survivors(file)
    assert all(len(reason) > 20 for reason in accepted_survivors(SURVIVORS).values())
