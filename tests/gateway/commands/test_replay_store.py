"""`sleepbelt replay --from-store`: a stored night, by its own settings and by others, also beside a running gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.commands.replay import main
from gateway.cores.leave_bed import Now, Ward
from gateway.cores.profile import Profile
from tests.gateway.test_past_nights import ZONE, out_for_15_minutes


@pytest.fixture
def store(tmp_path: Path) -> Path:
    night = out_for_15_minutes(tmp_path / "data")
    ward = Ward({"A": Profile().merged({"allowed_s": 600})}, ZONE, Now(0, 0, True))
    night.writes.state = {"ward": ward.to_state()}
    night.kept()  # left open, as a running gateway holds it
    return tmp_path / "data"


def test_the_night_is_judged_by_the_settings_in_force(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from-store", "A", "2026-11-23", "--store", str(store), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert "02:10:00 alarm_raise medium" in result["log"]
    assert (result["ok"], result["heard_share"]) == (None, 0.417)


def test_another_profile_can_be_tried(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--from-store", "A", "2026-11-23", "--store", str(store), "--profile", "high-fall-risk", "--explain"]
    assert main(arguments) == 0
    assert "02:00:06 alarm_raise high" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--from-store", "B", "2026-11-23"], "'B'"),
        (["--from-store", "A", "yesterday"], "yesterday"),
        (["--from-store", "A", "2026-01-01"], "2026-01-01"),
        (["--from-store", "A", "2026-11-23", "--profile", "best"], "best"),
    ],
)
def test_what_cannot_be_replayed_is_named(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    assert main([*arguments, "--store", str(store)]) == 2
    assert named in capsys.readouterr().err


def test_a_folder_without_a_store_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from-store", "A", "2026-11-23", "--store", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--store", "x", "a.json"], ["a.json", "--from-store", "A", "2026-11-23"]])
def test_options_that_do_not_go_together_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
