"""`sleepbelt hil`: ready line, summary, compressed time, and errors that say what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hil.commands.hil import SUMMARY, main
from hil.fleet import records_on

RUN = "import sys; from hil.commands.hil import main; sys.exit(main(sys.argv[1:]))"
ROOT = Path(__file__).parents[2]


def _start(*arguments: str, clock: str | None = None) -> subprocess.Popen[str]:
    environment = dict(os.environ)
    if clock is not None:
        environment["SLEEPBELT_CLOCK"] = clock
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_belts_are_announced_and_summed_up_at_the_end(tmp_path: Path) -> None:
    socket = tmp_path / "hci0.sock"
    process = _start("--belts", "2", "--night", "short_exit", "--socket", str(socket), "--seed", "4", "--json")
    ready = _line(process)
    assert socket.exists()
    process.send_signal(signal.SIGTERM)
    summary = _line(process)
    assert process.wait(20) == 0
    assert (ready["event"], summary["event"]) == ("ready", "summary")
    assert summary["reports_sent"] == sum(belt["reports_sent"] for belt in summary["belts"])
    assert [set(belt) for belt in ready["belts"]] == [{"serial", "key", "address", "night", "truth"}] * 2
    assert [belt["serial"] for belt in summary["belts"]] == [belt["serial"] for belt in ready["belts"]]
    assert {"reports_sent", "records_written", "lag_s_max"} <= set(summary["belts"][0])


def test_a_compressed_night_leaves_no_second_out(tmp_path: Path) -> None:
    now = time.time()
    process = _start(
        "--socket", str(tmp_path / "h.sock"), "--night", "short_exit", "--state-dir", str(tmp_path / "state"),
        "--for", "4", "--json", clock=f"{now},{now},100",
    )  # fmt: skip
    _line(process)
    (belt,) = _line(process)["belts"]
    assert process.wait(20) == 0
    ring = records_on(tmp_path / "state" / "belt1")
    assert ring is not None
    records = [record for seq in range(1, ring.record_seq + 1) if (record := ring.read(seq)) is not None]
    minutes = [record[1] for record in records if record[2] == 1]
    assert belt["uptime_s"] > 60
    assert minutes == [60_000 * (i + 1) for i in range(belt["uptime_s"] // 60)]


def test_a_plan_is_played_to_its_end_while_belts_lose_power(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[[fault]]\nat_s = 0.5\nkind = "reboot"\nbelt = 2\nfor_s = 0.3\n'
        '[[fault]]\nat_s = 0.6\nkind = "lock_up"\n'
        '[[fault]]\nat_s = 1.5\nkind = "silence"\nbelt = 1\nfor_s = 1\n'
    )  # fmt: skip
    socket = str(tmp_path / "h.sock")
    process = _start("--belts", "2", "--socket", socket, "--faults", str(plan), "--for", "3", "--json")
    lines = [json.loads(line) for line in process.communicate(timeout=40)[0].splitlines()]
    assert process.returncode == 0
    assert [line["event"] for line in lines] == ["ready", "fault", "fault", "fault", "summary"]
    assert [line.get("not_done") for line in lines[1:4]] == [None, "nobody has opened adapter 1", None]
    assert [belt["restarts"] for belt in lines[-1]["belts"]] == [0, 1]


def test_a_belt_that_crashes_ends_the_command_also_after_another_lost_power(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[fault]]\nat_s = 0.2\nkind = "reboot"\nbelt = 2\nfor_s = 0.2\n')
    process = _start("--belts", "2", "--socket", str(tmp_path / "h.sock"), "--faults", str(plan), "--json")
    _line(process)
    time.sleep(1.5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    assert process.wait(20) == 1
    assert process.stderr is not None
    assert "belt1 ended with code -9" in process.stderr.read()


def test_belts_keep_their_identity_in_the_state_directory(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        socket, state = str(tmp_path / "h.sock"), str(tmp_path / "s")
        process = _start("--socket", socket, "--state-dir", state, "--for", "0", "--json")
        seen.append(_line(process)["belts"][0]["key"])
        process.communicate(timeout=20)
    assert seen[0] == seen[1]


def test_a_damaged_state_directory_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "belt1").mkdir()
    (tmp_path / "belt1" / "identity.json").write_text('{"serial": "00", "claim_secret": "00"}')
    assert main(["--socket", str(tmp_path / "h.sock"), "--state-dir", str(tmp_path)]) == 2
    assert "identity.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--belts", "0"], "--belts"),
        (["--belts", "101"], "--belts"),
        (["--night", "no_such_night"], "no_such_night"),
        (["--socket", "/x" * 80], "--socket"),
    ],
)
def test_bad_input_is_named(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert named in capsys.readouterr().err


def test_a_bad_clock_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SLEEPBELT_CLOCK", "now")
    assert main([]) == 2
    assert "SLEEPBELT_CLOCK" in capsys.readouterr().err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "sleepbelt hil --belts 3" in capsys.readouterr().out
    assert SUMMARY


def test_a_recording_is_written_with_its_truth_and_analyse_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hil.analyse.reader import read

    path = tmp_path / "night.npz"
    arguments = ["--night", "short_exit", "--seed", "7", "--record", str(path), "--rate-hz", "100", "--json"]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    truth = json.loads(Path(said["truth"]).read_text())
    assert (truth["seed"], truth["rate_hz"]) == (7, 100)
    assert len(truth["beats_s"]) > 100
    assert read(path, 100, "samples").duration_s == pytest.approx(truth["duration_s"])


@pytest.mark.parametrize("wrong", [
    ["--record", "night.csv"],
    ["--record", "no/such/folder/n.npz"],
    ["--record", "n.npz", "--rate-hz", "20"],
    ["--record", "n.npz", "--night", "a", "b"],
])  # fmt: skip
def test_a_recording_that_cannot_be_made_is_bad_input(wrong: list[str]) -> None:
    assert main(wrong) == 2
