"""site_toml: every problem of a site file names its line, a cut one the last; what it does not speak of stays."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gateway.config_problems import ConfigError
from gateway.site_setup import checked_site
from gateway.site_toml import as_configuration, configuration_text, parse_site, site_key

SITE = """\
[site]
gateway = "gw-01"
timezone = "Asia/Shanghai"

[channels]
buzzer_pin = 17

[[webhooks]]
url = "https://care.example/hook"

[[rooms]]
name = "101"
beds = ["101-1", "101-2"]

[[rooms]]
name = "102"
beds = ["102-1"]
profile = "standard"
[rooms.overrides]
allowed_s = 600
"""


def problems(text: str, folder: Path) -> list[str]:
    try:
        checked_site(text, Path("site.toml"), folder / "gateway.toml", {})
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(("old", "new", "line"), [
    ('"gw-01"', '"g w"', "line 2, site.gateway: found 'g w'; allowed: letters"),
    ("Asia/Shanghai", "Asia/Nowhere", "line 3, site.timezone: "),
    ("buzzer_pin", "buzer_pin", "line 6, channels.buzer_pin: found an unknown key"),
    ("https://care", "ftp://care", "line 9, webhooks[0].url: "),
    ("[channels]", "[chanels]", "line 5, chanels: found an unknown section"),
    ('"102-1"', '"101-1"', "line 17, rooms[1].beds: found '101-1'; each only once; rooms[0].beds has it already"),
    ('"standard"', '"standrd"', "line 18, rooms[1].profile: "),
    ("allowed_s = 600", "allowed_s = 'x'", "line 19, rooms[1].overrides.allowed_s"),
    ('beds = ["102-1"]', "beds = []", "line 17, rooms[1].beds: found no beds"),
    ('name = "102"', 'nme = "102"', "line 16, rooms[1].nme: found an unknown key"),
    ('beds = ["101-1", "101-2"]', 'beds = ["101-1", ', "line 15: found not whole or not TOML"),
])  # fmt: skip
def test_what_is_wrong_is_named_by_its_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert problems(SITE, tmp_path) == []
    found = problems(SITE.replace(old, new), tmp_path)
    assert found[0].startswith(line), found


def test_a_file_that_was_cut_within_a_line_names_the_last_one(tmp_path: Path) -> None:
    cut = SITE.index("102-1") + 3
    (found,) = problems(SITE[:cut], tmp_path)
    assert found.startswith("line 17: found not whole or not TOML")
    assert "copy the file again" in found


def test_what_a_site_file_does_not_speak_of_stays_and_so_do_belts_of_beds() -> None:
    base = {
        "gateway": {"id": "gw-01", "data_dir": "data", "time_trust": "always"}, "web": {"port": 0},
        "uplink": {"url": "mqtt://broker"}, "alerter": {"light_pin": 27},
        "beds": [{"label": "101-2", "room": "old", "serial": "00" * 8, "key": "11" * 16}, {"label": "gone"}],
    }  # fmt: skip
    made = as_configuration(parse_site(SITE, Path("site.toml")), base)
    assert made["gateway"] == {"id": "gw-01", "data_dir": "data", "time_trust": "always", "timezone": "Asia/Shanghai"}
    assert (made["web"], made["uplink"], made["alerter"]) == (base["web"], base["uplink"], {"buzzer_pin": 17})
    assert [(bed["label"], bed.get("serial")) for bed in made["beds"]] == [
        ("101-1", None), ("101-2", "00" * 8), ("102-1", None)]


def test_what_is_written_reads_back_the_same() -> None:
    made = as_configuration(parse_site(SITE, Path("site.toml")), {})
    assert tomllib.loads(configuration_text(made)) == made
    assert tomllib.loads(configuration_text({"gateway": {"id": "a\n\"b"}, "beds": []})) == {
        "gateway": {"id": "a\n\"b"}, "beds": []}


@pytest.mark.parametrize(("key", "shown"), [
    ("gateway.id", "site.gateway"), ("gateway.timezone", "site.timezone"), ("alerter.light_pin", "channels.light_pin"),
    ("uplink.url", "platform.url"), ("webhooks.1.url", "webhooks.1.url"), ("room", "room"),
])  # fmt: skip
def test_a_change_is_told_by_the_site_files_own_names(key: str, shown: str) -> None:
    assert site_key(key) == shown
