"""The slot that starts: the one in use, or the other when a trial was not confirmed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmware_py.boot.boot import choose, is_in_service
from tests.interpreters import run_unix


def _start(root: Path) -> str:
    return choose(str(root))[-1]


def test_a_new_belt_starts_slot_a(tmp_path: Path) -> None:
    assert _start(tmp_path) == "a"


def test_the_slot_in_use_is_started_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "slot").write_text("b")
    assert [_start(tmp_path) for _ in range(3)] == ["b", "b", "b"]


def test_a_trial_that_is_not_confirmed_is_reverted_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "slot").write_text("b")
    (tmp_path / "trial").write_text("b0")
    assert [_start(tmp_path) for _ in range(3)] == ["b", "a", "a"]


def test_a_trial_that_cannot_be_noted_waits_and_one_that_cannot_be_ended_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slot").write_text("b")
    (tmp_path / "trial").write_text("b0")

    def refuse(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(os, "remove", refuse)
    assert [_start(tmp_path) for _ in range(2)] == ["a", "a"]
    (tmp_path / "trial").write_text("b1")
    with pytest.raises(OSError, match="no space"):
        _start(tmp_path)
    monkeypatch.undo()
    assert _start(tmp_path) == "a"
    (tmp_path / "slot").write_text("b")
    (tmp_path / "trial").write_text("b0")
    assert _start(tmp_path) == "b", "what could not be noted is still to come"


def test_a_confirmed_trial_stays(tmp_path: Path) -> None:
    (tmp_path / "slot").write_text("b")
    (tmp_path / "trial").write_text("b0")
    _start(tmp_path)
    (tmp_path / "trial").unlink()
    assert _start(tmp_path) == "b"


def test_a_torn_slot_file_still_starts_something(tmp_path: Path) -> None:
    (tmp_path / "slot").write_text("\x00")
    assert _start(tmp_path) == "a"


def test_a_power_cut_in_the_middle_of_a_revert_does_not_bring_the_bad_slot_back(tmp_path: Path) -> None:
    (tmp_path / "slot").write_text("a")  # already switched back ...
    (tmp_path / "trial").write_text("b1")  # ... but the trial was not yet forgotten
    assert [_start(tmp_path) for _ in range(2)] == ["a", "a"]


def test_a_power_cut_before_an_update_switches_leaves_the_old_slot(tmp_path: Path) -> None:
    (tmp_path / "trial").write_text("b0")  # the update had not yet named slot b
    assert [_start(tmp_path) for _ in range(2)] == ["a", "a"]


def test_a_belt_in_service_starts_nothing(tmp_path: Path) -> None:
    assert not is_in_service(str(tmp_path))
    (tmp_path / "service").touch()
    assert is_in_service(str(tmp_path))


def test_a_picos_file_system_and_ring_live_beside_the_one_that_the_interpreter_mounts() -> None:
    assert run_unix(Path(__file__).parent / "check_outer.py").split() == ["started", "50"]
