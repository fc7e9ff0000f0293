"""Every kind of process fault at least once, under a seed: nothing lost, nothing doubled, nothing missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.soak_faults import FAULTS, SERVER_FAULTS, is_clean, soak


@pytest.mark.parametrize("on_server", [True, False], ids=["postgresql", "sqlite"])
def test_every_kind_of_fault_loses_and_doubles_nothing(tmp_path: Path, on_server: bool) -> None:
    kinds = (*FAULTS, *SERVER_FAULTS) if on_server else FAULTS
    found = soak(len(kinds) + 2, 4, tmp_path, on_server)
    assert is_clean(found), found
    assert all(found["faults"][fault] for fault in kinds), found
    assert found["repeated"] > 0
