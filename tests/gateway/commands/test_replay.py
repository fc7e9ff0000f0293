"""`sleepbelt replay`: output for people and programs, exit codes, and an error that names whatever is wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.replay import main
from tests.gateway.cores.leave_bed.nights import do, empty, scenario

GOOD: dict[str, Any] = scenario([empty("23:00:00")], "23:20:30") | {
    "expect": ["23:20:00 alarm_raise medium", "23:20:00 audio_on"]
}


def write(folder: Path, document: Any, name: str = "one.json") -> str:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return str(path)


def test_a_file_that_matches_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(tmp_path, GOOD), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"id": "T", "log": GOOD["expect"], "ok": True}


def test_a_file_without_expectation_is_null_and_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", write(tmp_path, {k: v for k, v in GOOD.items() if k != "expect"})]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is None


def test_a_mismatch_exits_1_and_shows_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(tmp_path, GOOD | {"expect": ["23:20:00 audio_on"]})]) == 1
    out = capsys.readouterr().out
    assert "NOT as expected" in out
    assert "+ 23:20:00 alarm_raise medium" in out


def test_one_object_a_line_for_each_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [write(tmp_path, GOOD | {"id": name}, f"{name}.json") for name in ("b", "a")]
    assert main(["--json", *names]) == 0
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["b", "a"]


def test_a_folder_stands_for_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, GOOD, "a.json")
    write(tmp_path, GOOD, "b.json")
    assert main(["--json", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_good_files_are_replayed_beside_a_bad_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = write(tmp_path, "{", "bad.json"), write(tmp_path, GOOD)
    assert main(["--json", bad, good]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["ok"] is True
    assert "bad.json" in captured.err


@pytest.mark.parametrize(("language", "words"), [("en", "Out of bed longer"), ("zh", "离床超过允许时间")])
def test_explain_says_which_rule_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], language: str, words: str
) -> None:
    assert main(["--explain", "--lang", language, write(tmp_path, GOOD)]) == 0
    out = capsys.readouterr().out
    assert words in out
    assert "9" in out


def event(**fields: Any) -> dict[str, Any]:
    return {"events": [do("23:00:00", **fields)]}


BAD: list[tuple[Any, str]] = [
    ({"id": None}, "id"),
    ({"start": None}, "start"),
    ({"start": "21:30:00"}, "start"),
    ({"start": "2026-02-30T21:30:00"}, "start"),
    ({"end": "25:00:00"}, "end"),
    ({"end": "2026-11-23T21:30:00"}, "end"),
    ({"timezone": "Mars/Olympus"}, "timezone"),
    ({"times": "both"}, "times"),
    ({"beds": []}, "beds"),
    ({"beds": ["A", "A"]}, "beds"),
    ({"events": {}}, "events"),
    ({"events": [5]}, "events[0]"),
    ({"expect": "none"}, "expect"),
    ({"watch": ["alarm"]}, "watch[0]"),
    ({"remark": 1}, "remark"),
    ({"title": "\ud800"}, "title"),
    ({"profile": {"settle_s": 10**400}}, "profile.settle_s"),
    (event(event="clock_step", by_s=10**400), "events[0].by_s"),
    (event(event="belt_report", state="empty", state_age_s=-1), "events[0].state_age_s"),
    ({"initial": {"state": "asleep"}}, "initial.state"),
    ({"initial": {"state_age_s": -1}}, "initial.state_age_s"),
    ({"initial": {"first_contact": "no"}}, "initial.first_contact"),
    ({"profile": {"windows": [{"start": "22:00", "end": "22:00"}]}}, "window_empty"),
    ({"profile": {"exit_confirm": 5}}, "profile.exit_confirm"),
    (event(event="fall"), "events[0].event"),
    (event(event="occupancy"), "events[0].state"),
    (event(event="occupancy", state="full"), "events[0].state"),
    (event(event="occupancy", state="empty", state_age_s="90"), "events[0].state_age_s"),
    (event(event="occupancy", state="empty", bed="B"), "events[0].bed"),
    (event(event="acknowledge", by="me"), "events[0].by"),
    (event(event="link_up", state="empty"), "events[0].state_age_s"),
    (event(event="link_up", state="empty", state_age_s=1, finished_absences=[{"duration_s": 5}]), "ended_ago_s"),
    (event(event="clock"), "events[0].trusted"),
    (event(event="clock_step", by_s=None), "events[0].by_s"),
    (event(event="vitals", quality=101), "events[0].quality"),
    (event(event="configure"), "events[0].profile"),
    (event(event="configure", profile={"settle_s": "long"}), "events[0].profile.settle_s"),
    ({"events": [{"event": "assist"}]}, "events[0].at"),
    ({"events": [do("21:00:00", "assist")]}, "events[0].at"),
    ({"beds": ["A", "B"], "events": [do("23:00:00", "assist")]}, "events[0].bed"),
]


@pytest.mark.parametrize(("change", "field"), BAD)
def test_a_malformed_file_names_file_and_field_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], field: str
) -> None:
    assert main([write(tmp_path, GOOD | change)]) == 2
    complaint = capsys.readouterr().err
    assert "one.json" in complaint
    assert field in complaint


@pytest.mark.parametrize("missing", ["id", "start", "end", "events"])
def test_a_missing_field_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    assert main([write(tmp_path, {k: v for k, v in GOOD.items() if k != missing})]) == 2
    assert f"{missing}: is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"id": NaN}', '{"id": "a", "id": "b"}', "[" * 100_000, "\ufeff{}"]
)
def test_what_is_no_scenario_at_all_is_said_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert main([write(tmp_path, text)]) == 2
    assert "one.json" in capsys.readouterr().err


def test_a_file_that_is_not_there_or_not_text_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw.json").write_bytes(b"\xff\xfe\x00")
    assert main([str(tmp_path / "none.json"), str(tmp_path / "raw.json")]) == 2
    complaint = capsys.readouterr().err
    assert "none.json" in complaint
    assert "raw.json" in complaint


def test_a_ten_hour_night_replays_in_under_50_ms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trips = [do(f"{hour:02d}:{minute:02d}:00", "occupancy", state=state)
             for hour in (22, 23, 0, 1, 2, 3, 4, 5) for minute, state in ((10, "empty"), (50, "occupied"))]  # fmt: skip
    path = write(tmp_path, scenario(trips, "07:30:00"))
    main([path])
    best_s = min(_timed(path) for _ in range(5))
    assert best_s < 0.050
    assert capsys.readouterr().out.count("alarm_raise") == 6 * 8


def _timed(path: str) -> float:
    began = time.perf_counter()
    assert main([path]) == 0
    return time.perf_counter() - began


def test_events_written_out_of_order_happen_in_the_order_of_time(tmp_path: Path) -> None:
    events = [do("23:21:00", "acknowledge"), empty("23:00:00")]
    expected = ["23:20:00 alarm_raise medium", "23:20:00 audio_on", "23:21:00 ack", "23:21:00 audio_off"]
    assert main([write(tmp_path, scenario(events, "23:25:00") | {"expect": expected})]) == 0
