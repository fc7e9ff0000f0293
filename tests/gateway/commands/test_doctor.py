"""doctor uplink: each step of the way says what was found, and the first that fails says what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cloud_sync.mqtt import parse_broker_url
from gateway.commands.doctor import _TOPICS, main, uplink_steps
from gateway.store_files import StoreFiles, Writes
from tests.cloud_sync.refusing_broker import refusing_broker


def store(folder: Path) -> Path:
    files = StoreFiles(folder)
    files.commit(Writes(alarm_items=[b"1", b"2"]))
    files.close()
    return folder


async def test_a_broker_that_answers_is_followed_to_the_acks(tmp_path: Path) -> None:
    async with refusing_broker() as url:
        steps = await uplink_steps(parse_broker_url(url), "gw-01", store(tmp_path))
    assert [(step.name, step.ok) for step in steps][:3] == [("name", True), ("connection", True), ("MQTT 5", True)]
    assert "2 of lane alarm" in steps[-1].found


async def test_a_closed_port_is_said_with_advice(tmp_path: Path) -> None:
    steps = await uplink_steps(parse_broker_url("mqtt://127.0.0.1:1"), "gw-01", store(tmp_path))
    assert [(step.name, step.ok) for step in steps] == [("name", True), ("connection", False), ("store", True)]
    assert "firewalls" in steps[1].advice


async def test_a_name_that_is_none_is_said(tmp_path: Path) -> None:
    steps = await uplink_steps(parse_broker_url("mqtt://no-such-host.invalid"), "gw-01", tmp_path)
    assert [(step.name, step.ok) for step in steps] == [("name", False), ("store", False)]


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uplink", "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_what_is_found_is_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(tmp_path / "data")
    config = tmp_path / "gateway.toml"
    config.write_text('[gateway]\nid = "gw-01"\ntimezone = "Asia/Shanghai"\ndata_dir = "data"\n'
                      '[uplink]\nurl = "mqtt://127.0.0.1:1"\n[[beds]]\nlabel = "A"\n')
    assert main(["uplink", "--config", str(config), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["steps"][1]["name"]) == (False, "connection")


def test_everything_is_looked_at_without_a_gateway_an_adapter_or_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[gateway]\nid = "gw-01"\ndata_dir = "data"\n[[beds]]\nlabel = "A"\n')
    code = main(["--config", str(config), "--json"])
    said = json.loads(capsys.readouterr().out)
    levels = {finding["level"] for finding in said["findings"]}
    assert code == (1 if "fail" in levels else 0)
    assert said["ok"] == ("fail" not in levels)
    assert {"configuration", "gateway", "adapters", "time", "disk", "belts"} <= {x["topic"] for x in said["findings"]}


def test_it_speaks_chinese_where_the_locale_does_and_its_json_is_the_same_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[gateway]\nid = "gw-01"\ndata_dir = "data"\n[[bed]]\nlabel = "A"\n')
    assert main(["--config", str(config), "--json", "--lang", "zh"]) == 1
    chinese = json.loads(capsys.readouterr().out)
    assert "found an unknown section" in chinese["findings"][0]["found"]
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["--config", str(config)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("故障    配置: ")
    assert "bed：发现 未知的段；可用的段有 gateway" in lines[0]
    assert all(re.search("[\u4e00-\u9fff]", line) for line in lines), lines
    assert main(["uplink", "--config", str(config), "--lang", "en"]) == 2
    assert "found an unknown section" in capsys.readouterr().err


def test_every_topic_of_a_finding_has_its_name_in_the_readers_language() -> None:
    source = (Path(__file__).parents[3] / "gateway/cores/checkup.py").read_text("utf-8")
    topics = set(re.findall(r'Finding\(\s*"(\w+)"', source))
    assert len(topics) > 12
    assert topics <= set(_TOPICS)


def test_what_is_wrong_is_followed_by_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.toml")]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("FAILED  configuration"))
    assert "none.toml" in lines[at]
    assert lines[at + 1].startswith("        -> ")
